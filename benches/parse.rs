//! What reading a frame costs: ours, against serde_json into structs and against building simd-json's tape alone.
//!
//! `cargo bench --bench parse`; with `TICKCAST_BENCH=small` it takes a moment and shows only that it runs. Rounds of all
//! contestants alternate and the best round of each counts, so that a neighbour's noise falls on everybody.
#![allow(missing_docs, reason = "a bench")]

use std::{
    env,
    fmt::Write,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Deserialize;
use simd_json::prelude::*;
use tickcast::{
    market::{Catalogue, Events, InstrumentId, VenueId},
    normalise::Tape,
    venue::{AnyDecoder, AnyProtocol, Decode},
};

const BEST_BID_CENTS: u64 = 8_670_477;

const BEST_ASK_CENTS: u64 = 8_670_479;

fn main() {
    // `cargo test --benches` runs this without `--bench`: it shall not rot, and not take long either.
    let small =
        env::var("TICKCAST_BENCH").is_ok_and(|size| size == "small") || !env::args().any(|arg| arg == "--bench");
    let effort = if small { Effort { rounds: 3, frames: 200 } } else { Effort { rounds: 60, frames: 4_000 } };
    for (name, levels) in [("small, 5 levels", 5), ("medium, 40 levels", 40)] {
        diff(name, levels, effort);
    }
    book_ticker(effort);
    rest_book(effort);
}

#[derive(Clone, Copy)]
struct Effort {
    rounds: usize,
    frames: u32,
}

fn diff(name: &str, levels: usize, effort: Effort) {
    let (bids, asks) = (side(levels - levels / 2, BEST_BID_CENTS), side(levels / 2, BEST_ASK_CENTS));
    let head = r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1789000000214311,"s":"BTCUSDT","#;
    let ids = r#""U":100530416203,"u":100530416223"#;
    let ordered = format!("{head}{ids},\"b\":{bids},\"a\":{asks}}}}}").into_bytes();
    let moved = format!("{head}\"b\":{bids},\"a\":{asks},{ids}}}}}").into_bytes();
    let (mut ours, mut any_order) = (Ours::new(), Ours::new());
    let mut tape = Tape::new();
    report(
        &format!("depthUpdate ({name}, {} bytes)", ordered.len()),
        effort,
        &mut [
            ("ours", &mut || ours.frame(&ordered, levels)),
            ("ours, keys in another order", &mut || any_order.frame(&moved, levels)),
            ("simd-json, tape alone", &mut || tape_alone(&mut tape, &ordered)),
            ("serde_json into structs of text", &mut || {
                let wrapped: Wrapped<'_, Diff<'_>> = serde_json::from_slice(black_box(&ordered)).expect("JSON");
                assert_eq!(wrapped.data.b.len() + wrapped.data.a.len(), levels);
                black_box(wrapped);
            }),
        ],
    );
}

fn book_ticker(effort: Effort) {
    let frame = br#"{"stream":"btcusdt@bookTicker","data":{"u":100530416204,"s":"BTCUSDT","b":"86704.77000000","B":"4.67811000","a":"86704.79000000","A":"0.00384000"}}"#;
    let mut ours = Ours::new();
    let mut tape = Tape::new();
    report(
        &format!("bookTicker ({} bytes)", frame.len()),
        effort,
        &mut [
            ("ours", &mut || ours.frame(frame, 0)),
            ("simd-json, tape alone", &mut || tape_alone(&mut tape, frame)),
            ("serde_json into structs of text", &mut || {
                black_box(serde_json::from_slice::<Wrapped<'_, Best<'_>>>(black_box(frame)).expect("JSON"));
            }),
        ],
    );
}

fn rest_book(effort: Effort) {
    let effort = Effort { frames: effort.frames.div_ceil(50), ..effort };
    let (bids, asks) = (side(1000, BEST_BID_CENTS), side(1000, BEST_ASK_CENTS));
    let body = format!("{{\"lastUpdateId\":100530416223,\"bids\":{bids},\"asks\":{asks}}}").into_bytes();
    let mut ours = Ours::new();
    let mut tape = Tape::new();
    report(
        &format!("REST book (1000 levels a side, {} bytes)", body.len()),
        effort,
        &mut [
            ("ours", &mut || {
                ours.events.clear();
                ours.decoder.snapshot(InstrumentId(0), 1000, black_box(&body), &mut ours.events).expect("documented");
                assert_eq!(ours.events.levels.len(), 2000);
            }),
            ("simd-json, tape alone", &mut || tape_alone(&mut tape, &body)),
            ("serde_json into structs of text", &mut || {
                black_box(serde_json::from_slice::<Book<'_>>(black_box(&body)).expect("JSON"));
            }),
        ],
    );
}

/// Builds the tape and takes nothing from it.
fn tape_alone(tape: &mut Tape, json: &[u8]) {
    let kind = tape.read(black_box(json), |root| Ok(root.value_type())).expect("JSON");
    black_box(kind);
}

/// The decoder with the buffers that an engine would reuse.
struct Ours {
    decoder: AnyDecoder,
    events: Events,
}

impl Ours {
    fn new() -> Self {
        let mut catalogue = Catalogue::new();
        let venue = catalogue.add_venue("binance", None);
        for symbol in ["BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT"] {
            catalogue.add_instrument(venue, symbol, symbol);
        }
        let protocol = AnyProtocol::new("binance", 1000, 1).expect("offered");
        Self { decoder: protocol.decoder(Arc::new(catalogue), VenueId(0)), events: Events::default() }
    }

    fn frame(&mut self, frame: &[u8], levels: usize) {
        self.events.clear();
        self.decoder.frame(black_box(frame), &mut self.events).expect("documented");
        assert_eq!((self.events.list.len(), self.events.levels.len()), (1, levels));
        black_box(&self.events);
    }
}

#[derive(Deserialize)]
struct Wrapped<'a, T> {
    #[expect(dead_code, reason = "it is read, as ours reads it")]
    stream: &'a str,
    data: T,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "they are read, as ours reads them")]
