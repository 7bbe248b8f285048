//! How a book comes back: what that costs its followers and the venue.

use super::*;

/// Levels per side of a book as deep as can be asked for.
const LEVELS: i64 = 5_000;

/// A deep book of which each diff changes a hundred levels a side.
struct Deep {
    id: i64,
    quantities: Vec<i64>,
}

impl Deep {
    fn diff(&mut self) -> String {
        self.id += 1;
        let changed: Vec<i64> = (0..100).map(|step| (self.id * 100 + step) % 900).collect();
        changed.iter().for_each(|&at| self.quantities[at as usize] = self.id % 1000 + 1);
        let side = |price: fn(i64) -> i64| {
            let levels = changed.iter().map(|&at| level(price(at), self.quantities[at as usize]));
            levels.collect::<Vec<_>>().join(",")
        };
        let (id, bids, asks) = (self.id, side(bid), side(ask));
        format!(
            r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":1789000000000,"s":"{SYMBOL}","U":{id},"u":{id},"b":[{bids}],"a":[{asks}]}}}}"#
        )
    }

    fn snapshot(&self, levels: u32) -> String {
        let side = |price: fn(i64) -> i64| {
            let levels = (0..LEVELS.min(levels.into())).map(|at| level(price(at), self.quantities[at as usize]));
            levels.collect::<Vec<_>>().join(",")
        };
        format!(r#"{{"lastUpdateId":{},"bids":[{}],"asks":[{}]}}"#, self.id, side(bid), side(ask))
    }
}

fn bid(at: i64) -> i64 {
    100_000 - at
}

fn ask(at: i64) -> i64 {
    100_001 + at
}

impl Bench {
    fn answer(&mut self, levels: u32, text: String) -> Vec<Said> {
        let body = Frame { received: self.now, bytes: Bytes::from(text) };
        self.pass(vec![Inbound::Snapshot { instrument: INSTRUMENT, levels, body }])
    }
}

#[test]
fn a_deep_book_that_is_put_right_and_deepened_again_closes_nobody() {
    let mut bench = Bench::new();
    let mut truth = Deep { id: 1_000, quantities: vec![7; LEVELS as usize] };
    let mut asked: Vec<(i64, u32)> = Vec::new();
    let (mut gaps, mut deepened, mut gap_at) = (0, 0, i64::MAX);
    let mut slow = Vec::new();
    for ms in 0..40_000 {
        let mut said = bench.wait(1);
        if ms % 100 == 0 {
            let diff = truth.diff();
            if ms >= gap_at {
                (gap_at, gaps) = (i64::MAX, gaps + 1);
            } else {
                said.extend(bench.frame(CONNECTION, diff));
            }
        }
        while let Ok(request) = bench.requests.try_recv() {
            let Request::Snapshot { levels, after_ms, .. } = request else { continue };
            asked.push((ms + i64::from(after_ms) + 20, levels));
        }
        while let Some(at) = asked.iter().position(|&(due, _)| due <= ms) {
            let (_, levels) = asked.remove(at);
            said.extend(bench.answer(levels, truth.snapshot(levels)));
            if i64::from(levels) == LEVELS {
                deepened += 1;
                // The next loss comes once this is told, each time in another place of the second.
                gap_at = ms + 1_200 + deepened * 170;
            }
        }
        for said in said {
            match said {
                Said::Whole { reset, .. } => {
                    assert!(!reset, "after {ms} ms and {gaps} gaps followers are told to start over")
                }
                Said::Diff { cadence: Cadence::Slow, first, last, .. } => slow.push((first, last)),
                _ => {}
            }
        }
    }
    assert!(gaps >= 8 && deepened > gaps, "{gaps} gaps, {deepened} times deepened");
    assert!(slow.len() > 30 && slow.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "diffs tile");
}

#[test]
fn a_snapshot_that_stays_too_old_is_asked_for_ever_more_rarely() {
    let mut bench = Bench::new();
    let mut truth = Truth::new(1);
    join(&mut bench, &mut truth);
    let received = bench.now;
    bench.pass(vec![Inbound::Closed { venue: VENUE, connection: CONNECTION, received }]);
    bench.opened(ConnectionId(2));
    bench.requests.drain();
    // The market is quiet: after a while a snapshot is asked for, and its ids have fallen.
    bench.wait(1_100);
    let asked = |bench: &Bench| match bench.requests.try_recv() {
        Ok(Request::Snapshot { after_ms, .. }) => after_ms,
        other => panic!("a snapshot is asked for, not {other:?}"),
    };
    assert_eq!(asked(&bench), 0);
    let waits: Vec<u32> = (0..9)
        .map(|_| {
            bench.answer(1000, r#"{"lastUpdateId":5,"bids":[],"asks":[]}"#.to_owned());
            asked(&bench)
        })
        .collect();
    assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 16_000, 16_000]);
    // Once it has been put right, the next one is fetched as soon as ever.
    truth.change();
    bench.answer(1000, truth.snapshot());
    let received = bench.now;
    bench.pass(vec![Inbound::Closed { venue: VENUE, connection: ConnectionId(2), received }]);
    bench.opened(ConnectionId(3));
    bench.wait(1_100);
    assert_eq!(asked(&bench), 0);
    bench.answer(1000, r#"{"lastUpdateId":5,"bids":[],"asks":[]}"#.to_owned());
    assert_eq!(asked(&bench), 250);
}
