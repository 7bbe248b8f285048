//! Builds and joins everything, one stage a line; signals and drain.

mod notify;
mod operator;
mod plan;
mod record;
mod shards;
mod signal;

pub use operator::Console;
pub use plan::check;
pub use record::{Counts, Recorder, VenueCounts};
pub use signal::{run_until_signal, run_while, wait_for_signal, wait_for_signal_while};

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, thread, time::Duration};

use thiserror::Error;
use tokio::runtime::{Builder, Runtime};

use crate::{
    clock::{self, Beat, Beats},
    config::{Config, ConfigError, EMBEDDED, EngineThread},
    engine::{self, Engine},
    intake::{self, Inbound, Intake, Tap},
    market::{Catalogue, Nanos, Series},
    metrics,
    ring::{self, Publisher},
    server::{self, BindError, CertificateError, DoorError, Server},
    sim,
    store::{self, Store, StoreError},
    topic::{Batch, Interest},
    views::{self, Following, Views},
};

use operator::{Operator, Reach};
use plan::Plan;
use shards::Shards;

/// Why the program does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration asks for what there is not.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address cannot be listened at.
    #[error(transparent)]
    Address(#[from] BindError),
    /// TLS is wanted and certificate or key are no good.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The history cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A recording cannot be read.
    #[error("{0}")]
    Recording(String),
    /// The system refuses a thread or a socket.
    #[error("{what}: {source}")]
    System {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl From<DoorError> for StartError {
    fn from(error: DoorError) -> Self {
        match error {
            DoorError::Address(error) => Self::Address(error),
            DoorError::Certificate(error) => Self::Certificate(error),
        }
    }
}

impl StartError {
    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}

/// Everything, running. [`App::stop`] drains it in order.
#[derive(Debug)]
pub struct App {
    // Dropped in this order: doors first, the exchange last.
    server: Server,
    doors: Runtime,
    shards: Arc<Shards>,
    following: Following,
    keeping: store::Following,
    ingest: Ingest,
    feeds: Runtime,
    exchange: Option<Source>,
    catalogue: Arc<Catalogue>,
    operator: Arc<Operator>,
}

/// The half above the ring.
#[derive(Debug)]
struct Ingest {
    intake: Intake,
    engine: engine::Running,
    up: flume::WeakSender<Inbound>,
}

/// What stands in for an exchange inside this process.
#[derive(Debug)]
enum Source {
    Simulated(sim::Running),
    Replayed(Vec<sim::replay::Running>),
}

impl App {
    /// Starts everything that `config` names; venues that are `embedded` get the simulated exchange.
    ///
    /// # Errors
    /// What is wrong, for a person. A venue that cannot be reached is no error: it is tried for ever.
    pub fn start(mut config: Config, console: Box<dyn Console>) -> Result<Self, StartError> {
        let exchange = plan::embed(&mut config)?;
        Self::join(&config, exchange.map(Source::Simulated), Operator::new(console, false))
    }

    /// Starts everything on a recording: stand-ins play its exchanges, in place of the configured venues, and history is
    /// kept in memory.
    ///
    /// # Errors
    /// As [`App::start`], and if the files are no recording.
    pub fn start_replay(
        mut config: Config,
        console: Box<dyn Console>,
        files: &[PathBuf],
        speed: sim::replay::Speed,
    ) -> Result<Self, StartError> {
        let replays = plan::stand_in(&mut config, files, speed)?;
        // What a recording says is not the history of the venues that it is from.
        config.store.path.clear();
        // It falls silent at its end, and its last state is served on.
        config.ops.silence_max_ms = 0;
        Self::join(&config, Some(Source::Replayed(replays)), Operator::new(console, true))
    }

    /// The stages, from the doors' side of the ring to the venues' side, so that no update is published before whoever
    /// mirrors it listens.
    fn join(config: &Config, exchange: Option<Source>, operator: Operator) -> Result<Self, StartError> {
        let operator = Arc::new(operator);
        let beats = Beats::default();
        let prometheus = metrics::install().map_err(|error| StartError::System {
            what: "installing the metrics recorder",
            source: io::Error::other(error),
        })?;
        metrics::build_info(env!("CARGO_PKG_VERSION"));
        let plan = Plan::of(config)?;
        let catalogue = Arc::clone(&plan.catalogue);
        let interest = Arc::new(Interest::new(catalogue.instruments().len()));
        let publisher = ring::ring::<Batch>(config.ring.slots, config.ring.bytes);

        let store = Store::open(Arc::clone(&catalogue), &config.store)?;
        let keeping = store::follow(Arc::clone(&store), |waker| vec![publisher.reader(waker)])
            .map_err(StartError::system("starting the store"))?;
        let views = Views::new(Arc::clone(&catalogue));
        let following = views::follow(Arc::clone(&views), Arc::clone(&interest), |waker| vec![publisher.reader(waker)])
            .map_err(StartError::system("starting the views"))?;
        let shards = Shards::start(config, &catalogue, &interest, &publisher)
            .map(Arc::new)
            .map_err(StartError::system("starting the shards"))?;
        let doors = runtime("doors")?;
        let threads = [keeping.beat(), following.beat()].into_iter().chain(shards.beats());
        threads.chain([beat_of(&doors, "doors")]).for_each(|beat| beats.add(beat));
        let parts = server::Parts {
            catalogue: Arc::clone(&catalogue),
            views: Arc::clone(&views),
            store: Arc::clone(&store),
            shards: Arc::clone(&shards),
            prometheus,
            beats: beats.clone(),
            operations: Arc::clone(&operator) as Arc<dyn server::Operations>,
        };
        let server = server::start(doors.handle(), config, parts)?;

        let feeds = runtime("intake")?;
        beats.add(beat_of(&feeds, "intake"));
        let kept = kept(&catalogue, &store);
        let ingest = Ingest::start(config, plan, interest, publisher, &feeds, None, kept)?;
        beats.add(ingest.engine.beat());
        let (adjusted, up) = (server.adjusted(), ingest.up.clone());
        operator.begin(Reach { doors: adjusted, shards: Arc::clone(&shards), up });
        Ok(Self { server, doors, shards, following, keeping, ingest, feeds, exchange, catalogue, operator })
    }

    /// Where the public door is.
    pub fn public_address(&self) -> SocketAddr {
        self.server.public_addr()
    }

    /// Whether the doors for clients speak TLS.
    pub fn is_secure(&self) -> bool {
        self.server.is_secure()
    }

    /// Where the door of SBE is; `None` if it is switched off.
    pub fn sbe_address(&self) -> Option<SocketAddr> {
        self.server.sbe_addr()
    }

    /// Where the operators' door is.
    pub fn ops_address(&self) -> SocketAddr {
        self.server.ops_addr()
    }

    /// How many instruments are configured.
    pub fn instruments(&self) -> usize {
        self.catalogue.instruments().len()
    }

    /// Their venues' names.
    pub fn venues(&self) -> Vec<&str> {
        self.catalogue.venues().iter().map(|venue| &*venue.name).collect()
    }

    /// A symbol to try first.
    pub fn example_symbol(&self) -> &str {
        self.catalogue.instruments().first().map_or("BTCUSDT", |instrument| &instrument.symbol)
    }

    /// The exchange inside this process, if it is the simulated one.
    pub fn exchange(&self) -> Option<&sim::Running> {
        match &self.exchange {
            Some(Source::Simulated(exchange)) => Some(exchange),
            _ => None,
        }
    }

    /// How many frames of the recording were served, of how many that have been asked for so far.
    pub fn replayed(&self) -> (u64, u64) {
        let progress = self.replays().iter().map(sim::replay::Running::progress);
        progress.fold((0, 0), |(sent, total), (more_sent, more)| (sent + more_sent, total + more))
    }

    /// Where in the recording the feeds are: its first time, that of the venue that is the farthest, and its last time.
    pub fn replay_position(&self) -> Option<(Nanos, Nanos, Nanos)> {
        let positions = self.replays().iter().filter_map(sim::replay::Running::position);
        positions.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1), a.2.max(b.2)))
    }

    /// Whether the last frame of every venue of the recording has been sent.
    pub fn has_replayed(&self) -> bool {
        self.replays().iter().all(sim::replay::Running::finished)
    }

    fn replays(&self) -> &[sim::replay::Running] {
        match &self.exchange {
            Some(Source::Replayed(replays)) => replays,
            _ => &[],
        }
    }

    /// Whether every thread still runs: one that ended early ended with a defect.
    pub fn is_sound(&self) -> bool {
        !self.ingest.engine.is_finished() && self.shards.are_running()
    }

    /// Drains: no new connections, `serverShutdown` to everyone, close frames, then venues and threads end.
    pub fn stop(self) {
        let Self { server, doors, shards, following, keeping, ingest, feeds, exchange, .. } = self;
        server.stop_accepting();
        shards.drain(DRAIN);
        doors.block_on(server.shutdown());
        ingest.stop(&feeds);
        following.stop();
        keeping.stop();
        drop(exchange);
        feeds.shutdown_timeout(DRAIN);
        doors.shutdown_timeout(DRAIN);
    }
}

