//! The cadences of SBE: they speak while somebody wants them, and whoever listens is never wrong.

use super::*;

const SWIFT: TopicId = TopicId::new(INSTRUMENT, Channel::Depth(Cadence::Swift));
const BRISK: TopicId = TopicId::new(INSTRUMENT, Channel::PartialDepth(20, Cadence::Brisk));

/// Somebody or nobody who wants a topic.
struct Wish {
    topic: TopicId,
    is_on: bool,
}

impl Wish {
    fn set(&mut self, bench: &Bench, is_on: bool) {
        match (self.is_on, is_on) {
            (false, true) => bench.interest.add(self.topic),
            (true, false) => bench.interest.remove(self.topic),
            _ => {}
        }
        self.is_on = is_on;
    }
}

fn answer_snapshots(bench: &mut Bench, truth: &Truth) -> Vec<Said> {
    let mut said = Vec::new();
    for request in bench.requests.try_iter().collect::<Vec<_>>() {
        let Request::Snapshot { instrument, levels, .. } = request else { continue };
        let body = Frame { received: bench.now, bytes: Bytes::from(truth.snapshot()) };
        said.extend(bench.pass(vec![Inbound::Snapshot { instrument, levels, body }]));
    }
    said
}

/// The best bids of a book, as a partial book shows them.
fn best_bids(truth: &Truth) -> Vec<(i64, i64)> {
    truth.bids.iter().rev().take(20).map(|(price, quantity)| (*price, *quantity)).collect()
}

fn shown(bids: &[Level]) -> Vec<(i64, i64)> {
    bids.iter().map(|level| (level.price.0 / 100_000_000, level.quantity.0 / 100_000_000)).collect()
}

#[test]
fn diffs_tile_and_books_are_right_while_interest_comes_and_goes_and_messages_are_lost() {
    for seed in 1..=8 {
        println!("seed {seed}");
        let mut bench = Bench::new();
        let mut truth = Truth::new(seed);
        let mut chance = Rng::with_seed(seed ^ 0xb1d5);
        let [mut swift, mut brisk] = [SWIFT, BRISK].map(|topic| Wish { topic, is_on: false });
        let mut followers = DIFFS.map(|_| Follower::default());
        let (mut naps, mut partials) = (0, 0);
        for round in 0..3_000_i64 {
            bench.now = Nanos(bench.now.0 + 10 * MILLISECOND);
            (0..chance.u32(0..3)).for_each(|_| truth.change());
            let mut said = answer_snapshots(&mut bench, &truth);
            if let Some(diff) = truth.diff(bench.now).filter(|_| chance.u8(0..100) != 0) {
                said.extend(bench.frame(CONNECTION, diff));
            }
            if chance.u8(0..30) == 0 {
                naps += usize::from(swift.is_on);
                let is_on = chance.bool();
                swift.set(&bench, is_on);
            }
            if chance.u8(0..30) == 0 {
                let is_on = chance.bool();
                brisk.set(&bench, is_on);
            }
            if round == 1_500 {
                let received = bench.now;
                said.extend(bench.pass(vec![Inbound::Closed { venue: VENUE, connection: CONNECTION, received }]));
                bench.opened(CONNECTION);
            }
            said.extend(bench.pass(Vec::new()));
            for said in &said {
                for (follower, cadence) in followers.iter_mut().zip(DIFFS) {
                    follower.hear(said, cadence);
                }
                match said {
                    Said::Diff { cadence: Cadence::Brisk, .. } => panic!("it has partial books only"),
                    Said::Partial { cadence: Cadence::Brisk, last, bids } => {
                        partials += 1;
                        if *last == truth.id {
                            assert_eq!(shown(bids), best_bids(&truth), "at {last}");
                        }
                    }
                    Said::Partial { cadence, .. } => panic!("nobody wants partial books of {cadence:?}"),
                    _ => {}
                }
            }
        }
        swift.set(&bench, true);
        truth.change();
        let mut said = Vec::new();
        for _ in 0..40 {
            said.extend(answer_snapshots(&mut bench, &truth));
            said.extend(truth.diff(bench.now).map(|diff| bench.frame(CONNECTION, diff)).unwrap_or_default());
            said.extend(bench.wait(100));
        }
        for (follower, cadence) in followers.iter_mut().zip(DIFFS) {
            said.iter().for_each(|said| follower.hear(said, cadence));
            assert_eq!(follower.last, Some(truth.id), "{cadence:?} is where the venue is");
            assert_eq!((&follower.bids, &follower.asks), (&truth.bids, &truth.asks), "{cadence:?}");
        }
        assert!(naps > 10 && partials > 50 && followers[0].diffs > 100, "{naps} {partials} {}", followers[0].diffs);
    }
}

