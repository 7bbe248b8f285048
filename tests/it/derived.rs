//! Derived candles and statistics, held against an oracle that was written without a look at the code, and against what
//! venues themselves recorded.

mod oracle;
mod recorded;
mod scenes;

use fastrand::Rng;

use tickcast::{
    derive::{Average, Candles, Moment, Seconds, Statistics, Told, number},
    market::{AggTrade, Decimals, Kline, MINUTE, Nanos, Price, Quantity, Series, Volume},
    topic::Window,
};

pub use oracle::{Oracle, next_open, open_of};

pub const SECOND: i64 = 1_000_000_000;

/// Trades of a made-up market: dense runs, silences of up to an hour, ids that rise by one.
pub fn market(rng: &mut Rng, start: Nanos, until: Nanos) -> Vec<AggTrade> {
    let mut trades = Vec::new();
    let (mut time, mut id, mut price) = (start.0, rng.i64(1..1_000_000), 5_000_000_i64);
    loop {
        time += match rng.u8(0..20) {
            0 => rng.i64(0..3_500 * SECOND),
            1..=5 => rng.i64(0..100 * SECOND),
            6..=9 => 0,
            _ => rng.i64(0..3 * SECOND),
        };
        if time >= until.0 {
            return trades;
        }
        price = (price + rng.i64(-40..41)).max(1_000);
        trades.push(AggTrade {
            id,
            price: Price(price * 1_000_003),
            quantity: Quantity(rng.i64(1..3_000_000_000)),
            first_id: id,
            last_id: id,
            time: Nanos(time),
            buyer_is_maker: rng.bool(),
        });
        id += 1;
    }
}

/// Candles with everything they told.
struct Bench {
    candles: Candles,
    seconds: Seconds,
    told: Told,
    heard: Vec<Kline>,
}

impl Bench {
    fn new(connected: Nanos) -> Self {
        let mut candles = Candles::default();
        candles.connected(connected);
        Self { candles, seconds: Seconds::default(), told: Told::default(), heard: Vec::new() }
    }

    fn trade(&mut self, trade: &AggTrade, late_ns: i64) {
        self.candles.trade(trade, Nanos(trade.time.0 + late_ns), Decimals::EIGHT, &mut self.told);
        self.seconds.trade(trade, Decimals::EIGHT, &mut self.told.closed);
        self.hear();
    }

    fn due(&mut self, now: Nanos, venue: Nanos) -> Option<Nanos> {
        let moment = Moment { now, venue, held: false };
        let ask = self.candles.due(&moment, &mut self.told);
        self.seconds.due(&moment, &mut self.told.closed);
        self.hear();
        ask
    }

    fn hear(&mut self) {
        self.heard.append(&mut self.told.past);
        self.heard.append(&mut self.told.closed);
    }

    /// What was told of one series.
    fn of(&self, series: Series) -> Vec<Kline> {
        self.heard.iter().filter(|kline| kline.series == series).copied().collect()
    }
}

/// 2024-02-27 05:03:20 UTC: days, weeks and a leap month end within the next days, in both zones.
const START: Nanos = Nanos::from_millis(1_709_010_200_000);

#[test]
fn candles_of_every_series_equal_a_naive_oracle() {
    let mut compared = 0;
    for seed in 1..=8 {
        println!("seed {seed}");
        let mut rng = Rng::with_seed(seed);
        let until = Nanos(START.0 + 6 * 86_400 * SECOND);
        let trades = market(&mut rng, START, until);
        let mut bench = Bench::new(Nanos(START.0 - 100 * SECOND));
        let mut now = START;
        for trade in &trades {
            while now < trade.time {
                bench.due(now, Nanos(now.0 - rng.i64(0..SECOND)));
                now = Nanos(now.0 + rng.i64(SECOND / 5..40 * SECOND));
            }
            bench.trade(trade, rng.i64(0..30_000_000));
            // The candle in the making, of a series by chance.
            let series = Series::ALL[rng.usize(1..Series::COUNT)];
            if let Some(kline) = bench.candles.current(series, trade.time) {
                let seen = trades.iter().take_while(|other| other.id <= trade.id);
                let expected = Oracle::new(seen.copied()).candle(series, kline.open_time);
                assert_eq!(Some(kline), expected.map(|kline| Kline { closed: false, ..kline }));
                compared += 1;
            }
        }
        bench.due(Nanos(until.0 + 10 * SECOND), until);
        let oracle = Oracle::new(trades.iter().copied());
        for series in Series::ALL {
            let told = bench.of(series);
            if series == Series::SECOND {
                // After a long silence seconds are left out; what is told is right.
                assert!(told.is_sorted_by(|one, next| one.open_time < next.open_time));
                for told in &told {
                    assert_eq!(Some(*told), oracle.candle(series, told.open_time), "seed {seed}");
                }
                compared += told.len();
                continue;
            }
            // Told from the first one that began in sight, each once, none left out.
            if let Some(first) = told.first() {
                let expected = oracle.candles(series, first.open_time, told.len());
                assert_eq!(told.len(), expected.len());
                for (told, expected) in told.iter().zip(&expected) {
                    assert_eq!(told, expected, "seed {seed}");
                }
                let whole = oracle::next_open(series, oracle::open_of(series, trades[0].time));
                assert!(first.open_time <= whole, "{series:?} began late: {first:?}");
                let last = oracle::open_of(series, until);
                assert_eq!(told.last().map(|kline| kline.end()), Some(last), "{series:?} ended early");
            }
            compared += told.len();
        }
        assert_eq!(bench.candles.take_late(), 0);
    }
    println!("{compared} candles compared");
    assert!(compared > 100_000);
}

#[test]
fn statistics_equal_a_naive_oracle() {
    let mut compared = 0;
    for seed in 1..=4 {
        println!("seed {seed}");
        let mut rng = Rng::with_seed(seed ^ 0xabc);
        let trades = market(&mut rng, START, Nanos(START.0 + 40 * 3_600 * SECOND));
        let mut bench = Bench::new(Nanos(START.0 - 100 * SECOND));
        let (mut statistics, mut average) = (Statistics::default(), Average::default());
        let mut now = START;
        for (at, trade) in trades.iter().enumerate() {
            while now < trade.time {
                bench.due(now, now);
                now = Nanos(now.0 + rng.i64(SECOND..100 * SECOND));
            }
            bench.trade(trade, 0);
            average.trade(trade, Decimals::EIGHT);
            let seen = &trades[..=at];
            let mean = average.at(trade.time, Decimals::EIGHT).expect("a trade was seen");
            assert_eq!(mean.price.0, oracle::mean(seen, trade.time), "seed {seed}");
            assert_eq!(mean.last_trade, trade.time);
            let window = Window::ALL[rng.usize(0..3)];
            let found = statistics.rolling(window, &bench.candles, trade.time, Decimals::EIGHT);
            // A window that reaches back beyond what was seen is not told.
            let from = (trade.time.0 - window.minutes() * MINUTE.0).div_euclid(MINUTE.0) * MINUTE.0;
            assert_eq!(
                found.is_some(),
                from >= bench.heard.iter().find(is_minute).map_or(i64::MAX, |it| it.open_time.0)
            );
            if let Some(found) = found {
                oracle::check_rolling(&found, seen, from, trade.time);
                compared += 1;
            }
        }
    }
    println!("{compared} statistics compared");
    assert!(compared > 1_000);
}

fn is_minute(kline: &&Kline) -> bool {
    kline.series == Series::MINUTE
}
