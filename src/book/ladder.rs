//! One side of a book: sorted runs of levels, the best at the end of the last one.
//!
//! One sorted `Vec` would be simpler. But in recorded Binance diffs half of all changes are more than a hundred places below
//! the best, most of them levels that come or go, and moving all between them and the best is what they then cost: with 5000
//! levels a side that took twice as long as two `BTreeMap`s do, and blocks of 64 take nine tenths (`benches/book.rs`).

use crate::market::{Level, Price, Quantity, Side};

/// One side of a book.
#[derive(Clone, Debug)]
pub struct Ladder {
    side: Side,
    /// Worst first, in themselves and among each other; none is empty or longer than [`BLOCK_MAX`].
    blocks: Vec<Vec<Rung>>,
    /// The rank of the worst level of each block: what a search looks through before it touches a block.
    worst_ranks: Vec<i64>,
    len: usize,
    /// Blocks that became empty, for those to come.
    spare: Vec<Vec<Rung>>,
}

/// A level as it lies in a ladder.
#[derive(Clone, Copy, Debug)]
struct Rung {
    /// [`Ladder::rank`] of its price: one order for both sides, found without asking for the side.
    rank: i64,
    quantity: Quantity,
}

/// Where a level is, or would have to be put.
#[derive(Clone, Copy, Debug)]
struct Place {
    block: usize,
    index: usize,
}

impl Ladder {
    /// A side without any level.
    pub const fn new(side: Side) -> Self {
        Self { side, blocks: Vec::new(), worst_ranks: Vec::new(), len: 0, spare: Vec::new() }
    }

    /// Whether buyers or sellers stand here.
    pub const fn side(&self) -> Side {
        self.side
    }

    /// How many levels there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody stands here.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The highest bid or the lowest ask.
    #[inline]
    pub fn best(&self) -> Option<Level> {
        self.blocks.last()?.last().map(|rung| self.level(*rung))
    }

    /// The level that is farthest from the best.
    pub fn worst(&self) -> Option<Level> {
        self.blocks.first()?.first().map(|rung| self.level(*rung))
    }

    /// All levels, the best first.
    pub fn iter(&self) -> impl Iterator<Item = Level> {
        self.blocks.iter().rev().flat_map(|block| block.iter().rev()).map(|rung| self.level(*rung))
    }

    /// The best `count` levels or all there are, the best first.
    pub fn top(&self, count: usize) -> impl Iterator<Item = Level> {
        self.iter().take(count)
    }

    /// The level at `price`.
    pub fn at(&self, price: Price) -> Option<Level> {
        let rank = Self::rank(self.side, price);
        let place = self.find_in(self.block_of(rank), rank).ok()?;
        Some(self.level(self.blocks[place.block][place.index]))
    }

    /// Sets what rests at these prices, one after the other; zero removes, and removing what is not there is fine.
    ///
    /// Quickest when the best comes first, as venues send them: the next one is looked for where the last one was.
    pub fn set(&mut self, levels: &[Level]) {
        let mut block = self.blocks.len();
        for level in levels {
            let rung = Rung { rank: Self::rank(self.side, level.price), quantity: level.quantity };
            let found = self.find_near(block, rung.rank);
            let (Ok(place) | Err(place)) = found;
            block = place.block;
            match (found, level.quantity > Quantity::ZERO) {
                (Ok(place), true) => self.blocks[place.block][place.index] = rung,
                (Ok(place), false) => drop(self.remove(place)),
                (Err(place), true) => self.insert(place, rung),
                (Err(_), false) => {}
            }
        }
    }

