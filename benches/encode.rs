//! Our encoder against `serde_json` on structs of the same shape, both into a buffer that is used again.
//!
//! `cargo bench --bench encode`; with `TICKCAST_BENCH=small` it is a smoke test of a second.
#![allow(missing_docs, reason = "a bench")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock itself")]

use std::{fmt, hint::black_box, time::Instant};

use serde::{Serialize, Serializer};
use tickcast::{
    encode::json,
    market::{Best, Catalogue, Level, Nanos, Price, Quantity, Span, Trade},
    topic::{Batch, Cadence, Payload, TimeUnit, Update},
};

const TIME: Nanos = Nanos::from_micros(1_789_000_000_124_311);

/// Something that writes one event.
type Writer = Box<dyn Fn(&mut Vec<u8>)>;

fn main() {
    let small = std::env::var("TICKCAST_BENCH").is_ok_and(|value| value == "small");
    let rounds = if small { 3 } else { 15 };
    let mut catalogue = Catalogue::new();
    let venue = catalogue.add_venue("binance", None);
    let instrument = catalogue.add_instrument(venue, "BTCUSDT", "BTCUSDT");
    let mut batch = Batch::default();
    batch.levels.extend((0..40).map(|n| level(8_670_477_000_000 + 1_000_000 * n, 4_678_110 * (n + 1))));
    let (bids, asks) = (Span { start: 0, len: 20 }, Span { start: 20, len: 20 });
    let trade = Trade {
        id: 6_054_521_811,
        price: Price(8_670_478_000_000),
        quantity: Quantity(3_500_000),
        time: TIME,
        buyer_is_maker: false,
    };
    let best = Best { update_id: 100_530_416_204, bid: batch.levels[0], ask: batch.levels[1] };
    let update = |payload| Update { instrument, received: TIME, time: TIME, payload };
    let diff =
        Payload::DepthDiff { cadence: Cadence::Fast, first_id: 100_530_416_203, last_id: 100_530_416_223, bids, asks };
    let cases: [(&str, Update, Writer); 3] = [
        ("trade", update(Payload::Trade(trade)), Box::new(move |out| write(out, &rival::Trade::of(&trade)))),
        (
            "bookTicker",
            update(Payload::BookTicker(best)),
            Box::new(move |out| write(out, &rival::BookTicker::of(&best))),
        ),
        ("depthUpdate, 40 levels", update(diff), {
            let levels = batch.levels.clone();
            Box::new(move |out| write(out, &rival::Depth::of(&levels[..20], &levels[20..])))
        }),
    ];
    for (name, update, rival) in cases {
        let ours = |out: &mut Vec<u8>| {
            let instrument = catalogue.instrument(update.instrument);
            json::body(out, black_box(&update), &batch, instrument, 20, TimeUnit::Milliseconds);
        };
        let (mut left, mut right) = (Vec::new(), Vec::new());
        ours(&mut left);
        rival(&mut right);
        assert_eq!(String::from_utf8_lossy(&left), String::from_utf8_lossy(&right), "both write the same bytes");
        let (ours, theirs) = side_by_side(rounds, if small { 1_000 } else { 20_000 }, &ours, &*rival);
        println!("{name}: {ours:.0} ns, serde_json {theirs:.0} ns, {:.2} times as fast", theirs / ours);
    }
}

/// Median nanoseconds per call of each, taken in turns so that both see the same machine.
fn side_by_side(rounds: usize, calls: u32, ours: &dyn Fn(&mut Vec<u8>), rival: &dyn Fn(&mut Vec<u8>)) -> (f64, f64) {
    let mut out = Vec::new();
    let mut time = |work: &dyn Fn(&mut Vec<u8>)| {
        let begin = Instant::now();
        for _ in 0..calls {
            out.clear();
            work(&mut out);
            black_box(&out);
        }
        begin.elapsed().as_nanos() as f64 / f64::from(calls)
    };
    let (mut left, mut right): (Vec<f64>, Vec<f64>) = (0..rounds).map(|_| (time(ours), time(rival))).unzip();
    left.sort_by(f64::total_cmp);
    right.sort_by(f64::total_cmp);
    (left[rounds / 2], right[rounds / 2])
}

fn level(price: i64, quantity: i64) -> Level {
    Level { price: Price(price), quantity: Quantity(quantity) }
}

fn write(out: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(out, black_box(value)).expect("a Vec takes every write");
}

/// The structs that one would write first.
mod rival {
    use super::{Best, Decimal, Level, Serialize, TIME};

    #[derive(Serialize)]
    #[allow(non_snake_case)]
    pub struct Trade {
        e: &'static str,
        E: i64,
        s: &'static str,
        t: i64,
        p: Decimal,
        q: Decimal,
        T: i64,
        m: bool,
        M: bool,
    }

    impl Trade {
        pub fn of(trade: &super::Trade) -> Self {
            Self {
                e: "trade",
                E: TIME.millis(),
                s: "BTCUSDT",
                t: trade.id,
                p: Decimal(trade.price.0),
                q: Decimal(trade.quantity.0),
                T: trade.time.millis(),
                m: trade.buyer_is_maker,
                M: true,
            }
        }
    }

    #[derive(Serialize)]
    #[allow(non_snake_case)]
    pub struct BookTicker {
        u: i64,
        s: &'static str,
        b: Decimal,
        B: Decimal,
        a: Decimal,
        A: Decimal,
    }

    impl BookTicker {
        pub fn of(best: &Best) -> Self {
            Self {
                u: best.update_id,
                s: "BTCUSDT",
                b: Decimal(best.bid.price.0),
                B: Decimal(best.bid.quantity.0),
                a: Decimal(best.ask.price.0),
                A: Decimal(best.ask.quantity.0),
            }
        }
    }

    #[derive(Serialize)]
    #[allow(non_snake_case)]
    pub struct Depth {
        e: &'static str,
        E: i64,
        s: &'static str,
        U: i64,
        u: i64,
        b: Vec<[Decimal; 2]>,
        a: Vec<[Decimal; 2]>,
    }

    impl Depth {
        pub fn of(bids: &[Level], asks: &[Level]) -> Self {
            let side = |levels: &[Level]| {
                levels.iter().map(|level| [Decimal(level.price.0), Decimal(level.quantity.0)]).collect()
            };
            Self {
                e: "depthUpdate",
                E: TIME.millis(),
                s: "BTCUSDT",
                U: 100_530_416_203,
                u: 100_530_416_223,
                b: side(bids),
                a: side(asks),
            }
        }
    }
}

/// Eight decimals through `fmt`.
struct Decimal(i64);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:08}", self.0 / 100_000_000, self.0 % 100_000_000)
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
