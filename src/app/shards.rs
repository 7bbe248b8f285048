//! The shards, and which of them gets the next session.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use bytes::Bytes;

use crate::{
    clock::Beat,
    config::Config,
    market::Catalogue,
    ring::Publisher,
    server::{self, Rejection},
    session::{self, Opening},
    shard::{Admission, Builder, Setup, Shard, Transport},
    topic::{Batch, Encoding, Interest},
};

/// All shards of the process.
#[derive(Debug)]
pub(super) struct Shards {
    catalogue: Arc<Catalogue>,
    shards: Vec<Shard>,
    /// Two handshakes that end at the same time do not both see the same shard as the emptiest.
    dealing: Mutex<()>,
}

impl Shards {
    /// Starts as many as `server.shards` says, each with a reader of the ring.
    pub(super) fn start(
        config: &Config,
        catalogue: &Arc<Catalogue>,
        interest: &Arc<Interest>,
        publisher: &Publisher<Batch>,
    ) -> io::Result<Self> {
        let start = |index| {
            let builder = Builder::new(index)?;
            let readers = vec![publisher.reader(builder.waker())];
            builder.start(Setup {
                core: config.server.shard_cores.get(index).copied(),
                readers,
                catalogue: Arc::clone(catalogue),
                interest: Arc::clone(interest),
                session: config.session.clone(),
                delivery: config.delivery.clone(),
            })
        };
        let shards = (0..count(config.server.shards)).map(start).collect::<io::Result<_>>()?;
        Ok(Self { catalogue: Arc::clone(catalogue), shards, dealing: Mutex::default() })
    }

    /// Whether none has ended early.
    pub(super) fn are_running(&self) -> bool {
        self.shards.iter().all(Shard::is_running)
    }

    /// Gives every shard the limits and the delay of `config`.
    pub(super) fn adjust(&self, config: &Config) {
        self.shards.iter().for_each(|shard| shard.adjust(config.session.clone(), config.delivery.clone()));
    }

    /// Their signs of life.
    pub(super) fn beats(&self) -> impl Iterator<Item = Beat> {
        self.shards.iter().map(Shard::beat)
    }

    /// Says good-bye to every client and waits until all are gone, `deadline` at most.
    pub(super) fn drain(&self, deadline: Duration) {
        self.shards.iter().for_each(|shard| shard.drain(deadline));
        while self.shards.iter().any(Shard::is_running) {
            thread::sleep(LOOK_EVERY);
        }
    }
}

impl server::Shards for Shards {
    type Opening = Opening;

    fn opening(&self, target: &str, encoding: Encoding) -> Result<Opening, Rejection> {
        let read = match encoding {
            Encoding::Json => session::opening,
            Encoding::Sbe => session::sbe_opening,
        };
        read(target, &self.catalogue)
            .map_err(|rejection| Rejection { status: rejection.status, body: rejection.body.to_owned() })
    }

    fn admit(&self, socket: Transport, early: Bytes, opening: Opening, peer: SocketAddr) -> Result<(), Transport> {
        let _turn = self.dealing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(emptiest) = self.shards.iter().min_by_key(|shard| shard.sessions()) else { return Err(socket) };
        emptiest.admit(Admission { socket, early, opening, peer }).map_err(|admission| admission.socket)
    }
}

/// One per core but one, which is the ingest loop's, unless the configuration says how many.
fn count(configured: usize) -> usize {
    if configured > 0 {
        return configured;
    }
    thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1))
}

/// How often the end of a drain is looked for; nobody waits for it to the millisecond.
const LOOK_EVERY: Duration = Duration::from_millis(10);
