//! Who keeps the views up with the rings: whoever asks them, and in between a thread that looks now and then.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
    thread::{self, JoinHandle},
    time::Duration,
};

use super::Views;
use crate::{
    clock::{self, Beat},
    metrics,
    ring::{Lapped, Reader},
    topic::{Batch, Interest},
};

/// How often the rings are looked at when nobody asks, so that no question has much to catch up with and no ring laps us.
/// The writer is spared a wake-up per batch, which was a tenth of a quiet server's work on one core.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The running thread; it is stopped and joined by [`Following::stop`] or on drop.
#[derive(Debug)]
pub struct Following {
    stop: Arc<AtomicBool>,
    beat: Beat,
    thread: Option<JoinHandle<()>>,
}

/// Joins the views to the rings, and starts the thread that looks at those when nobody asks.
///
/// `open` makes the readers, one per engine in the order of the engines. Call it before the engines publish: the mirrors
/// see what is published from then on. Where something was missed, a whole book is asked for through `interest`.
///
/// # Errors
/// If the thread cannot be started.
pub fn follow(
    views: Arc<Views>,
    interest: Arc<Interest>,
    open: impl FnOnce(Waker) -> Vec<Reader<Batch>>,
) -> io::Result<Following> {
    let sources = open(Waker::noop().clone())
        .into_iter()
        .enumerate()
        .map(|(engine, reader)| Source { reader, metrics: metrics::Ring::of(engine, "views") })
        .collect();
    views.rings.get_or_init(|| Mutex::new(Rings { interest, sources }));
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let beat = Beat::new("views", clock::now());
    let beating = beat.clone();
    let thread = thread::Builder::new().name("views".to_owned()).spawn(move || {
        while !stopped.load(Ordering::Acquire) {
            beating.tick(clock::now());
            views.catch_up();
            thread::park_timeout(LOOK_EVERY);
        }
        beating.end();
    })?;
    Ok(Following { stop, beat, thread: Some(thread) })
}

impl Following {
    /// The thread's sign of life.
    pub fn beat(&self) -> Beat {
        self.beat.clone()
    }

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

/// Where the views' news come from.
#[derive(Debug)]
pub(super) struct Rings {
    interest: Arc<Interest>,
    sources: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    reader: Reader<Batch>,
    metrics: metrics::Ring,
}

impl Rings {
    /// Applies what the rings held when the call began.
    pub(super) fn drain(&mut self, views: &Views) {
        for source in &mut self.sources {
            source.drain(views, &self.interest);
        }
    }
}

impl Source {
    fn drain(&mut self, views: &Views, interest: &Interest) {
        let lag = self.reader.lag();
        self.metrics.lag.set(lag as f64);
        for _ in 0..lag {
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
        }
    }
}
