//! The slots, the window of them that can be read, and the buffers that no reader wants any more.
//!
//! A buffer that all readers have passed is taken back soon, and the one used last is filled next: it is still in the cache.
//! When a thousand buffers went round instead, an ingest at full speed took 1.1 times as long (docs/decisions/010-ingest.md).
//!
//! Sequence `n` lives in slot `n % slots`. The writer alone moves the window `tail..head`; a reader that finds another
//! sequence in its slot has been lapped. Slot locks order everything: both counters are hints that let a reader
//! stay away from locks, and the tests under `tests/loom` show that acquire and release are enough for them.

use crossbeam_utils::CachePadded;

use super::{
    Content,
    sync::{Arc, AtomicU64, Mutex, Ordering, lock},
};

/// Shared by the writer and the readers.
#[derive(Debug)]
pub(super) struct Slots<T> {
    slots: Box<[CachePadded<Mutex<Slot<T>>>]>,
    /// The next sequence to be published: all below it can be found in their slots, or were there.
    head: CachePadded<AtomicU64>,
    /// The oldest sequence that can still be read. Moves before its slot is touched.
    tail: CachePadded<AtomicU64>,
}

/// Padded to a cache line: the writer fills one while readers lock its neighbours.
#[derive(Debug)]
struct Slot<T> {
    /// What is in it, or [`NOTHING`].
    sequence: u64,
    content: Option<Arc<T>>,
}

/// What only the writer knows of the slots.
#[derive(Debug)]
pub(super) struct Window<T> {
    head: u64,
    tail: u64,
    /// All readers had passed the sequences below when it was last looked.
    passed: u64,
    /// The sequence that was the next one then.
    looked: u64,
    /// Buffers to fill; the one used last is at the end.
    spare: Vec<Arc<T>>,
    /// What each slot is charged with.
    charges: Box<[usize]>,
    /// The sum of the charges of `tail..head`.
    held: usize,
    bytes: usize,
}

/// No sequence ever has this number.
const NOTHING: u64 = u64::MAX;

impl<T: Content> Slots<T> {
    pub(super) fn new(slots: usize) -> Self {
        let slot = || CachePadded::new(Mutex::new(Slot { sequence: NOTHING, content: None }));
        Self {
            slots: (0..slots).map(|_| slot()).collect(),
            head: CachePadded::new(AtomicU64::new(0)),
            tail: CachePadded::new(AtomicU64::new(0)),
        }
    }

    /// The next sequence to be published.
    pub(super) fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// The batch with this sequence, or `None` if the writer has taken it back. It must have been published.
    pub(super) fn read(&self, sequence: u64) -> Option<Arc<T>> {
        let slot = lock(self.slot(sequence));
        slot.content.clone().filter(|_| slot.sequence == sequence)
    }

    /// Where a lapped reader goes on: in the middle of what is left, because the oldest batch is overwritten next.
    pub(super) fn middle(&self) -> u64 {
        let tail = self.tail.load(Ordering::Acquire);
        tail + (self.head() - tail) / 2
    }

    /// Puts `content` at the head of the window and leaves a cleared buffer in its place. `slowest` says which sequence the
    /// slowest reader wants next.
    pub(super) fn publish(&self, window: &mut Window<T>, content: &mut T, slowest: impl FnOnce() -> u64) {
        let charge = window.charge(content.bytes());
        while window.has_to_retire(charge) {
            self.retire(window);
        }
        if window.is_worth_a_look() {
            self.take_back(window, slowest());
        }
        let sequence = window.head;
        self.put(window, content);
        content.clear();
        let index = window.index(sequence);
        window.charges[index] = charge;
        window.held += charge;
        window.head += 1;
        self.head.store(window.head, Ordering::Release);
    }

    /// Swaps `content` with a spare buffer, or with that of the slot at the head, or with a new one.
    fn put(&self, window: &mut Window<T>, content: &mut T) {
        let sequence = window.head;
        let mut filled = window.fill_spare(content);
        if filled.is_none() {
            let mut slot = lock(self.slot(sequence));
            let Slot { sequence: there, content: own } = &mut *slot;
            if let Some(own) = own.as_mut().and_then(Arc::get_mut) {
                *there = sequence;
                std::mem::swap(own, content);
                return;
            }
        }
        // Nothing is allocated or freed under the lock.
        let mut filled = Some(filled.take().unwrap_or_else(|| Arc::new(std::mem::take(content))));
        {
            let mut slot = lock(self.slot(sequence));
            slot.sequence = sequence;
            std::mem::swap(&mut slot.content, &mut filled);
        }
        if let Some(replaced) = filled {
            window.keep(replaced);
        }
    }

