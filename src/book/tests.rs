use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};

use super::*;

fn level(price: i64, quantity: i64) -> Level {
    Level { price: Price(price), quantity: Quantity(quantity) }
}

/// The plainest book there is.
#[derive(Clone, Debug, Default, PartialEq)]
struct Oracle {
    bids: BTreeMap<Price, Quantity>,
    asks: BTreeMap<Price, Quantity>,
}

impl Oracle {
    fn of(bids: &[Level], asks: &[Level]) -> Self {
        let mut oracle = Self::default();
        oracle.apply(bids, asks);
        oracle
    }

    fn apply(&mut self, bids: &[Level], asks: &[Level]) {
        for (side, levels) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            for level in levels {
                if level.quantity == Quantity::ZERO {
                    side.remove(&level.price);
                } else {
                    side.insert(level.price, level.quantity);
                }
            }
        }
    }

    fn cut(&mut self, window: usize) {
        while self.bids.len() > window {
            self.bids.pop_first();
        }
        while self.asks.len() > window {
            self.asks.pop_last();
        }
    }

    fn bids(&self) -> Vec<Level> {
        self.bids.iter().rev().map(|(price, quantity)| Level { price: *price, quantity: *quantity }).collect()
    }

    fn asks(&self) -> Vec<Level> {
        self.asks.iter().map(|(price, quantity)| Level { price: *price, quantity: *quantity }).collect()
    }
}

fn assert_same(book: &Book, oracle: &Oracle) {
    let mut pool = vec![level(7, 7)];
    let all = book.top(usize::MAX, &mut pool);
    assert_eq!(all.bids.of(&pool), oracle.bids());
    assert_eq!(all.asks.of(&pool), oracle.asks());
    let best = book.best();
    assert_eq!(best.bid, oracle.bids().first().copied().unwrap_or_default());
    assert_eq!(best.ask, oracle.asks().first().copied().unwrap_or_default());
    for (ladder, levels) in [(book.bids(), oracle.bids()), (book.asks(), oracle.asks())] {
        ladder.assert_sound();
        assert_eq!(ladder.len(), levels.len());
        assert_eq!(ladder.worst(), levels.last().copied());
        assert!(levels.iter().all(|level| ladder.at(level.price).is_some_and(|there| there == *level)));
        let top: Vec<_> = ladder.top(3).collect();
        assert_eq!(top, levels[..levels.len().min(3)]);
    }
}

/// Strictly: bids descending, asks ascending, each price once.
fn assert_ordered(runs: Runs, pool: &[Level]) {
    assert!(runs.bids.of(pool).is_sorted_by(|a, b| a.price > b.price));
    assert!(runs.asks.of(pool).is_sorted_by(|a, b| a.price < b.price));
}

#[derive(Clone, Debug)]
enum Step {
    Apply(Vec<Level>, Vec<Level>),
    Replace(Vec<Level>, Vec<Level>),
    Cut(usize),
    /// A follower that asks for changes this many steps after it asked last.
    Follow,
}

fn levels() -> impl Strategy<Value = Vec<Level>> {
    vec((0_i64..60, 0_i64..4).prop_map(|(price, quantity)| level(price - 30, quantity)), 0..12)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (levels(), levels()).prop_map(|(bids, asks)| Step::Apply(bids, asks)),
        1 => (vec(levels(), 0..6), levels()).prop_map(|(bids, asks)| Step::Replace(bids.concat(), asks)),
        1 => (0_usize..20).prop_map(Step::Cut),
        3 => Just(Step::Follow),
    ];
    vec(step, 1..60)
}