impl Ingest {
    /// Starts the ingest loop, gives it what was `kept` from before, then starts what feeds it.
    fn start(
        config: &Config,
        plan: Plan,
        interest: Arc<Interest>,
        publisher: Publisher<Batch>,
        feeds: &Runtime,
        tap: Option<Tap>,
        kept: impl IntoIterator<Item = Inbound>,
    ) -> Result<Self, StartError> {
        let (up, inbound) = flume::bounded(INBOUND_MAX);
        let (asked, requests) = flume::bounded(REQUESTS_MAX);
        let engine = Engine::new(engine::Parts {
            catalogue: Arc::clone(&plan.catalogue),
            protocols: plan.protocols,
            interest,
            publisher,
            requests: asked,
            settings: config.engine.clone(),
            stale_after: Duration::from_millis(config.intake.stale_after_ms),
        });
        let is_beside = match config.engine.thread {
            EngineThread::Own => false,
            EngineThread::Intake => true,
            EngineThread::Auto => thread::available_parallelism().is_ok_and(|cores| cores.get() == 1),
        };
        let engine = if is_beside {
            engine::start_beside(engine, inbound, feeds.handle())
        } else {
            engine::start(engine, inbound).map_err(StartError::system("starting the engine"))?
        };
        for kept in kept {
            // The engine runs already, so that there is room soon; if it ended at once, that is said elsewhere.
            let _engine_ended = up.send(kept);
        }
        let weak = up.downgrade();
        let intake = intake::start(feeds.handle(), plan.feeds, &plan.catalogue, &config.intake, up, requests, tap);
        Ok(Self { intake, engine, up: weak })
    }