    /// Drops the worst levels beyond the best `window` ones, and shows `dropped` each of them, worst first.
    pub fn cut(&mut self, window: usize, mut dropped: impl FnMut(Level)) {
        while self.len > window {
            let gone = self.remove(Place { block: 0, index: 0 });
            dropped(self.level(gone));
        }
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

    /// The price that has this rank.
    const fn price(side: Side, rank: i64) -> Price {
        match side {
            Side::Bid => Price(rank),
            Side::Ask => Price(!rank),
        }
    }

    #[inline]
    const fn level(&self, rung: Rung) -> Level {
        Level { price: Self::price(self.side, rung.rank), quantity: rung.quantity }
    }

    /// A ladder of these levels in any order; of equal prices the last one counts.
    pub(super) fn of(side: Side, levels: &[Level]) -> Self {
        let rung = |level: &Level| Rung { rank: Self::rank(side, level.price), quantity: level.quantity };
        let mut sorted: Vec<_> = levels.iter().map(rung).collect();
        // Venues send the best first; reversed, the stable sort has nothing left to do.
        sorted.reverse();
        sorted.sort_by_key(|rung| rung.rank);
        // Being reversed, the last of equal prices now comes first, and that one is kept.
        sorted.dedup_by_key(|rung| rung.rank);
        sorted.retain(|rung| rung.quantity > Quantity::ZERO);
        let mut ladder = Self::new(side);
        ladder.fill(&sorted);
        ladder
    }

    /// Becomes `fresh`, and tells `touched` of every price that differs what rests there from now on.
    pub(super) fn become_like(&mut self, fresh: &Self, mut touched: impl FnMut(Level)) {
        let side = self.side;
        let mut tell = |rank, quantity| touched(Level { price: Self::price(side, rank), quantity });
        let mut olds = self.blocks.iter().flatten().peekable();
        let news = fresh.blocks.iter().flatten();
        for new in news.clone() {
            while let Some(gone) = olds.next_if(|old| old.rank < new.rank) {
                tell(gone.rank, Quantity::ZERO);
            }
            let old = olds.next_if(|old| old.rank == new.rank);
            if old.is_none_or(|old| old.quantity != new.quantity) {
                tell(new.rank, new.quantity);
            }
        }
        olds.for_each(|gone| tell(gone.rank, Quantity::ZERO));
        let sorted: Vec<_> = news.copied().collect();
        self.fill(&sorted);
    }

    /// Replaces all levels by `sorted`, worst first. Blocks are left half empty, with room on both sides of a split.
    fn fill(&mut self, sorted: &[Rung]) {
        self.len = sorted.len();
        self.spare.clear();
        self.blocks.clear();
        for run in sorted.chunks(BLOCK_MAX / 2) {
            let mut block = Vec::with_capacity(BLOCK_MAX);
            block.extend_from_slice(run);
            self.blocks.push(block);
        }
        self.worst_ranks.clear();
        self.worst_ranks.extend(self.blocks.iter().map(|block| block[0].rank));
    }

    /// Where a level is that is likely in `block`, or in the next worse one.
    #[inline]
    fn find_near(&self, block: usize, rank: i64) -> Result<Place, Place> {
        let begins = |block: usize| self.worst_ranks.get(block).is_none_or(|worst| *worst <= rank);
        let is_in = |block: usize| begins(block) && self.worst_ranks.get(block + 1).is_none_or(|next| rank < *next);
        let near = [Some(block), block.checked_sub(1)].into_iter().flatten().find(|block| is_in(*block));
        self.find_in(near.filter(|near| *near < self.blocks.len()).unwrap_or_else(|| self.block_of(rank)), rank)
    }

    /// The last block that begins at or below the rank, or the first one for a new worst level.
    #[inline]
    fn block_of(&self, rank: i64) -> usize {
        self.worst_ranks.partition_point(|worst| *worst <= rank).saturating_sub(1)
    }

    #[inline]
    fn find_in(&self, block: usize, rank: i64) -> Result<Place, Place> {
        let Some(levels) = self.blocks.get(block) else {
            return Err(Place { block: 0, index: 0 });
        };
        match levels.binary_search_by_key(&rank, |rung| rung.rank) {
            Ok(index) => Ok(Place { block, index }),
            Err(index) => Err(Place { block, index }),
        }
    }

    fn insert(&mut self, place: Place, rung: Rung) {
        let Place { mut block, mut index } = place;
        self.len += 1;
        if self.blocks.is_empty() {
            let first = self.empty_block();
            self.blocks.push(first);
            self.worst_ranks.push(0);
        } else if self.blocks[block].len() == BLOCK_MAX {
            self.split(block);
            if index > self.blocks[block].len() {
                index -= self.blocks[block].len();
                block += 1;
            }
        }
        self.blocks[block].insert(index, rung);
        self.note_worst(block);
    }

    fn remove(&mut self, place: Place) -> Rung {
        let Place { block, index } = place;
        self.len -= 1;
        let removed = self.blocks[block].remove(index);
        if self.blocks[block].is_empty() {
            self.take_out(block);
            return removed;
        }
        self.note_worst(block);
        // Small neighbours are joined, so that blocks stay few however levels come and go.
        let other = if block == 0 { 1 } else { block - 1 };
        if other < self.blocks.len() && self.blocks[block].len() + self.blocks[other].len() <= BLOCK_MAX / 4 {
            self.join(block.min(other));
        }
        removed
    }

    /// Moves the better half of a block to a new one behind it.
    fn split(&mut self, block: usize) {
        let mut better = self.empty_block();
        better.extend(self.blocks[block].drain(BLOCK_MAX / 2..));
        self.blocks.insert(block + 1, better);
        self.worst_ranks.insert(block + 1, 0);
        self.note_worst(block + 1);
    }

    /// Moves the levels of the block after `block` to its end.
    fn join(&mut self, block: usize) {
        let (worse, better) = self.blocks.split_at_mut(block + 1);
        worse[block].append(&mut better[0]);
        self.take_out(block + 1);
    }

    fn take_out(&mut self, block: usize) {
        self.worst_ranks.remove(block);
        let empty = self.blocks.remove(block);
        if self.spare.len() < SPARE_MAX {
            self.spare.push(empty);
        }
    }

    fn empty_block(&mut self) -> Vec<Rung> {
        self.spare.pop().unwrap_or_else(|| Vec::with_capacity(BLOCK_MAX))
    }

    fn note_worst(&mut self, block: usize) {
        self.worst_ranks[block] = self.blocks[block][0].rank;
    }

    /// What every method relies on.
    #[cfg(test)]
    pub(super) fn assert_sound(&self) {
        assert!(self.blocks.iter().all(|block| (1..=BLOCK_MAX).contains(&block.len())));
        assert_eq!(self.blocks.iter().map(Vec::len).sum::<usize>(), self.len);
        let worst = self.blocks.iter().map(|block| block[0].rank);
        assert!(worst.eq(self.worst_ranks.iter().copied()));
        assert!(self.blocks.iter().flatten().is_sorted_by_key(|rung| rung.rank));
        assert!(self.blocks.iter().flatten().all(|rung| rung.quantity > Quantity::ZERO));
        assert!(self.spare.iter().all(Vec::is_empty) && self.spare.len() <= SPARE_MAX);
    }
}

/// Levels in a block at most: 1 KiB.
const BLOCK_MAX: usize = 64;
/// Blocks kept for reuse.
const SPARE_MAX: usize = 8;
