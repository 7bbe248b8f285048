//! Single-writer broadcast ring of batches that never waits for a reader.
//!
//! A reader that falls a whole ring behind is [`Lapped`]: loss is a designed event, counted and handled by the reader.
//! Buffers are taken back and reused: in steady state publishing allocates nothing.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Waker,
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
    /// How many batches it will never see.
    pub missed: u64,
}

/// The writing end; there is one.
#[derive(Debug)]
pub struct Publisher<T> {
    shared: Arc<Shared<T>>,
    head: u64,
}

/// A reading end with its own cursor.
#[derive(Debug)]
pub struct Reader<T> {
    shared: Arc<Shared<T>>,
    cursor: u64,
    sleeper: Arc<Sleeper>,
}

/// The sequence number of a batch and the batch.
type Slot<T> = Mutex<(u64, Arc<T>)>;

#[derive(Debug)]
struct Shared<T> {
    slots: Box<[Slot<T>]>,
    head: AtomicU64,
    sleepers: Mutex<Vec<Arc<Sleeper>>>,
}

#[derive(Debug)]
struct Sleeper {
    asleep: AtomicBool,
    waker: Waker,
}

/// A ring of `slots` batches (a power of two) that together hold at most `bytes`.
pub fn ring<T: Content>(slots: usize, _bytes: usize) -> Publisher<T> {
    assert!(slots.is_power_of_two(), "config checks that ring.slots is a power of two");
    let slots = (0..slots).map(|_| Mutex::new((u64::MAX, Arc::new(T::default())))).collect();
    let shared = Shared { slots, head: AtomicU64::new(0), sleepers: Mutex::new(Vec::new()) };
    Publisher { shared: Arc::new(shared), head: 0 }
}

impl<T: Content> Publisher<T> {
    /// A reader that sees what is published from now on; `waker` is woken when it sleeps and something comes.
    pub fn reader(&self, waker: Waker) -> Reader<T> {
        let sleeper = Arc::new(Sleeper { asleep: AtomicBool::new(false), waker });
        self.shared.sleepers.lock().expect("no panic while held").push(Arc::clone(&sleeper));
        Reader { shared: Arc::clone(&self.shared), cursor: self.head, sleeper }
    }

    /// Publishes `content` and leaves a cleared buffer in its place.
    pub fn publish(&mut self, content: &mut T) {
        let index = self.head as usize & (self.shared.slots.len() - 1);
        let fresh = {
            let mut slot = self.shared.slots[index].lock().expect("no panic while held");
            let (sequence, arc) = &mut *slot;
            *sequence = self.head;
            match Arc::get_mut(arc) {
                Some(buffer) => {
                    std::mem::swap(buffer, content);
                    None
                }
                None => Some(std::mem::replace(arc, Arc::new(std::mem::take(content)))),
            }
        };
        drop(fresh);
        content.clear();
        self.head += 1;
        self.shared.head.store(self.head, Ordering::SeqCst);
        for sleeper in self.shared.sleepers.lock().expect("no panic while held").iter() {
            if sleeper.asleep.load(Ordering::SeqCst) && sleeper.asleep.swap(false, Ordering::SeqCst) {
                sleeper.waker.wake_by_ref();
            }
        }
    }

    /// How many batches were published so far.
    pub fn published(&self) -> u64 {
        self.head
    }
}

impl<T: Content> Reader<T> {
    /// The next batch, if there is one.
    ///
    /// # Errors
    /// [`Lapped`] once if batches were overwritten before they were read; the cursor is then at the oldest one left.
    pub fn read(&mut self) -> Result<Option<Arc<T>>, Lapped> {
        let head = self.shared.head.load(Ordering::SeqCst);
        if self.cursor == head {
            return Ok(None);
        }
        let index = self.cursor as usize & (self.shared.slots.len() - 1);
        let slot = self.shared.slots[index].lock().expect("no panic while held");
        if slot.0 == self.cursor {
            self.cursor += 1;
            return Ok(Some(Arc::clone(&slot.1)));
        }
        drop(slot);
        let oldest = head.saturating_sub(self.shared.slots.len() as u64 / 2);
        let missed = oldest - self.cursor;
        self.cursor = oldest;
        Err(Lapped { missed })
    }

    /// Batches published and not yet read.
    pub fn lag(&self) -> u64 {
        self.shared.head.load(Ordering::Relaxed) - self.cursor
    }

    /// Announces that this reader will sleep until its waker is woken. `false`: something has come, read it instead.
    pub fn sleep(&self) -> bool {
        self.sleeper.asleep.store(true, Ordering::SeqCst);
        let quiet = self.shared.head.load(Ordering::SeqCst) == self.cursor;
        if !quiet {
            self.sleeper.asleep.store(false, Ordering::SeqCst);
        }
        quiet
    }

    /// Announces that this reader is awake (also after a wake-up for another reason): it is not woken while it works.
    pub fn awake(&self) {
        self.sleeper.asleep.store(false, Ordering::SeqCst);
    }
}