proptest! {
    #[test]
    fn a_book_equals_two_maps_and_its_changes_keep_a_replica_equal(steps in steps(), touches_max in 0_usize..200) {
        let mut book = Book::new(touches_max);
        book.reset(10, &[], &[], None);
        let mut oracle = Oracle::default();
        let (mut replica, mut replica_id) = (Oracle::default(), 10);
        let mut pool = Vec::new();
        for step in steps {
            let id = book.last_id() + 3;
            match step {
                Step::Apply(bids, asks) => {
                    book.apply(id, &bids, &asks);
                    oracle.apply(&bids, &asks);
                }
                Step::Replace(bids, asks) => {
                    book.replace(id, &bids, &asks, Some(1000));
                    oracle = Oracle::of(&bids, &asks);
                }
                Step::Cut(window) => {
                    // A cut belongs to the update before it, so nobody may have looked in between.
                    book.apply(id, &[], &[]);
                    book.cut(window);
                    oracle.cut(window);
                }
                Step::Follow => {
                    pool.truncate(1);
                    let runs = book.changes_since(replica_id, &mut pool).unwrap_or_else(|| {
                        replica = Oracle::default();
                        book.top(usize::MAX, &mut pool)
                    });
                    assert_ordered(runs, &pool);
                    replica.apply(runs.bids.of(&pool), runs.asks.of(&pool));
                    replica_id = book.last_id();
                    prop_assert_eq!(&replica, &oracle);
                }
            }
            assert_same(&book, &oracle);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Thousands of levels, so that blocks of a ladder are split and joined: it fills, then thins out, then fills again.
    #[test]
    fn a_large_book_equals_two_maps(seed in any::<u64>(), spread in 500_i64..4000) {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut book, mut oracle) = (Book::default(), Oracle::default());
        for id in 1..300 {
            let removals = if (id / 100) % 2 == 0 { 2 } else { 9 };
            let mut levels = || -> Vec<_> {
                let quantity = |random: &mut fastrand::Rng| if random.u8(..10) < removals { 0 } else { random.i64(1..9) };
                (0..40).map(|_| level(random.i64(..spread), quantity(&mut random))).collect()
            };
            let (bids, asks) = (levels(), levels());
            book.apply(id, &bids, &asks);
            oracle.apply(&bids, &asks);
            if id % 50 == 0 {
                assert_same(&book, &oracle);
            }
            if id % 120 == 0 {
                book.cut(300);
                oracle.cut(300);
            }
        }
        assert_same(&book, &oracle);
    }
}

#[test]
fn a_level_that_came_back_and_one_that_is_gone_are_both_told_once() {
    let mut book = Book::default();
    book.reset(100, &[level(10, 1), level(9, 1)], &[level(11, 1)], Some(5));
    book.apply(101, &[level(10, 5), level(9, 0)], &[]);
    book.apply(102, &[level(10, 1)], &[level(12, 0)]);
    let mut pool = Vec::new();
    let changes = book.changes_since(100, &mut pool).expect("remembered");
    assert_eq!(changes.bids.of(&pool), [level(10, 1), level(9, 0)]);
    assert_eq!(changes.asks.of(&pool), [level(12, 0)], "the removal of a level we never knew is passed on");
    let changes = book.changes_since(101, &mut pool).expect("remembered");
    assert_eq!(changes.bids.of(&pool), [level(10, 1)]);
    let changes = book.changes_since(102, &mut pool).expect("remembered");
    assert_eq!((changes.bids.len, changes.asks.len), (0, 0));
    assert_eq!(book.changes_since(99, &mut pool), None, "before the first snapshot nothing is known");
}

#[test]
fn the_journal_forgets_the_oldest_touches_and_says_so() {
    let mut book = Book::new(3);
    book.reset(0, &[], &[], None);
    for id in 1..=3 {
        book.apply(id, &[level(id, 1)], &[]);
    }
    let mut pool = Vec::new();
    assert!(book.changes_since(0, &mut pool).is_some());
    book.apply(4, &[level(4, 2)], &[]);
    assert_eq!(book.changes_since(0, &mut pool), None);
    pool.clear();
    let changes = book.changes_since(1, &mut pool).expect("three touches are remembered");
    assert_eq!(changes.bids.of(&pool), [level(4, 2), level(3, 1), level(2, 1)]);
    // A price that comes twice is touched twice, and told once.
    book.apply(5, &[level(5, 1), level(5, 3)], &[]);
    assert_eq!(book.changes_since(2, &mut pool), None);
    pool.clear();
    let changes = book.changes_since(3, &mut pool).expect("three touches are remembered");
    assert_eq!(changes.bids.of(&pool), [level(5, 3), level(4, 2)]);
    book.apply(6, &[level(9, 1), level(8, 1), level(7, 1), level(6, 1)], &[]);
    assert_eq!(book.changes_since(5, &mut pool), None, "an update that is longer than all that is remembered");
    assert!(book.changes_since(6, &mut pool).is_some());
}

#[test]
fn replacing_touches_what_differs_on_top_of_what_was_pending() {
    let mut book = Book::default();
    book.reset(5, &[level(10, 1), level(9, 1), level(8, 1)], &[level(11, 1), level(12, 1)], Some(5));
    book.apply(6, &[], &[level(11, 7)]);
    // 10 stays, 9 is gone, 8 changes, 7 is new; out of order, and 7 twice.
    book.replace(20, &[level(7, 1), level(10, 1), level(8, 2), level(7, 3)], &[level(12, 1), level(11, 7)], Some(5));
    let mut pool = Vec::new();
    let changes = book.changes_since(5, &mut pool).expect("remembered");
    assert_eq!(changes.bids.of(&pool), [level(9, 0), level(8, 2), level(7, 3)]);
    assert_eq!(changes.asks.of(&pool), [level(11, 7)], "pending before, equal now");
    assert_eq!(book.last_id(), 20);
}

#[test]
fn the_horizon_tells_when_a_deeper_snapshot_is_needed() {
    let bids: Vec<_> = (1..=5).map(|price| level(price * 100, 1)).collect();
    let asks = [level(600, 1), level(700, 1)];
    let mut book = Book::default();
    book.reset(1, &bids, &asks, Some(5));
    let horizon = book.horizon(Side::Bid).expect("a side with levels");
    assert_eq!(horizon, Horizon { best: Price(500), worst: Price(100), complete: false });
    assert!(book.horizon(Side::Ask).is_some_and(|horizon| horizon.complete), "two of five: there are no more");
    book.apply(2, &[level(500, 0), level(400, 0), level(300, 0), level(200, 0), level(141, 1)], &[]);
    assert!(!book.needs_deeper(), "141 is farther than 40 from 100");
    book.apply(3, &[level(141, 0), level(140, 1)], &[level(600, 0), level(700, 0)]);
    assert!(book.needs_deeper());
    book.apply(4, &[level(140, 0), level(100, 0)], &[]);
    assert!(book.needs_deeper(), "nothing is left of an incomplete side");
    book.replace(5, &bids, &[], None);
    assert!(!book.needs_deeper(), "a window of the venue has no horizon");
}

#[test]
fn crossed_and_locked_books_are_noticed() {
    let mut book = Book::default();
    book.reset(1, &[level(10, 1)], &[level(11, 1)], None);
    assert!(!book.is_crossed());
    book.apply(2, &[level(11, 1)], &[]);
    assert!(book.is_crossed());
    book.apply(3, &[], &[level(11, 0)]);
    assert!(!book.is_crossed());
}

#[test]
fn extreme_prices_are_ordered_without_overflow() {
    let extremes = [level(i64::MIN, 1), level(i64::MAX, 1), level(0, 1), level(-1, 1)];
    let mut book = Book::default();
    book.reset(i64::MAX, &extremes, &extremes, Some(1));
    assert_same(&book, &Oracle::of(&extremes, &extremes));
    assert!(!book.needs_deeper());
}

#[test]
fn changes_are_told_of_any_number_of_touches_and_of_prices_any_distance_apart() {
    const SEED: u64 = 20_261_122;
    println!("seed {SEED}");
    let mut random = fastrand::Rng::with_seed(SEED);
    for (updates, spread) in [(2, 100), (40, 100), (2, i64::MAX), (40, i64::MAX), (2, 1 << 53), (2, 1 << 54)] {
        for _ in 0..20 {
            let mut book = Book::new(TOUCHES_MAX);
            book.reset(1, &[], &[], None);
            let mut oracle: [BTreeMap<Price, Quantity>; 2] = Default::default();
            for id in 2..2 + updates {
                let levels = [(); 2].map(|()| {
                    (0..random.usize(..60)).map(|_| level(random.i64(..spread), random.i64(..3))).collect::<Vec<_>>()
                });
                for (side, levels) in oracle.iter_mut().zip(&levels) {
                    side.extend(levels.iter().map(|level| (level.price, level.quantity)));
                }
                book.apply(id, &levels[0], &levels[1]);
            }
            let mut pool = Vec::new();
            let runs = book.changes_since(1, &mut pool).expect("remembered");
            let pairs = |span: Span| span.of(&pool).iter().map(|level| (level.price, level.quantity));
            assert!(
                pairs(runs.bids).eq(oracle[0].clone().into_iter().rev()),
                "{updates} updates, prices below {spread}"
            );
            assert!(pairs(runs.asks).eq(oracle[1].clone()), "{updates} updates, prices below {spread}");
        }
    }
}
