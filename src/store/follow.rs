//! The two threads of the store: one reads the rings and never waits for a disk, the other one commits.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
    thread::{self, JoinHandle},
    time::Duration,
};

use super::Store;
use crate::{
    clock::{self, Beat},
    metrics,
    ring::{Lapped, Reader},
    topic::Batch,
};

/// How often the rings are looked at. The writer is spared a wake-up per batch: nobody waits for history, and the views
/// have what is younger.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The running threads; they are stopped and joined by [`Following::stop`] or on drop.
#[derive(Debug)]
pub struct Following {
    stop: Arc<AtomicBool>,
    beat: Beat,
    reading: Option<JoinHandle<()>>,
    committing: Option<JoinHandle<()>>,
    store: Arc<Store>,
}

/// Starts the thread that takes history from the rings and the one that brings it to disk.
///
/// `open` makes the readers, one per engine in the order of the engines. Call it before the engines publish.
///
/// # Errors
/// If a thread cannot be started.
pub fn follow(store: Arc<Store>, open: impl FnOnce(Waker) -> Vec<Reader<Batch>>) -> io::Result<Following> {
    let sources: Vec<_> = open(Waker::noop().clone())
        .into_iter()
        .enumerate()
        .map(|(engine, reader)| Source { reader, metrics: metrics::Ring::of(engine, "store") })
        .collect();
    let stop = Arc::new(AtomicBool::new(false));
    let beat = Beat::new("store", clock::now());
    let beating = beat.clone();
    let mut following =
        Following { stop: Arc::clone(&stop), beat, reading: None, committing: None, store: Arc::clone(&store) };
    let (reader_store, reader_stop) = (Arc::clone(&store), Arc::clone(&stop));
    let reading = thread::Builder::new().name("store".to_owned());
    following.reading = Some(reading.spawn(move || read(&reader_store, sources, &reader_stop, &beating))?);
    let every = Duration::from_millis(store.settings.commit_interval_ms);
    let committing = thread::Builder::new().name("store-disk".to_owned());
    following.committing = Some(committing.spawn(move || {
        // Nobody waits for history to be written: where cores are scarce those who deliver go first. It is the calling
        // thread's own on Linux, and can always be had.
        let _ = rustix::process::nice(NICENESS);
        while !stop.load(Ordering::Acquire) {
            store.commit();
            thread::park_timeout(every);
        }
    })?);
    Ok(following)
}

/// How far the thread that commits steps back.
const NICENESS: i32 = 10;

impl Following {
    /// The sign of life of the thread that reads the rings. The other one may wait long for a slow disk, which is no reason
    /// to end a process that serves: its metrics tell.
    pub fn beat(&self) -> Beat {
        self.beat.clone()
    }

    /// Takes in what the rings still have, brings it to disk and closes the file.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Release);
        for thread in [self.reading.take(), self.committing.take()].into_iter().flatten() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("a thread of the store had panicked");
            }
        }
        self.store.close();
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        if self.reading.is_some() || self.committing.is_some() {
            self.end();
        }
    }
}

struct Source {
    reader: Reader<Batch>,
    metrics: metrics::Ring,
}

fn read(store: &Store, mut sources: Vec<Source>, stop: &AtomicBool, beat: &Beat) {
    loop {
        beat.tick(clock::now());
        // Looked at first: what was published before the end is taken in.
        let is_last = stop.load(Ordering::Acquire);
        sources.iter_mut().for_each(|source| source.drain(store));
        if is_last {
            return beat.end();
        }
        thread::park_timeout(LOOK_EVERY);
    }
}

impl Source {
    /// Takes in what was in this ring when the turn began.
    fn drain(&mut self, store: &Store) {
        let lag = self.reader.lag();
        self.metrics.lag.set(lag as f64);
        for _ in 0..lag {
            match self.reader.read() {
                Ok(None) => break,
                Ok(Some(batch)) => store.apply(&batch),
                Err(Lapped { missed }) => {
                    tracing::warn!(missed, "the store fell a whole ring behind: its candles have a hole");
                    self.metrics.laps.increment(1);
                    self.metrics.missed.increment(missed);
                    store.metrics.lapped.increment(1);
                }
            }
        }
    }
}