    /// The venues' connections are closed; the loop ends with them.
    fn stop(self, feeds: &Runtime) {
        feeds.block_on(self.intake.stop());
        self.engine.join();
    }
}

/// Runs the simulated exchange alone, at `listen`.
///
/// # Errors
/// If the address cannot be listened at.
pub fn start_exchange(config: &Config, listen: SocketAddr) -> Result<sim::Running, StartError> {
    plan::exchange(config, listen, Vec::new())
}

/// What the engine needs of the candles kept from before, so that it asks the venue only for what lacks.
fn kept(catalogue: &Catalogue, store: &Store) -> impl Iterator<Item = Inbound> {
    let instruments = catalogue.instruments().iter().map(|instrument| instrument.id);
    instruments.flat_map(move |instrument| {
        Series::ALL.into_iter().filter_map(move |series| {
            let most = if series == Series::MINUTE { KEPT_MINUTES } else { KEPT_ROWS };
            let (decimals, klines) = store.kept(instrument, series, most)?;
            Some(Inbound::Kept { instrument, decimals, klines })
        })
    })
}

/// The longest rolling window, seven days, and the minute before it.
const KEPT_MINUTES: usize = 7 * 24 * 60 + 1;

/// One whole answer of REST, and the candle before it.
const KEPT_ROWS: usize = 1001;

fn runtime(name: &'static str) -> Result<Runtime, StartError> {
    let runtime = Builder::new_multi_thread().worker_threads(1).thread_name(name).enable_all().build();
    runtime.map_err(StartError::system("starting a runtime"))
}

/// The sign of life of a runtime's one thread: a task that gets its turn each second.
fn beat_of(runtime: &Runtime, name: &str) -> Beat {
    let beat = Beat::new(name, clock::now());
    let beating = beat.clone();
    runtime.spawn(async move {
        loop {
            beating.tick(clock::now());
            tokio::time::sleep(BEAT_EVERY).await;
        }
    });
    beat
}

/// As often as a shard wakes that has nothing to do.
const BEAT_EVERY: Duration = Duration::from_secs(1);

/// Batches of frames that may wait for the engine; beyond it the sockets are not read and TCP holds the venue back.
const INBOUND_MAX: usize = 1024;

/// Requests of the engine that may wait for intake, which never waits itself.
const REQUESTS_MAX: usize = 65_536;

/// Longest wait for sessions to end in order.
const DRAIN: Duration = Duration::from_secs(5);
