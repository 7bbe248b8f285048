//! One thread's sockets: subscription tables, the arena of a pass, outboxes, one write per session.
//!
//! A shard is a thread with a `mio::Poll`, its own cursor in every ring and its own sessions; nothing on its hot path
//! is shared with another. `Fanout` is its work without the thread.

mod arena;
mod driver;
mod fanout;
mod gather;
mod links;
mod outbox;
mod retained;
mod schedule;
mod table;
mod uring;
mod wire;

pub use fanout::{Fanout, Reading, Tally};
pub use wire::{Secure, Socket, Transport, Wire};

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    task::{Wake, Waker},
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use mio::{Poll, Token};

use crate::{
    clock::{self, Beat},
    config,
    market::Catalogue,
    ring::Reader,
    session::Opening,
    shard::driver::Driver,
    topic::{Batch, Interest},
};

/// Connections that may wait for a shard: as many as a process with a generous descriptor limit can have. A storm of
/// ten thousand was seen to lose half of itself at a limit of 1024.
const INBOX_MAX: usize = 1 << 16;

/// The token of the doorbell; sessions use their indices, which never get so far.
const BELL: Token = Token(usize::MAX);

/// A connection whose upgrade has been answered.
#[derive(Debug)]
pub struct Admission {
    /// Its socket; the shard makes it non-blocking and switches Nagle's algorithm off.
    pub socket: Transport,
    /// Bytes that the client sent behind its request.
    pub early: Bytes,
    /// What the request's URL said.
    pub opening: Opening,
    /// Who it is, for the log.
    pub peer: SocketAddr,
}

/// What a shard works with.
#[derive(Debug)]
pub struct Setup {
    /// The core to stay on; `None`: the kernel decides.
    pub core: Option<usize>,
    /// One per ring, made with [`Builder::waker`].
    pub readers: Vec<Reader<Batch>>,
    /// What can be subscribed to.
    pub catalogue: Arc<Catalogue>,
    /// Where to say what is wanted.
    pub interest: Arc<Interest>,
    /// Limits and timeouts of sessions.
    pub session: config::Session,
    /// How updates leave.
    pub delivery: config::Delivery,
}

/// A shard that is not running yet: rings want its waker before it can have their readers.
#[derive(Debug)]
pub struct Builder {
    index: usize,
    poll: Poll,
    bell: Arc<Bell>,
}

impl Builder {
    /// Prepares the shard with this index, which names it in metrics and threads.
    ///
    /// # Errors
    /// If the kernel gives no poll.
    pub fn new(index: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let bell = Arc::new(Bell(mio::Waker::new(poll.registry(), BELL)?));
        Ok(Self { index, poll, bell })
    }

    /// Wakes the shard; for [`crate::ring::Publisher::reader`].
    pub fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.bell))
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// If there can be no other thread.
    pub fn start(self, setup: Setup) -> io::Result<Shard> {
        let (sender, inbox) = inbox();
        let shared = Arc::new(Shared::default());
        let name = format!("shard-{}", self.index);
        let beat = Beat::new(&name, clock::now());
        let core = setup.core;
        let wanted = setup.delivery.sender;
        let driver =
            Driver::new(self.index, self.poll, setup, Door { inbox, shared: Arc::clone(&shared), beat: beat.clone() });
        // A queue of sends belongs to the thread that opens it, and whoever insists on one hears of it here.
        let (opened, is_open) = flume::bounded(1);
        let thread = thread::Builder::new().name(name).spawn(move || {
            stay_on(core);
            let mut driver = driver;
            let prepared = driver.prepare(wanted);
            let is_prepared = prepared.is_ok();
            // Nobody hears it only if nobody waits for it.
            let _ = opened.send(prepared);
            if is_prepared {
                driver.run();
            }
        })?;
        if let Ok(prepared) = is_open.recv() {
            prepared?;
        }
        Ok(Shard { inbox: sender, shared, bell: self.bell, beat, thread: Some(thread) })
    }
}

/// A running shard. Dropped, it cuts its sessions off and ends.
#[derive(Debug)]
pub struct Shard {
    inbox: flume::Sender<Admission>,
    shared: Arc<Shared>,
    bell: Arc<Bell>,
    beat: Beat,
    thread: Option<JoinHandle<()>>,
}

