//! The slots and the window of them that can be read.
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
    content: Arc<T>,
}

/// What only the writer knows of the slots.
#[derive(Debug)]
pub(super) struct Window {
    head: u64,
    tail: u64,
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
        let slot = || CachePadded::new(Mutex::new(Slot { sequence: NOTHING, content: Arc::new(T::default()) }));
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
        (slot.sequence == sequence).then(|| Arc::clone(&slot.content))
    }

    /// Where a lapped reader goes on: in the middle of what is left, because the oldest batch is overwritten next.
    pub(super) fn middle(&self) -> u64 {
        let tail = self.tail.load(Ordering::Acquire);
        tail + (self.head() - tail) / 2
    }

    /// Puts `content` at the head of the window and leaves a cleared buffer in its place.
    pub(super) fn publish(&self, window: &mut Window, content: &mut T) {
        let charge = window.charge(content.bytes());
        while window.has_to_retire(charge) {
            self.retire(window);
        }
        let sequence = window.head;
        self.put(sequence, content);
        content.clear();
        let index = window.index(sequence);
        window.charges[index] = charge;
        window.held += charge;
        window.head += 1;
        self.head.store(window.head, Ordering::Release);
    }

    /// Swaps `content` with the buffer of its slot.
    fn put(&self, sequence: u64, content: &mut T) {
        {
            let mut slot = lock(self.slot(sequence));
            let Slot { sequence: there, content: buffer } = &mut *slot;
            if let Some(buffer) = Arc::get_mut(buffer) {
                *there = sequence;
                std::mem::swap(buffer, content);
                return;
            }
        }
        // A reader still works on what was here; it frees it when it is done. Nothing is allocated or freed under the lock.
        let mut buffer = Arc::new(std::mem::take(content));
        {
            let mut slot = lock(self.slot(sequence));
            slot.sequence = sequence;
            std::mem::swap(&mut slot.content, &mut buffer);
        }
    }

    /// Takes the oldest batch out of the window.
    fn retire(&self, window: &mut Window) {
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
        let fresh = (charge > window.reused_bytes_max()).then(|| Arc::new(T::default()));
        let replaced = {
            let mut slot = lock(self.slot(sequence));
            slot.sequence = NOTHING;
            fresh.map(|fresh| std::mem::replace(&mut slot.content, fresh))
        };
        drop(replaced);
    }

    fn slot(&self, sequence: u64) -> &Mutex<Slot<T>> {
        &self.slots[sequence as usize & (self.slots.len() - 1)]
    }
}

impl Window {
    pub(super) fn new(slots: usize, bytes: usize) -> Self {
        Self { head: 0, tail: 0, charges: vec![0; slots].into(), held: 0, bytes }
    }

    pub(super) fn head(&self) -> u64 {
        self.head
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
