//! `tickcast load`.

mod child;
mod options;

use std::{
    fs::{self, File},
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use clap::Args;
use indicatif::ProgressBar;

use super::{Failure, Settings, terminal::print};
use crate::{
    app,
    load::{self, LoadError, Plan, Report, Stage, Storm, Target, TargetError},
};

use child::Child;

/// Options of `tickcast load`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The server: ws://host:port, compatible with Binance. Default: one of its own, with --config and --set.
    #[arg(value_name = "URL")]
    url: Option<String>,
    /// Connections, 1 to 1000000.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = options::clients)]
    clients: usize,
    /// Streams to choose from, with commas. Default: the real-time ones of all symbols.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = options::stream)]
    streams: Vec<String>,
    /// How many of them each client takes, 1 to 1024.
    #[arg(long, value_name = "K", default_value_t = 10, value_parser = options::per_client)]
    per_client: usize,
    /// From the last connection to the measurement, 0s to 1h.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = options::pause)]
    warm_up: Duration,
    /// Length of the measurement, 100ms to 24h.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = options::duration)]
    duration: Duration,
    /// Clients that do not read during the measurement.
    #[arg(long, value_name = "N", default_value_t = 0)]
    slow: usize,
    /// Clients that are cut and come again at once, every so often: 200/5s.
    #[arg(long, value_name = "N/TIME", value_parser = options::storm)]
    storm: Option<Storm>,
    /// Threads of clients, 1 to 64: more, if the report says that one was full.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = options::threads)]
    threads: usize,
    /// The server's door for operators, host:port: compare its counts.
    #[arg(long, value_name = "ADDRESS", requires = "url")]
    ops: Option<String>,
    /// The server's process: measure its CPU time and memory.
    #[arg(long, value_name = "PID", requires = "url")]
    pid: Option<u32>,
    /// Write the report as one HTML file as well.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Times are numbers with ms, s, m or h. Real-time streams are trade, aggTrade, bookTicker and depth@100ms.
  tickcast load                                       this machine, with a server of its own
  tickcast load --clients 5000 --set exchange.rate=3000 --report load.html
  tickcast load ws://127.0.0.1:9443 --ops 127.0.0.1:9464 --pid PID --slow 10 --storm 200/5s";

pub(super) fn run(settings: &Settings, arguments: &Arguments) -> Result<(), Failure> {
    let cannot_write =
        |path: &Path, error| Failure::new(Failure::CANNOT_CREATE, format_args!("--report {}: {error}", path.display()));
    if let Some(path) = &arguments.report {
        // Told now rather than after the measurement.
        File::options().create(true).append(true).open(path).map_err(|error| cannot_write(path, error))?;
    }
    let report = until_signal(|stop, progress| measure(settings, arguments, stop, progress))?;
    if let Some(path) = &arguments.report {
        fs::write(path, report.html()).map_err(|error| cannot_write(path, error))?;
    }
    let shown = if arguments.json { report.json() } else { format!("\n{}", report.text(columns())) };
    print(format!("{shown}\n"))?;
    if let Some(path) = &arguments.report {
        eprintln!("The report is in {}.", path.display());
    }
    Ok(())
}

fn plan(arguments: &Arguments, child: Option<&Child>) -> Result<Plan, Failure> {
    let url = child.map(|child| &child.public).or(arguments.url.as_ref()).expect("one of the two is there");
    let target = Target::parse(url).map_err(LoadError::from)?;
    let streams = match &arguments.streams[..] {
        [] => target.streams().map_err(LoadError::from)?,
        named => named.to_vec(),
    };
    Ok(Plan {
        target,
        streams,
        clients: arguments.clients,
        per_client: arguments.per_client,
        warm_up: arguments.warm_up,
        duration: arguments.duration,
        slow: arguments.slow,
        storm: arguments.storm,
        threads: arguments.threads,
        ops: child.map(|child| child.ops.clone()).or_else(|| arguments.ops.clone()),
        pid: child.map(Child::pid).or(arguments.pid),
        is_own: child.is_some(),
    })
}

fn measure(
    settings: &Settings,
    arguments: &Arguments,
    stop: &AtomicBool,
    progress: &ProgressBar,
) -> Result<Report, Failure> {
    let child = match arguments.url {
        Some(_) => None,
        None => {
            progress.set_message("starting a server for this run, waiting for its first history");
            Some(Child::start(settings, stop)?)
        }
    };
    let plan = plan(arguments, child.as_ref())?;
    Ok(load::run(&plan, stop, |stage| progress.set_message(words(&plan, stage)))?)
}

/// Runs `work` and shows how far it is; Ctrl-C and SIGTERM tell it to stop, so that it leaves no server behind.
fn until_signal<T: Send>(
    work: impl FnOnce(&AtomicBool, &ProgressBar) -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    let stop = AtomicBool::new(false);
    let progress = ProgressBar::new_spinner();
    progress.enable_steady_tick(Duration::from_millis(250));
    let (listening, begin) = mpsc::sync_channel(1);
    let done = thread::scope(|scope| {
        let (stop, progress) = (&stop, &progress);
        let working = scope.spawn(move || {
            // Not before signals are listened for.
            let _listener_is_gone = begin.recv();
            work(stop, progress)
        });
        app::wait_for_signal_while(LOOK_EVERY, || {
            let _told_already = listening.try_send(());
            !working.is_finished()
        });
        stop.store(true, Ordering::Relaxed);
        working.join()
    });
    progress.finish_and_clear();
    done.map_err(|_| Failure::new(Failure::DEFECT, "the load generator ended with a defect"))?
}

/// How soon the end is noticed.
const LOOK_EVERY: Duration = Duration::from_millis(50);

fn words(plan: &Plan, stage: Stage) -> String {
    match stage {
        Stage::Connecting(open) => format!("{open} of {} clients are in", plan.clients),
        Stage::WarmingUp => format!("warming up for {:?}", plan.warm_up),
        Stage::Measuring(over) => format!("measuring, {} of {:?}", over.as_secs(), plan.duration),
        Stage::Settling => "slow readers read on, those who were cut come back".to_owned(),
    }
}

/// Of the terminal; of a page, where there is none.
fn columns() -> usize {
    let size = io::stdout().is_terminal().then(|| rustix::termios::tcgetwinsize(io::stdout()));
    size.and_then(Result::ok).map_or(COLUMNS, |size| size.ws_col.into())
}

const COLUMNS: usize = 100;

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        let code = match &error {
            LoadError::Plan(_) | LoadError::Target(TargetError::Url { .. }) => Self::USAGE,
            LoadError::Target(_) | LoadError::NobodyGotIn { .. } => Self::UNAVAILABLE,
            LoadError::System { .. } => Self::DEFECT,
            LoadError::Interrupted => Self::INTERRUPTED,
        };
        Self::new(code, error)
    }
}