impl Shard {
    /// Hands a connection over.
    ///
    /// # Errors
    /// Gives it back if the shard is draining, has ended, or has too many waiting.
    pub fn admit(&self, admission: Admission) -> Result<(), Admission> {
        if self.shared.drain_until.load(Ordering::Acquire) != 0 {
            return Err(admission);
        }
        // Counted first: the dealer has to see it before the shard can.
        self.shared.sessions.fetch_add(1, Ordering::Relaxed);
        match self.inbox.try_send(admission) {
            Ok(()) => {
                self.bell.wake_by_ref();
                Ok(())
            }
            Err(flume::TrySendError::Full(admission) | flume::TrySendError::Disconnected(admission)) => {
                self.shared.sessions.fetch_sub(1, Ordering::Relaxed);
                Err(admission)
            }
        }
    }

    /// The thread's sign of life: it wakes once a second at least.
    pub fn beat(&self) -> Beat {
        self.beat.clone()
    }

    /// Sessions here, those that wait to be taken over included.
    pub fn sessions(&self) -> usize {
        self.shared.sessions.load(Ordering::Relaxed)
    }

    /// Tells every client that the server goes away, closes them with 1001, and ends the thread when all are gone or
    /// `deadline` has passed, whichever is first. Returns at once.
    pub fn drain(&self, deadline: Duration) {
        self.shared.drain_until.store(clock::now().plus(deadline).0.max(1), Ordering::Release);
        self.bell.wake_by_ref();
    }

    /// Whether the thread is there; before a drain its end is a defect.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Gives the thread other limits and another delay, which it takes with its next pass: at once.
    pub fn adjust(&self, session: config::Session, delivery: config::Delivery) {
        *self.shared.adjusted.lock().unwrap_or_else(PoisonError::into_inner) = Some((session, delivery));
        self.shared.is_adjusted.store(true, Ordering::Release);
        self.bell.wake_by_ref();
    }

    /// Waits for the thread to end, which it does after [`Shard::drain`].
    ///
    /// # Errors
    /// What it panicked with.
    pub fn join(mut self) -> thread::Result<()> {
        self.thread.take().map_or(Ok(()), JoinHandle::join)
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.drain(Duration::ZERO);
        }
    }
}

/// What the handle and the thread share.
#[derive(Debug, Default)]
struct Shared {
    sessions: AtomicUsize,
    /// Nanoseconds since the epoch; zero: no drain.
    drain_until: AtomicI64,
    /// What the thread has not taken over yet; looked for only if the flag says that there is something.
    adjusted: Mutex<Option<(config::Session, config::Delivery)>>,
    is_adjusted: AtomicBool,
}

/// The thread's end of the handle.
#[derive(Debug)]
struct Door {
    inbox: flume::Receiver<Admission>,
    shared: Arc<Shared>,
    beat: Beat,
}

/// Where connections wait for the thread to take them over.
fn inbox() -> (flume::Sender<Admission>, flume::Receiver<Admission>) {
    flume::bounded(INBOX_MAX)
}

/// Interrupts the poll.
#[derive(Debug)]
struct Bell(mio::Waker);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // It can only fail when the counter behind it is full: the poll is awake then.
        let _ = self.0.wake();
    }
}

fn stay_on(core: Option<usize>) {
    let Some(core) = core else { return };
    let mut cores = rustix::thread::CpuSet::new();
    if core < rustix::thread::CpuSet::MAX_CPU {
        cores.set(core);
    }
    if let Err(error) = rustix::thread::sched_setaffinity(None, &cores) {
        tracing::warn!(core, %error, "cannot stay on the core that server.shard_cores names; the kernel decides");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{market::Nanos, session};

    #[test]
    fn a_storm_waits_for_a_shard_that_is_busy() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let peer = listener.local_addr().expect("it is bound");
        let socket = std::net::TcpStream::connect(peer).expect("it listens");
        let builder = Builder::new(0).expect("a poll");
        // Nobody takes anything out: the thread is as busy as it can be.
        let (sender, _inbox) = inbox();
        let shard = Shard {
            inbox: sender,
            shared: Arc::default(),
            bell: builder.bell,
            beat: Beat::new("shard-0", Nanos(0)),
            thread: None,
        };
        let opening = session::opening("/ws", &Catalogue::new()).expect("a path of ours");
        for index in 0..4_000 {
            let socket = socket.try_clone().expect("a descriptor").into();
            let admission = Admission { socket, early: Bytes::new(), opening: opening.clone(), peer };
            assert!(shard.admit(admission).is_ok(), "connection {index} was sent away");
        }
        assert_eq!(shard.sessions(), 4_000);
    }
}
