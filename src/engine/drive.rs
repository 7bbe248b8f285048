//! The loop around an engine, on a thread of its own or beside intake.

use std::{io, mem, thread};

use tokio::{runtime::Handle, task, time};

use super::Engine;
use crate::{
    clock::{self, Beat},
    intake::Inbound,
    market::Nanos,
};

/// A running ingest loop.
#[derive(Debug)]
pub struct Running {
    place: Place,
    beat: Beat,
}

#[derive(Debug)]
enum Place {
    /// On a thread of its own.
    Thread(thread::JoinHandle<()>),
    /// Among the tasks of a runtime.
    Task(Handle, task::JoinHandle<()>),
}

/// Runs `engine` on a thread of its own until every sender of `inbound` is gone.
///
/// # Errors
/// If the thread cannot be made.
pub fn start(mut engine: Engine, inbound: flume::Receiver<Inbound>) -> io::Result<Running> {
    let running = Beat::new(NAME, clock::now());
    let beat = running.clone();
    let thread = thread::Builder::new().name(NAME.to_owned()).spawn(move || {
        let mut now = clock::now();
        loop {
            let wait = engine.next_due().since(now);
            let first = match inbound.recv_timeout(wait) {
                Ok(message) => Some(message),
                Err(flume::RecvTimeoutError::Timeout) => None,
                Err(flume::RecvTimeoutError::Disconnected) => return beat.end(),
            };
            now = engine.turn(first, &inbound, &beat);
        }
    })?;
    Ok(Running { place: Place::Thread(thread), beat: running })
}

/// Runs `engine` among the tasks of `runtime`, which is that of intake: on one core a thread of its own would only add two
/// context switches to every frame (docs/decisions/013-one-core.md).
pub fn start_beside(mut engine: Engine, inbound: flume::Receiver<Inbound>, runtime: &Handle) -> Running {
    let running = Beat::new(NAME, clock::now());
    let beat = running.clone();
    let task = runtime.spawn(async move {
        let mut now = clock::now();
        loop {
            let wait = engine.next_due().since(now);
            let first = match time::timeout(wait, inbound.recv_async()).await {
                Ok(Ok(message)) => Some(message),
                Ok(Err(flume::RecvError::Disconnected)) => return beat.end(),
                Err(_elapsed) => None,
            };
            now = engine.turn(first, &inbound, &beat);
        }
    });
    Running { place: Place::Task(runtime.clone(), task), beat: running }
}

impl Engine {
    /// One pass, with the message that ended the wait and those that are there behind it. Returns the time of its end.
    fn turn(&mut self, first: Option<Inbound>, inbound: &flume::Receiver<Inbound>, beat: &Beat) -> Nanos {
        let messages = first.into_iter().chain(inbound.try_iter()).take(PASS_MESSAGES_MAX);
        let began = clock::now();
        beat.tick(began);
        self.pass(began, messages);
        let ended = clock::now();
        let frames = mem::take(&mut self.frames);
        if frames > 0 {
            self.passes.seconds.record(ended.since(began).as_secs_f64());
            self.passes.frames.record(frames as f64);
        }
        ended
    }
}

impl Running {
    /// Waits for the end, which comes when intake has stopped. Not for tasks of the engine's own runtime.
    pub fn join(self) {
        let has_failed = match self.place {
            Place::Thread(thread) => thread.join().is_err(),
            Place::Task(runtime, task) => runtime.block_on(task).is_err(),
        };
        if has_failed {
            tracing::error!("the engine ended with a defect; please report what stands above");
        }
    }

    /// The loop's sign of life: it takes twenty turns a second at least.
    pub fn beat(&self) -> Beat {
        self.beat.clone()
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        match &self.place {
            Place::Thread(thread) => thread.is_finished(),
            Place::Task(_, task) => task.is_finished(),
        }
    }
}

/// The loop's name, which is its thread's if it has one.
const NAME: &str = "engine-0";

/// Most messages of intake in one pass: ticks are not put off without limit by a flood.
const PASS_MESSAGES_MAX: usize = 256;