#[test]
fn who_nobody_wants_says_nothing_and_wakes_within_a_look() {
    let mut bench = Bench::new();
    let mut truth = Truth::new(21);
    join(&mut bench, &mut truth);
    let is_swift = |said: &Said| matches!(said, Said::Diff { cadence: Cadence::Swift, .. });
    let is_brisk = |said: &Said| matches!(said, Said::Partial { cadence: Cadence::Brisk, .. });
    for _ in 0..50 {
        truth.change();
        let mut said = truth.diff(bench.now).map(|diff| bench.frame(CONNECTION, diff)).unwrap_or_default();
        said.extend(bench.wait(20));
        assert!(!said.iter().any(|said| is_swift(said) || is_brisk(said)), "{said:?}");
    }
    bench.interest.add(SWIFT);
    bench.interest.add(BRISK);
    let said = bench.wait(60);
    // What was changed meanwhile comes as one diff that goes on where the cadence began.
    let diffs: Vec<_> = said.iter().filter(|said| is_swift(said)).collect();
    assert!(matches!(diffs[..], [Said::Diff { first: 1_001, last, .. }] if *last == truth.id), "{diffs:?}");
    let partials: Vec<_> = said.iter().filter(|said| is_brisk(said)).collect();
    assert!(matches!(partials[..], [Said::Partial { last, .. }] if *last == truth.id), "{partials:?}");
    assert!(bench.wait(500).is_empty(), "nothing changed");
}

#[test]
fn the_periods_are_upper_rates() {
    let mut bench = Bench::new();
    let mut truth = Truth::new(22);
    join(&mut bench, &mut truth);
    bench.interest.add(SWIFT);
    bench.interest.add(BRISK);
    bench.wait(100);
    let mut spoken: [Vec<i64>; 2] = Default::default();
    for _ in 0..2_000 {
        truth.change();
        bench.now = Nanos(bench.now.0 + MILLISECOND);
        let said = match truth.diff(bench.now) {
            Some(diff) => bench.frame(CONNECTION, diff),
            None => bench.pass(Vec::new()),
        };
        for said in said {
            match said {
                Said::Diff { cadence: Cadence::Swift, .. } => spoken[0].push(bench.now.millis()),
                Said::Partial { cadence: Cadence::Brisk, .. } => spoken[1].push(bench.now.millis()),
                _ => {}
            }
        }
    }
    for (times, period) in spoken.iter().zip([20, 50]) {
        assert!(times.len() as i64 > 2_000 / period - 5, "{} in two seconds", times.len());
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= period), "no closer than {period} ms");
    }
}

#[test]
fn ticks_of_json_keep_nine_tenths_of_their_period_however_late_one_was() {
    for seed in 31..=38 {
        println!("seed {seed}");
        let mut bench = Bench::new();
        let mut truth = Truth::new(seed);
        let mut chance = Rng::with_seed(seed);
        join(&mut bench, &mut truth);
        let start = bench.now;
        let mut spoken: [Vec<i64>; 2] = Default::default();
        // Long pauses, floods, and messages a moment before or behind the grid.
        for _ in 0..3_000 {
            truth.change();
            let step = [1, 1, 1, chance.i64(1..12), chance.i64(80..120), chance.i64(80..120)];
            let step = step[chance.usize(0..step.len())];
            for _ in 0..step {
                bench.now = Nanos(bench.now.0 + MILLISECOND);
                hear_json(&bench.pass(Vec::new()), bench.now, &mut spoken);
            }
            let Some(diff) = truth.diff(bench.now) else { continue };
            let said = bench.frame(CONNECTION, diff);
            hear_json(&said, bench.now, &mut spoken);
        }
        let lasted = (bench.now.0 - start.0) / MILLISECOND;
        for (times, period) in spoken.iter().zip([100, 1_000]) {
            let closest = times.windows(2).map(|pair| pair[1] - pair[0]).min().expect("many ticks");
            assert!(closest >= period * 9 / 10, "{closest} ms between ticks of {period} ms");
            assert!(times.len() as i64 > lasted / period * 7 / 10, "{} in {lasted} ms", times.len());
        }
    }
}

fn hear_json(said: &[Said], now: Nanos, spoken: &mut [Vec<i64>; 2]) {
    for said in said {
        match said {
            Said::Diff { cadence: Cadence::Fast, .. } => spoken[0].push(now.millis()),
            Said::Diff { cadence: Cadence::Slow, .. } => spoken[1].push(now.millis()),
            _ => {}
        }
    }
}

