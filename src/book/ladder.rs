//! One side of a book: a sorted `Vec` with the best level at its end, where nearly every change happens.

use crate::market::{Level, Price, Quantity, Side};

/// A level with the id of the update that last touched it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// The price.
    pub price: Price,
    /// What rests there, never zero.
    pub quantity: Quantity,
    /// The update that set it last, also if it set the same quantity again.
    pub changed: i64,
}

impl Stamped {
    /// Without the stamp.
    pub const fn level(self) -> Level {
        Level { price: self.price, quantity: self.quantity }
    }
}

/// One side of a book.
#[derive(Clone, Debug)]
pub struct Ladder {
    side: Side,
    /// Worst first.
    levels: Vec<Stamped>,
}

impl Ladder {
    /// A side without any level.
    pub const fn new(side: Side) -> Self {
        Self { side, levels: Vec::new() }
    }

    /// Whether buyers or sellers stand here.
    pub const fn side(&self) -> Side {
        self.side
    }

    /// How many levels there are.
    pub const fn len(&self) -> usize {
        self.levels.len()
    }

    /// Whether nobody stands here.
    pub const fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// The highest bid or the lowest ask.
    pub fn best(&self) -> Option<&Stamped> {
        self.levels.last()
    }

    /// The level that is farthest from the best.
    pub fn worst(&self) -> Option<&Stamped> {
        self.levels.first()
    }

    /// All levels, the best first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Stamped> + DoubleEndedIterator {
        self.levels.iter().rev()
    }

    /// The best `count` levels or all there are, the best first.
    pub fn top(&self, count: usize) -> impl ExactSizeIterator<Item = &Stamped> + DoubleEndedIterator {
        self.levels[self.len().saturating_sub(count)..].iter().rev()
    }

    /// The level at `price`.
    pub fn at(&self, price: Price) -> Option<&Stamped> {
        self.find(price).ok().map(|index| &self.levels[index])
    }

    /// Sets what rests at a price; zero removes, and removing what is not there is fine.
    /// Returns the level that was there before.
    pub fn set(&mut self, level: Level, id: i64) -> Option<Stamped> {
        let stamped = Stamped { price: level.price, quantity: level.quantity, changed: id };
        match (self.find(level.price), level.quantity > Quantity::ZERO) {
            (Ok(index), true) => Some(std::mem::replace(&mut self.levels[index], stamped)),
            (Ok(index), false) => Some(self.levels.remove(index)),
            (Err(index), true) => {
                self.levels.insert(index, stamped);
                None
            }
            (Err(_), false) => None,
        }
    }

    /// Drops the worst levels beyond the best `window` ones, and yields them worst first.
    pub fn cut(&mut self, window: usize) -> impl Iterator<Item = Stamped> + '_ {
        self.levels.drain(..self.len().saturating_sub(window))
    }

    /// A number that rises towards the best price of either side.
    ///
    /// `!` and not a minus sign for asks: it turns the order round without overflowing.
    pub(super) const fn rank(side: Side, price: Price) -> i64 {
        match side {
            Side::Bid => price.0,
            Side::Ask => !price.0,
        }
    }

    /// A ladder of these levels in any order; of equal prices the last one counts.
    pub(super) fn of(side: Side, levels: &[Level], id: i64) -> Self {
        let mut sorted: Vec<_> =
            levels.iter().map(|level| Stamped { price: level.price, quantity: level.quantity, changed: id }).collect();
        // Venues send the best first; reversed, and run by run, the stable sort has nothing left to do.
        sorted.reverse();
        sorted.sort_by_key(|level| Self::rank(side, level.price));
        // Being reversed, the last of equal prices now comes first, and that one is kept.
        sorted.dedup_by_key(|level| level.price);
        sorted.retain(|level| level.quantity > Quantity::ZERO);
        Self { side, levels: sorted }
    }

    /// Becomes `fresh`, keeping the stamps of levels that are equal, and tells `touched` every price that differs.
    pub(super) fn become_like(&mut self, fresh: &Self, id: i64, mut touched: impl FnMut(Price)) {
        let mut merged = Vec::with_capacity(fresh.len());
        let mut olds = self.levels.iter().copied().peekable();
        for new in &fresh.levels {
            let rank = Self::rank(self.side, new.price);
            while let Some(gone) = olds.next_if(|old| Self::rank(self.side, old.price) < rank) {
                touched(gone.price);
            }
            let old = olds.next_if(|old| old.price == new.price);
            if let Some(same) = old.filter(|old| old.quantity == new.quantity) {
                merged.push(same);
            } else {
                touched(new.price);
                merged.push(Stamped { changed: id, ..*new });
            }
        }
        olds.for_each(|gone| touched(gone.price));
        self.levels = merged;
    }

    /// Where `price` is, or would have to be put.
    ///
    /// Looks at ever longer runs from the best end, because that is where most changes are (`benches/book.rs`).
    fn find(&self, price: Price) -> Result<usize, usize> {
        let rank_of = |level: &Stamped| Self::rank(self.side, level.price);
        let rank = Self::rank(self.side, price);
        let mut end = self.levels.len();
        let mut run = FIRST_RUN;
        let start = loop {
            let start = end.saturating_sub(run);
            if start == 0 || rank_of(&self.levels[start]) <= rank {
                break start;
            }
            end = start;
            run *= 2;
        };
        match self.levels[start..end].binary_search_by_key(&rank, rank_of) {
            Ok(index) => Ok(start + index),
            Err(index) => Err(start + index),
        }
    }
}

/// Levels looked at first when a price is searched.
const FIRST_RUN: usize = 8;
