//! The thread that keeps the views up with the rings.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
    thread::{self, JoinHandle, Thread},
};

use super::Views;
use crate::{
    metrics,
    ring::{Lapped, Reader},
    topic::{Batch, Interest},
};

/// Batches taken from one ring before the next ring has its turn.
const BATCHES_PER_TURN: usize = 64;

/// The running thread; it is stopped and joined by [`Following::stop`] or on drop.
#[derive(Debug)]
pub struct Following {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the thread that applies what the rings bring, and parks between.
///
/// `open` makes the readers, one per engine in the order of the engines, with the waker that rouses the thread.
/// Call it before the engines publish: the mirrors see what is published from then on. Where something was missed,
/// a whole book is asked for through `interest`.
///
/// # Errors
/// If the thread cannot be started.
pub fn follow(
    views: Arc<Views>,
    interest: Arc<Interest>,
    open: impl FnOnce(Waker) -> Vec<Reader<Batch>>,
) -> io::Result<Following> {
    let bell = Arc::new(Bell(OnceLock::new()));
    let sources: Vec<_> = open(Waker::from(Arc::clone(&bell)))
        .into_iter()
        .enumerate()
        .map(|(engine, reader)| Source { reader, metrics: metrics::Ring::of(engine, "views") })
        .collect();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = thread::Builder::new().name("views".to_owned()).spawn(move || {
        // Before the first sleep, so that no wake-up can find the bell without a thread.
        bell.0.get_or_init(thread::current);
        run(&views, &interest, sources, &stopped);
    })?;
    Ok(Following { stop, thread: Some(thread) })
}

impl Following {
    /// Ends the thread and waits for it; the views keep their last values.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.stop.store(true, Ordering::Release);
        thread.thread().unpark();
        if thread.join().is_err() {
            tracing::error!("the views thread had panicked");
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.end();
    }
}

/// Unparks the following thread. The waker has to exist before the readers and thus before the thread.
struct Bell(OnceLock<Thread>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(thread) = self.0.get() {
            thread.unpark();
        }
    }
}

struct Source {
    reader: Reader<Batch>,
    metrics: metrics::Ring,
}

fn run(views: &Views, interest: &Interest, mut sources: Vec<Source>, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        let mut batches = 0;
        for source in &mut sources {
            batches += source.turn(views, interest);
        }
        if batches > 0 {
            continue;
        }
        let is_quiet = sources.iter().all(|source| source.reader.sleep());
        if is_quiet && !stop.load(Ordering::Acquire) {
            thread::park();
        }
        sources.iter().for_each(|source| source.reader.awake());
    }
}

impl Source {
    /// Applies what this ring has, up to one turn's worth; returns how many steps were taken.
    fn turn(&mut self, views: &Views, interest: &Interest) -> usize {
        let mut steps = 0;
        while steps < BATCHES_PER_TURN {
            match self.reader.read() {
                Ok(None) => break,
                Ok(Some(batch)) => views.apply(&batch, |instrument| interest.ask_snapshot(instrument)),
                Err(Lapped { missed }) => {
                    tracing::warn!(missed, "views fell a whole ring behind; asking for all books again");
                    self.metrics.laps.increment(1);
                    self.metrics.missed.increment(missed);
                    views.lose(|instrument| interest.ask_snapshot(instrument));
                }
            }
            steps += 1;
        }
        self.metrics.lag.set(self.reader.lag() as f64);
        steps
    }
}