#[test]
fn after_a_late_message_the_grid_is_where_it_was() {
    let mut bench = Bench::new();
    let mut truth = Truth::new(39);
    join(&mut bench, &mut truth);
    let mut tell = |bench: &mut Bench, wait: i64| {
        let mut spoken: [Vec<i64>; 2] = Default::default();
        for _ in 0..wait {
            bench.now = Nanos(bench.now.0 + MILLISECOND);
            hear_json(&bench.pass(Vec::new()), bench.now, &mut spoken);
        }
        (0..4).for_each(|_| truth.change());
        let diff = truth.diff(bench.now).expect("four changes");
        hear_json(&bench.frame(CONNECTION, diff), bench.now, &mut spoken);
        let now = bench.now.millis();
        spoken[0].iter().map(|time| now - time).collect::<Vec<_>>()
    };
    assert_eq!(tell(&mut bench, 3_000), [0]);
    assert_eq!(tell(&mut bench, 150), [0], "50 ms late");
    // On time again, and so 50 ms behind the late one: it waits 40 ms, and each further one 10 ms less.
    assert!(tell(&mut bench, 50).is_empty());
    assert_eq!(tell(&mut bench, 100), [60]);
    assert_eq!(tell(&mut bench, 100), [70]);
    assert_eq!(tell(&mut bench, 100), [80]);
    assert_eq!(tell(&mut bench, 100), [90, 0]);
    assert_eq!(tell(&mut bench, 100), [0], "the venue's own grid again");
}

#[test]
fn a_sleep_longer_than_the_book_remembers_ends_with_diffs_that_are_right_and_tells_nobody_to_start_over() {
    let mut bench = Bench::new();
    let mut truth = Truth::new(23);
    let mut json = Follower::default();
    let body = Frame { received: bench.now, bytes: Bytes::from(truth.snapshot()) };
    let said = bench.pass(vec![Inbound::Snapshot { instrument: INSTRUMENT, levels: 1000, body }]);
    said.iter().for_each(|said| json.hear(said, Cadence::Fast));
    for _ in 0..3_000 {
        (0..10).for_each(|_| truth.change());
        let mut said = truth.diff(bench.now).map(|diff| bench.frame(CONNECTION, diff)).unwrap_or_default();
        said.extend(bench.wait(10));
        said.iter().for_each(|said| json.hear(said, Cadence::Fast));
    }
    bench.interest.add(SWIFT);
    let said = bench.wait(100);
    said.iter().for_each(|said| json.hear(said, Cadence::Fast));
    let woken: Vec<_> = said.iter().filter(|said| matches!(said, Said::Diff { cadence: Cadence::Swift, .. })).collect();
    assert!(woken.is_empty(), "there is nothing to tell to who joins now: {woken:?}");
    // Who joins takes a snapshot, as documented, and applies what follows.
    let mut follower = Follower { last: Some(truth.id), bids: truth.bids.clone(), asks: truth.asks.clone(), diffs: 0 };
    for _ in 0..100 {
        truth.change();
        let mut said = truth.diff(bench.now).map(|diff| bench.frame(CONNECTION, diff)).unwrap_or_default();
        said.extend(bench.wait(20));
        said.iter().for_each(|said| follower.hear(said, Cadence::Swift));
        said.iter().for_each(|said| json.hear(said, Cadence::Fast));
    }
    assert!(follower.diffs > 50);
    bench.wait(100).iter().for_each(|said| json.hear(said, Cadence::Fast));
    for follower in [follower, json] {
        assert_eq!((follower.bids, follower.asks), (truth.bids.clone(), truth.asks.clone()));
    }
}

#[test]
fn a_gap_that_nobody_slept_through_is_healed_for_who_slept() {
    let mut bench = Bench::new();
    let mut truth = Truth::new(24);
    join(&mut bench, &mut truth);
    // The cadence wakes in the middle of a hole, when nothing may be published.
    (0..3).for_each(|_| truth.change());
    let _lost = truth.diff(bench.now).expect("three changes");
    (0..3).for_each(|_| truth.change());
    let diff = truth.diff(bench.now).expect("three changes");
    let said = bench.frame(CONNECTION, diff);
    assert_eq!(said, [Said::State(BookState::Healing)]);
    bench.interest.add(SWIFT);
    bench.interest.add(BRISK);
    assert!(bench.wait(200).is_empty(), "nothing is published while it heals");
    let mut said = answer_snapshots(&mut bench, &truth);
    said.extend(bench.wait(100));
    let told = |wanted: fn(&Said) -> Option<(i64, i64)>| said.iter().filter_map(wanted).collect::<Vec<_>>();
    let diffs = told(|said| match said {
        Said::Diff { cadence: Cadence::Swift, first, last, .. } => Some((*first, *last)),
        _ => None,
    });
    assert_eq!(diffs, [(1_001, truth.id)]);
    let partials = told(|said| match said {
        Said::Partial { cadence: Cadence::Brisk, last, .. } => Some((*last, *last)),
        _ => None,
    });
    assert_eq!(partials, [(truth.id, truth.id)]);
}