#[allow(non_snake_case, reason = "the venue's names")]
struct Diff<'a> {
    e: &'a str,
    E: i64,
    s: &'a str,
    U: i64,
    u: i64,
    #[serde(borrow)]
    b: Vec<[&'a str; 2]>,
    #[serde(borrow)]
    a: Vec<[&'a str; 2]>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "they are read, as ours reads them")]
#[allow(non_snake_case, reason = "the venue's names")]
struct Best<'a> {
    u: i64,
    s: &'a str,
    b: &'a str,
    B: &'a str,
    a: &'a str,
    A: &'a str,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "they are read, as ours reads them")]
#[allow(non_snake_case, reason = "the venue's names")]
struct Book<'a> {
    lastUpdateId: i64,
    #[serde(borrow)]
    bids: Vec<[&'a str; 2]>,
    #[serde(borrow)]
    asks: Vec<[&'a str; 2]>,
}

/// `levels` levels a few cents apart, from `cents` on, with quantities of changing length.
fn side(levels: usize, cents: u64) -> String {
    let mut text = "[".to_owned();
    for index in 0..levels as u64 {
        let price = cents + index * 7;
        let quantity = index * index * 13_577 % 7_000_000;
        let comma = if index == 0 { "" } else { "," };
        let (whole, part) = (quantity / 100_000, quantity % 100_000);
        write!(text, "{comma}[\"{}.{:02}000000\",\"{whole}.{part:05}000\"]", price / 100, price % 100)
            .expect("a String");
    }
    text + "]"
}

/// Prints the best round of each contestant, in nanoseconds a frame and as a multiple of the first.
fn report(title: &str, effort: Effort, contestants: &mut [(&str, &mut dyn FnMut())]) {
    let mut best = vec![Duration::MAX; contestants.len()];
    for _ in 0..effort.rounds {
        for ((_, run), best) in contestants.iter_mut().zip(&mut best) {
            let started = now();
            for _ in 0..effort.frames {
                run();
            }
            *best = (*best).min(started.elapsed());
        }
    }
    println!("{title}");
    for ((name, _), time) in contestants.iter().zip(&best) {
        let nanos = time.as_secs_f64() * 1e9 / f64::from(effort.frames);
        println!("  {name:<34} {nanos:>10.0} ns  {:>6.2} x", time.as_secs_f64() / best[0].as_secs_f64());
    }
}

#[allow(clippy::disallowed_methods, reason = "a bench measures with its own clock")]
fn now() -> Instant {
    Instant::now()
}
