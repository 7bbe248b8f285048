//! Depth updates into our book against two `BTreeMap`s, the plainest book there is.
//!
//! The data is made up, but shaped like Binance's: some thousand levels a side, about twenty changes an update, nearly all of them close to
//! the best, many of them removals, and a price that wanders. Ours also records what was touched, and is asked for it.
#![allow(missing_docs, reason = "a bench")]

#[path = "shared/measure.rs"]
mod measure;

use std::{collections::BTreeMap, hint::black_box};

use criterion::Criterion;
use tickcast::{
    book::Book,
    market::{Level, Price, Quantity},
};

use self::measure::{Ratios, timed};

const DEPTHS: [usize; 2] = [1000, 5000];
/// Updates between two ticks of the fast cadence at a busy symbol.
const UPDATES_PER_TICK: usize = 10;
const TOP: usize = 20;

fn main() {
    let mut criterion = measure::criterion();
    for depth in DEPTHS {
        let market = Market::new(depth, if measure::is_small() { 200 } else { 2000 });
        apply(&mut criterion, &market, depth);
        apply_and_tick(&mut criterion, &market, depth);
    }
    criterion.final_summary();
}

/// Nothing but the changes.
fn apply(criterion: &mut Criterion, market: &Market, depth: usize) {
    let mut ratios = Ratios::default();
    run(criterion, &mut ratios, &format!("book/apply/{depth}/ours"), market, Market::book, |book, update, _| {
        book.apply(update.last_id, &update.bids, &update.asks);
    });
    run(criterion, &mut ratios, &format!("book/apply/{depth}/maps"), market, Market::maps, |maps, update, _| {
        maps.sides.apply(update);
    });
    ratios.print("book, per update applied");
}

/// With what the cadences do: the best twenty and all changes, every so many updates.
fn apply_and_tick(criterion: &mut Criterion, market: &Market, depth: usize) {
    let mut ratios = Ratios::default();
    let mut pool = Vec::new();
    // The first id is 1 again in every round.
    let mut told = 1;
    run(criterion, &mut ratios, &format!("book/tick/{depth}/ours"), market, Market::book, |book, update, tick| {
        if update.last_id == 2 {
            told = 1;
        }
        book.apply(update.last_id, &update.bids, &update.asks);
        if tick {
            pool.clear();
            black_box(book.changes_since(told, &mut pool).expect("remembered"));
            black_box(book.top(TOP, &mut pool));
            told = book.last_id();
        }
    });
    let mut pool = Vec::new();
    run(criterion, &mut ratios, &format!("book/tick/{depth}/maps"), market, Market::maps, |maps, update, tick| {
        maps.sides.apply(update);
        maps.changed.note(update);
        if tick {
            pool.clear();
            pool.extend(maps.changed.bids.iter().rev().map(level));
            pool.extend(maps.changed.asks.iter().map(level));
            pool.extend(maps.sides.bids.iter().rev().take(TOP).map(level));
            pool.extend(maps.sides.asks.iter().take(TOP).map(level));
            maps.changed = Sides::default();
            black_box(&pool);
        }
    });
    ratios.print("book, per update with a tick every ten of them");
}

fn level((price, quantity): (&Price, &Quantity)) -> Level {
    Level { price: *price, quantity: *quantity }
}

/// Applies all updates of the market to a fresh book, again and again.
fn run<B>(
    criterion: &mut Criterion,
    ratios: &mut Ratios,
    name: &str,
    market: &Market,
    fresh: impl Fn(&Market) -> B,
    mut apply: impl FnMut(&mut B, &Update, bool),
) {
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|rounds| {
            (0..rounds)
                .map(|_| {
                    let mut book = fresh(market);
                    let time = timed(|| {
                        for (index, update) in market.updates.iter().enumerate() {
                            apply(&mut book, update, index % UPDATES_PER_TICK == UPDATES_PER_TICK - 1);
                        }
                    });
                    ratios.add(name, time, market.updates.len() as u64);
                    black_box(book);
                    time
                })
                .sum()
        });
    });
}

struct Update {
    last_id: i64,
    bids: Vec<Level>,
    asks: Vec<Level>,
}

#[derive(Clone, Default)]
struct Sides {
    bids: BTreeMap<Price, Quantity>,
    asks: BTreeMap<Price, Quantity>,
}

impl Sides {
    fn apply(&mut self, update: &Update) {
        for (side, levels) in [(&mut self.bids, &update.bids), (&mut self.asks, &update.asks)] {
            for level in levels {
                if level.quantity == Quantity::ZERO {
                    side.remove(&level.price);
                } else {
                    side.insert(level.price, level.quantity);
                }
            }
        }
    }

    /// Without removing: what a tick has to tell.
    fn note(&mut self, update: &Update) {
        self.bids.extend(update.bids.iter().map(|level| (level.price, level.quantity)));
        self.asks.extend(update.asks.iter().map(|level| (level.price, level.quantity)));
    }
}

#[derive(Default)]
struct Maps {
    sides: Sides,
    changed: Sides,
}

struct Market {
    first: Sides,
    updates: Vec<Update>,
}

impl Market {
    /// A market of about `depth` levels a side and its next `count` updates; the same ones each time.
    fn new(depth: usize, count: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(20_260_822);
        let mut middle = 6_000_000_i64;
        let mut sides = Sides::default();
        for step in 1..=depth as i64 {
            // A level every other tick, as in a liquid book.
            sides.bids.insert(Price(middle - 2 * step), Quantity(random.i64(1..1_000_000)));
            sides.asks.insert(Price(middle + 2 * step), Quantity(random.i64(1..1_000_000)));
        }
        let first = sides.clone();
        let updates = (0..count)
            .map(|index| {
                middle += random.i64(-3..=3);
                let update = next_update(&mut random, &sides, middle, depth, index as i64 + 2);
                sides.apply(&update);
                update
            })
            .collect();
        Self { first, updates }
    }

    fn book(&self) -> Book {
        let levels = |side: &BTreeMap<_, _>| side.iter().map(level).collect::<Vec<_>>();
        let mut book = Book::default();
        book.reset(1, &levels(&self.first.bids), &levels(&self.first.asks), None);
        book
    }

    fn maps(&self) -> Maps {
        Maps { sides: self.first.clone(), changed: Sides::default() }
    }
}

/// What stood on the wrong side of the new middle is gone; around it about twenty levels come, change and go.
fn next_update(random: &mut fastrand::Rng, sides: &Sides, middle: i64, depth: usize, last_id: i64) -> Update {
    let gone = |(price, _): (&Price, &Quantity)| Level { price: *price, quantity: Quantity::ZERO };
    let mut bids: Vec<_> = sides.bids.range(Price(middle)..).map(gone).collect();
    let mut asks: Vec<_> = sides.asks.range(..=Price(middle)).map(gone).collect();
    for _ in 0..20 {
        // Two thirds within the best thirty ticks, the rest ever rarer down to the end of the book.
        let reach = if random.u8(..3) < 2 { 30.0 } else { 2.0 * depth as f64 };
        let distance = 1 + (random.f64().powi(3) * reach) as i64;
        let quantity = Quantity(if random.u8(..5) < 2 { 0 } else { random.i64(1..1_000_000) });
        if random.bool() {
            bids.push(Level { price: Price(middle - distance), quantity });
        } else {
            asks.push(Level { price: Price(middle + distance), quantity });
        }
    }
    Update { last_id, bids, asks }
}
