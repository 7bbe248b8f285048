//! Who sleeps, and how the writer finds out without looking when nobody does.
//!
//! The two sides meet in the classic way: a reader says that it sleeps and *then* looks for news; the writer publishes
//! news and *then* looks for sleepers. The sequentially consistent fence between the two steps of each side
//! makes it impossible that both miss the other (`tests/loom`: no lost wake-up).

use std::task::Waker;

use crossbeam_utils::CachePadded;

use super::sync::{Arc, AtomicBool, AtomicU64, AtomicUsize, Mutex, Ordering, fence, lock};

/// All readers of a ring by their wakers.
#[derive(Debug)]
pub(super) struct Sleepers {
    /// How many may be asleep; the writer takes the lock below only if there are any.
    asleep: CachePadded<AtomicUsize>,
    registered: Mutex<Vec<Arc<Sleeper>>>,
    closed: AtomicBool,
}

/// One reader as the writer sees it.
#[derive(Debug)]
pub(super) struct Sleeper {
    asleep: AtomicBool,
    /// The sequence that it wants next, or an earlier one: it has let go of what is below.
    wants: AtomicU64,
    waker: Waker,
}

impl Sleepers {
    pub(super) fn new() -> Self {
        Self {
            asleep: CachePadded::new(AtomicUsize::new(0)),
            registered: Mutex::new(Vec::new()),
            closed: AtomicBool::new(false),
        }
    }

    /// A reader that wants `next` first.
    pub(super) fn register(&self, waker: Waker, next: u64) -> Arc<Sleeper> {
        let sleeper = Arc::new(Sleeper { asleep: AtomicBool::new(false), wants: AtomicU64::new(next), waker });
        lock(&self.registered).push(Arc::clone(&sleeper));
        sleeper
    }

    pub(super) fn unregister(&self, sleeper: &Arc<Sleeper>) {
        self.awake(sleeper);
        lock(&self.registered).retain(|other| !Arc::ptr_eq(other, sleeper));
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.registered).len()
    }

    /// What the slowest reader wants next; `None`: there is no reader.
    pub(super) fn slowest(&self) -> Option<u64> {
        lock(&self.registered).iter().map(|sleeper| sleeper.wants.load(Ordering::Acquire)).min()
    }

    /// Announces a sleep. The caller looks for news once more afterwards, and calls [`Sleepers::awake`] if there are any.
    pub(super) fn asleep(&self, sleeper: &Sleeper) {
        // Only the reader itself sets its flag, so load and store need not be one step.
        if !sleeper.asleep.load(Ordering::Relaxed) {
            self.asleep.fetch_add(1, Ordering::Relaxed);
            sleeper.asleep.store(true, Ordering::Release);
        }
        fence(Ordering::SeqCst);
    }

    /// Announces that this reader works: it is not woken until it sleeps again.
    pub(super) fn awake(&self, sleeper: &Sleeper) {
        if sleeper.take_asleep() {
            self.asleep.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Wakes whoever sleeps; called after news were published. `woken` is scratch, empty before and after.
    pub(super) fn wake(&self, woken: &mut Vec<Arc<Sleeper>>) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) == 0 {
            return;
        }
        woken.extend(lock(&self.registered).iter().filter(|sleeper| sleeper.take_asleep()).cloned());
        self.asleep.fetch_sub(woken.len(), Ordering::Relaxed);
        // Outside the lock: a waker may run what it likes, dropping a reader included.
        for sleeper in woken.drain(..) {
            sleeper.waker.wake_by_ref();
        }
    }

    /// Nothing will be published any more.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.wake(&mut Vec::new());
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

impl Sleeper {
    /// Announces what this reader wants next.
    pub(super) fn wants(&self, next: u64) {
        self.wants.store(next, Ordering::Release);
    }

    /// Ends the sleep; `true` for the one caller that ended it, who then counts it out.
    ///
    /// Acquire, so that a sleeper is never counted out before it was counted in: that would hide another one.
    fn take_asleep(&self) -> bool {
        self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Acquire)
    }
}
