//! The whole ingest loop on one core (parse, book, derive, publish) over recorded Binance frames, against building
//! simd-json's tape of the same frames and nothing else, and against an ingest as one would write it first: serde_json and
//! `BTreeMap`s. That one does the same work: it is checked to publish the same diffs of both cadences, best prices and trades,
//! and makes the same candles and statistics. Beside it stands one that keeps books and nothing else.
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
#[path = "shared/rival_sums.rs"]
mod rival_sums;
#[path = "shared/same_work.rs"]
mod same_work;
#[path = "shared/serde_frames.rs"]
mod serde_frames;

use std::{hint::black_box, time::Duration};

use simd_json::prelude::*;
use tickcast::{intake::Inbound, normalise::Tape};

use self::{
    capture::{Capture, What},
    engine_rig::{Course, Diff, Driven, Pass, Published, frames_of},
    first_write::Ingest,
    measure::{Contestant, compare, is_small, timed},
    same_work::{Published as News, SameWork},
    serde_frames::{read, read_peeked},
};

fn main() {
    let mut captures = Capture::recorded().unwrap_or_else(|| {
        println!("TICKCAST_CAPTURES is not set: these are no recordings, only frames of their shapes made by us.");
        vec![Capture::made_up(10, if is_small() { FRAMES_SMALL } else { 40_000 }, 400, 20_261_122)]
    });
    if is_small() {
        captures.truncate(1);
        captures[0].steps.truncate(FRAMES_SMALL);
    }
    for (index, capture) in captures.iter().enumerate() {
        let is_same = contest(capture, "all frames", |_| true, false);
        // The others have holes, which ours heals.
        assert!(is_same || index > 0, "the rival does not do the same work");
        if index > 0 || is_small() {
            continue;
        }
        contest(capture, "depth frames alone", |what| what == What::Depth, false);
        contest(capture, "trades alone", |what| what == What::Trade, false);
        contest(capture, "all frames, with partial books wanted every 100 ms", |_| true, true);
    }
}

/// Runs one capture, or those of its frames that `keep` names, through all contestants. Returns whether the rival publishes
/// the same diffs, best prices and trades as ours.
fn contest(capture: &Capture, frames: &str, keep: impl Fn(What) -> bool, subscribed: bool) -> bool {
    let course = Course::new(capture, keep, subscribed);
    let published = course.published;
    let steady: Vec<_> = course.steady_frames().collect();
    let mut tape = Tape::new();
    let mut contestants: [Contestant<'_>; 7] = [
        ("ours, all of it", Box::new(|| ours(&course, course.engine()))),
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
        ("serde_json + BTreeMap", Box::new(|| same_work(capture, &course, subscribed, read))),
        ("  with the stream peeked at", Box::new(|| same_work(capture, &course, subscribed, read_peeked))),
        ("  books alone", Box::new(|| books_alone(capture, &course, read))),
        ("  books alone, peeked at", Box::new(|| books_alone(capture, &course, read_peeked))),
        // What the length of the ring costs: nothing, since the buffer that was used last is filled next.
        ("ours, a ring of 1024 slots", Box::new(|| ours(&course, course.engine_with(1024, 256)))),
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
    check_rival(capture, &course, subscribed)
}

fn ours(course: &Course, mut engine: Driven) -> Duration {
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

fn same_work(capture: &Capture, course: &Course, wants_partials: bool, take: fn(&mut SameWork, &[u8])) -> Duration {
    let mut rival = rival(capture, course, wants_partials);
    timed(|| {
        for pass in &course.steady {
            rival_pass(&mut rival, pass, take);
            black_box(&rival.published);
            rival.published.clear();
        }
    })
}

/// The rival before the steady part.
fn rival(capture: &Capture, course: &Course, wants_partials: bool) -> SameWork {
    let mut rival = SameWork::new(&capture.symbols, wants_partials);
    // It does not join: whole books are there before the first diff.
    for step in &capture.steps {
        if let What::Book(symbol) = step.what {
            rival.snapshot(symbol, &step.bytes);
        }
    }
    for pass in &course.warm {
        rival_pass(&mut rival, pass, read);
        rival.published.clear();
    }
    rival
}

fn rival_pass(rival: &mut SameWork, pass: &Pass, take: fn(&mut SameWork, &[u8])) {
    for message in &pass.inbound {
        match message {
            Inbound::Frames { frames, .. } => frames.iter().for_each(|frame| take(rival, black_box(&frame.bytes))),
            Inbound::Snapshot { instrument, body, .. } => rival.snapshot(instrument.index(), &body.bytes),
            _ => {}
        }
    }
    rival.pass(pass.now);
}

/// Says what the rival publishes, and whether that is what our engine does.
fn check_rival(capture: &Capture, course: &Course, wants_partials: bool) -> bool {
    let mut rival = rival(capture, course, wants_partials);
    let mut counts = Published::default();
    let mut diffs = Vec::new();
    for pass in &course.steady {
        rival_pass(&mut rival, pass, read);
        for news in rival.published.drain(..) {
            let count = match news {
                News::Depth { symbol, period: period_ns, first, last, bids, asks, .. } => {
                    diffs.push(Diff { symbol, period_ns, first, last, bids, asks });
                    &mut counts.diffs
                }
                News::Partial { .. } => &mut counts.partials,
                News::Best { .. } => &mut counts.bests,
                News::Trade { .. } => &mut counts.trades,
                News::Candle { .. } => &mut counts.candles,
                News::Statistics { .. } | News::Average { .. } => &mut counts.statistics,
            };
            *count += 1;
        }
    }
    // Within a pass the order of symbols is everybody's own.
    diffs.sort_by_key(Diff::place);
    let is_same = diffs == course.diffs
        && (counts.partials, counts.bests, counts.trades)
            == (course.published.partials, course.published.bests, course.published.trades);
    let same = if diffs == course.diffs {
        let levels: usize = diffs.iter().map(|diff| diff.bids.len() + diff.asks.len()).sum();
        format!("the same diffs as ours, {levels} levels in all")
    } else {
        let other = diffs.iter().zip(&course.diffs).filter(|(its, ours)| its != ours).count();
        format!("{} diffs, {other} of them OTHER than ours", counts.diffs)
    };
    println!(
        "  the rival published {same}; {} partial books, {} best prices, {} trades, {} candles, {} statistics",
        counts.partials, counts.bests, counts.trades, counts.candles, counts.statistics
    );
    is_same
}

fn books_alone(capture: &Capture, course: &Course, take: fn(&mut Ingest, &[u8])) -> Duration {
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

/// Some half a minute of the recorded ones.
const FRAMES_SMALL: usize = 8_000;