    /// Takes back what all readers have passed. Its slots are empty then, which no reader looks at any more.
    fn take_back(&self, window: &mut Window<T>, slowest: u64) {
        for sequence in window.passed.max(window.tail)..slowest {
            let content = {
                let mut slot = lock(self.slot(sequence));
                slot.sequence = NOTHING;
                slot.content.take()
            };
            let is_reusable = window.charges[window.index(sequence)] <= window.reused_bytes_max();
            if let Some(content) = content.filter(|_| is_reusable) {
                window.keep(content);
            }
        }
        window.passed = window.passed.max(slowest);
        window.looked = window.head;
    }

    /// Takes the oldest batch out of the window.
    fn retire(&self, window: &mut Window<T>) {
        let sequence = window.tail;
        let index = window.index(sequence);
        let charge = std::mem::take(&mut window.charges[index]);
        window.held -= charge;
        window.tail += 1;
        self.tail.store(window.tail, Ordering::Release);
        // A slot that is overwritten at once needs no extra visit, unless its buffer has grown too large to keep.
        let overwritten_at_once = sequence + self.slots.len() as u64 == window.head;
        if overwritten_at_once && charge <= window.reused_bytes_max() {
            return;
        }
        let too_large = {
            let mut slot = lock(self.slot(sequence));
            slot.sequence = NOTHING;
            if charge > window.reused_bytes_max() { slot.content.take() } else { None }
        };
        drop(too_large);
    }

    fn slot(&self, sequence: u64) -> &Mutex<Slot<T>> {
        &self.slots[sequence as usize & (self.slots.len() - 1)]
    }
}

impl<T> Window<T> {
    pub(super) fn new(slots: usize, bytes: usize) -> Self {
        let spare = Vec::with_capacity(spare_max(slots));
        Self { head: 0, tail: 0, passed: 0, looked: 0, spare, charges: vec![0; slots].into(), held: 0, bytes }
    }

    /// Whether it is time to see what readers have passed. Not with each batch: their cursors are on the move, and with a busy
    /// reader on another core fetching them doubled the time of a batch (docs/decisions/006-ring.md).
    fn is_worth_a_look(&self) -> bool {
        self.head - self.looked >= (self.charges.len() as u64 / 512).clamp(1, 16)
    }

    /// Swaps `content` into a spare buffer. One that a reader still works on is left to it.
    fn fill_spare(&mut self, content: &mut T) -> Option<Arc<T>> {
        while let Some(mut spare) = self.spare.pop() {
            if let Some(buffer) = Arc::get_mut(&mut spare) {
                std::mem::swap(buffer, content);
                return Some(spare);
            }
        }
        None
    }

    /// Keeps a buffer, unless there are enough: after a burst most are not needed again soon.
    fn keep(&mut self, buffer: Arc<T>) {
        if self.spare.len() < spare_max(self.charges.len()) {
            self.spare.push(buffer);
        }
    }

    pub(super) fn head(&self) -> u64 {
        self.head
    }

    #[cfg(test)]
    pub(super) fn spare(&self) -> usize {
        self.spare.len()
    }

    /// What a batch counts for: at most half the capacity, so that one larger than the whole ring does not
    /// vanish with the very next batch, before any reader had its turn.
    fn charge(&self, content_bytes: usize) -> usize {
        content_bytes.min(self.bytes / 2)
    }

    fn has_to_retire(&self, charge: usize) -> bool {
        let used = self.head - self.tail;
        used == self.charges.len() as u64 || (used > 0 && self.held + charge > self.bytes)
    }

    /// A buffer that carried more than twice its share of the capacity is freed instead of reused:
    /// otherwise each slot would end up with room for the largest batch that ever passed.
    fn reused_bytes_max(&self) -> usize {
        (self.bytes / self.charges.len()).saturating_mul(2)
    }

    fn index(&self, sequence: u64) -> usize {
        sequence as usize & (self.charges.len() - 1)
    }
}

/// Most buffers kept beside a ring of so many slots: some hundred updates are under way while the readers that look
/// every 50 ms have not.
fn spare_max(slots: usize) -> usize {
    (slots / 8).max(1)
}
