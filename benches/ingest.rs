//! The whole ingest loop on one core (parse, book, derive, publish) over recorded Binance frames, against building
//! simd-json's tape of the same frames and nothing else, and against an ingest as one would write it first.
//!
//! `TICKCAST_CAPTURES=... cargo bench --bench ingest`; without recordings, frames of the same shapes made by us.
//! `TICKCAST_BENCH=small` is a smoke test of a second or two.
//!
//! Ours is the real `Engine::pass` with the ring of the built-in configuration, in recorded time: a pass for what was received
//! until the engine's next timer, at most 32 frames, and a pass for each timer, as its thread would do them. Candles of
//! all series, statistics and averages are part of it, with history fetched (made up, and answered before the clock starts).
//! Timed is the steady state, behind the first fifth of a capture. Everybody gets the same frames as slices of one
//! block; the copy that simd-json needs in front of its parser is counted with it, and ours makes none.
#![allow(missing_docs, reason = "a bench")]

#[path = "shared/capture.rs"]
mod capture;
#[path = "shared/engine_rig.rs"]
mod engine_rig;
#[path = "shared/first_write.rs"]
mod first_write;
#[allow(dead_code, reason = "other benches use the rest")]
#[path = "shared/measure.rs"]
mod measure;

use std::{hint::black_box, time::Duration};

use simd_json::prelude::*;
use tickcast::normalise::Tape;

use self::{
    capture::{Capture, What},
    engine_rig::{Course, frames_of},
    first_write::Ingest,
    measure::{Contestant, compare, is_small, timed},
};

fn main() {
    let captures = Capture::recorded().unwrap_or_else(|| {
        println!("TICKCAST_CAPTURES is not set: these are no recordings, only frames of their shapes made by us.");
        vec![Capture::made_up(10, 40_000, 400, 20_261_122)]
    });
    for (index, capture) in captures.iter().enumerate() {
        if is_small() && index > 1 {
            break;
        }
        contest(capture, "all frames", |_| true, false);
        if index > 0 {
            continue;
        }
        contest(capture, "depth frames alone", |what| what == What::Depth, false);
        contest(capture, "trades alone", |what| what == What::Trade, false);
        contest(capture, "all frames, with partial books wanted every 100 ms", |_| true, true);
    }
}

/// Runs one capture, or those of its frames that `keep` names, through all contestants.
fn contest(capture: &Capture, frames: &str, keep: impl Fn(What) -> bool, subscribed: bool) {
    let course = Course::new(capture, keep, subscribed);
    let published = course.published;
    let steady: Vec<_> = course.steady_frames().collect();
    let mut tape = Tape::new();
    let mut contestants: [Contestant<'_>; 4] = [
        ("ours, all of it", Box::new(|| ours(&course))),
        (
            "simd-json, tape alone",
            Box::new(|| {
                timed(|| {
                    for frame in &steady {
                        black_box(tape.read(black_box(frame), |root| Ok(root.value_type())).expect("JSON"));
                    }
                })
            }),
        ),
        ("serde_json + BTreeMap", Box::new(|| first_write(capture, &course, Ingest::frame))),
        ("  with the stream peeked at", Box::new(|| first_write(capture, &course, Ingest::frame_peeked))),
    ];
    let title = format!(
        "{}: {frames}; {} frames of {} bytes in {} passes",
        capture.name,
        published.frames,
        published.bytes / published.frames.max(1),
        course.steady.len(),
    );
    let medians = compare(&title, published.frames, &mut contestants);
    let per_second = 1e9 / medians[0];
    println!(
        "  ours: {:.2} million frames/s, {:.0} MB/s on one core; published {} updates: {} diffs, {} partial books, {} best prices, {} trades, {} candles, {} statistics",
        per_second / 1e6,
        per_second * published.bytes as f64 / published.frames as f64 / 1e6,
        published.updates,
        published.diffs,
        published.partials,
        published.bests,
        published.trades,
        published.candles,
        published.statistics,
    );
}

fn ours(course: &Course) -> Duration {
    let mut engine = course.engine();
    for pass in course.warm.clone() {
        engine.pass(pass.now, pass.inbound);
    }
    let steady = course.steady.clone();
    timed(|| {
        for pass in steady {
            engine.pass(pass.now, pass.inbound);
        }
    })
}

fn first_write(capture: &Capture, course: &Course, take: fn(&mut Ingest, &[u8])) -> Duration {
    let mut ingest = Ingest::default();
    for step in &capture.steps {
        if let What::Book(symbol) = step.what {
            ingest.snapshot(&capture.symbols[symbol], &step.bytes);
        }
    }
    for frame in frames_of(&course.warm) {
        take(&mut ingest, frame);
    }
    ingest.published.clear();
    timed(|| {
        for pass in &course.steady {
            for frame in frames_of(std::slice::from_ref(pass)) {
                take(&mut ingest, black_box(frame));
            }
            black_box(&ingest.published);
            ingest.published.clear();
        }
    })
}
