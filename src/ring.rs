//! Single-writer broadcast ring of batches that never waits for a reader.
//!
//! A reader that falls a whole ring behind is [`Lapped`]: loss is a designed event, counted and handled by the reader.
//! Buffers are taken back once all readers have passed them, and reused while they are warm: in steady state publishing
//! allocates nothing, and as many buffers are in use as are under way.
//!
//! Writer and readers meet at the lock of a slot, held for the swap of a buffer or the count of an [`Arc`]: since a
//! reader locks a slot behind the head and the writer one at it, they meet only when a reader is about to be lapped.
//! `tests/loom` runs these files under every interleaving of two threads.

mod sleep;
mod slots;
mod sync;

use std::task::Waker;

use self::{
    sleep::{Sleeper, Sleepers},
    slots::{Slots, Window},
    sync::Arc,
};

/// What a ring carries: reusable, with a size.
pub trait Content: Default + Send + Sync + 'static {
    /// Forgets the content, keeps the memory.
    fn clear(&mut self);
    /// What it occupies, for the capacity in bytes.
    fn bytes(&self) -> usize;
}

/// How far a reader fell behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lapped {
    /// How many batches it will never see: read and missed ones add up to those published since the reader was made.
    pub missed: u64,
}

/// The writing end; there is one. Dropping it closes the ring and wakes all readers.
#[derive(Debug)]
pub struct Publisher<T> {
    shared: Arc<Shared<T>>,
    window: Window<T>,
    woken: Vec<Arc<Sleeper>>,
}

/// A reading end with its own cursor. Dropping it unregisters it.
#[derive(Debug)]
pub struct Reader<T> {
    shared: Arc<Shared<T>>,
    cursor: u64,
    sleeper: Arc<Sleeper>,
}

#[derive(Debug)]
struct Shared<T> {
    slots: Slots<T>,
    sleepers: Sleepers,
}

/// A ring of `slots` batches (a power of two) that together hold at most `bytes`.
///
/// Whichever is reached first retires the oldest batches. A batch counts for half of `bytes` at most, so even one
/// larger than that stays readable while others follow.
///
/// # Panics
/// If `slots` is not a power of two.
pub fn ring<T: Content>(slots: usize, bytes: usize) -> Publisher<T> {
    assert!(slots.is_power_of_two(), "config checks that ring.slots is a power of two");
    let shared = Shared { slots: Slots::new(slots), sleepers: Sleepers::new() };
    Publisher { shared: Arc::new(shared), window: Window::new(slots, bytes), woken: Vec::new() }
}

impl<T: Content> Publisher<T> {
    /// A reader that sees what is published from now on; `waker` is woken when it sleeps and something comes.
    pub fn reader(&self, waker: Waker) -> Reader<T> {
        let sleeper = self.shared.sleepers.register(waker, self.window.head());
        Reader { shared: Arc::clone(&self.shared), cursor: self.window.head(), sleeper }
    }

    /// Publishes `content` and leaves a cleared buffer in its place. Never waits for a reader.
    pub fn publish(&mut self, content: &mut T) {
        let Shared { slots, sleepers } = &*self.shared;
        let head = self.window.head();
        slots.publish(&mut self.window, content, || sleepers.slowest().unwrap_or(head));
        sleepers.wake(&mut self.woken);
    }

    /// How many batches were published so far.
    pub fn published(&self) -> u64 {
        self.window.head()
    }

    /// Buffers that wait to be filled.
    #[cfg(test)]
    fn spare(&self) -> usize {
        self.window.spare()
    }

    /// How many readers there are.
    pub fn readers(&self) -> usize {
        self.shared.sleepers.count()
    }
}

impl<T> Drop for Publisher<T> {
    fn drop(&mut self) {
        self.shared.sleepers.close();
    }
}

impl<T: Content> Reader<T> {
    /// The next batch, if there is one. Let go of it soon: the writer cannot reuse its buffer before.
    ///
    /// # Errors
    /// [`Lapped`] once if batches were taken back before they were read. The cursor is then in the middle of what is
    /// left: going on at the oldest would mean to be lapped again by the next batch.
    pub fn read(&mut self) -> Result<Option<Arc<T>>, Lapped> {
        self.sleeper.wants(self.cursor);
        if self.cursor == self.shared.slots.head() {
            return Ok(None);
        }
        if let Some(content) = self.shared.slots.read(self.cursor) {
            self.cursor += 1;
            return Ok(Some(content));
        }
        let next = self.shared.slots.middle();
        let missed = next - self.cursor;
        self.cursor = next;
        Err(Lapped { missed })
    }

    /// Batches published and not yet read.
    pub fn lag(&self) -> u64 {
        self.shared.slots.head() - self.cursor
    }

    /// Announces that this reader will sleep until its waker is woken. `false`: something has come, or the ring
    /// was closed; look again instead.
    pub fn sleep(&self) -> bool {
        self.shared.sleepers.asleep(&self.sleeper);
        let quiet = self.shared.slots.head() == self.cursor && !self.shared.sleepers.is_closed();
        if !quiet {
            self.awake();
        }
        quiet
    }

    /// Announces that this reader is awake (also after a wake-up for another reason): it is not woken while it works.
    pub fn awake(&self) {
        self.shared.sleepers.awake(&self.sleeper);
    }

    /// Whether all is over: the publisher is gone and everything it published was read or missed.
    pub fn is_closed(&self) -> bool {
        // In this order: what was published before the ring was closed is seen once the closing is.
        self.shared.sleepers.is_closed() && self.shared.slots.head() == self.cursor
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        self.shared.sleepers.unregister(&self.sleeper);
    }
}

#[cfg(all(test, not(tickcast_loom)))]
mod tests;
