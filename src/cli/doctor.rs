//! `tickcast doctor`: whether this machine, its network and the configuration are fit, and the way out where they are not.

mod clock;
mod disk;
mod finding;
mod handshake;
mod limits;
mod machine;
mod settings;
mod validity;
mod venues;

use std::path::PathBuf;

use clap::Args;

use self::{finding::Status, machine::Machine};
use super::{
    Failure, Settings, read_config,
    terminal::{Paint, print},
};
use crate::config::Config;

/// Options of `tickcast doctor`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// How many clients are to be served, 1 to 1000000.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    clients: u64,
    /// The folder that recordings are to go to.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    recordings: PathBuf,
    /// Leave the network out: no venue is connected to, no name looked up.
    #[arg(long)]
    offline: bool,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Each line is `ok`, `warn` (it works, but not as well or not for long), `fail` (it will not work) or `skip`; what is not ok \
comes with why it matters and what to do. The code is 1 if anything failed, else 0. Only the configured venues are connected \
to, with one request each; nothing is changed and nothing left behind.
  tickcast doctor --config venues.toml --clients 20000
  tickcast doctor --offline --json | jq '.checks[] | select(.status != \"ok\")'";

/// A core that `server.shard_cores` names and this process may not use.
pub(super) fn strange_core(config: &Config) -> Option<usize> {
    limits::strange_core(&machine::core_numbers(), config)
}

pub(super) fn run(settings: &Settings, arguments: &Arguments) -> Result<(), Failure> {
    let read = read_config(settings);
    let file = settings.config.as_ref().map(|path| path.display().to_string());
    let mut findings = vec![settings::read(&read, file.as_deref())];
    let config = read.unwrap_or_else(|_| Config::embedded());
    findings.extend(settings::findings(&config));
    let machine = Machine::read();
    findings.extend(limits::findings(&machine, &config, arguments.clients));
    let (reached, offsets) = venues::findings(&config, arguments.offline);
    findings.extend(clock::findings(&machine, crate::clock::now(), &offsets));
    findings.extend(reached);
    findings.extend(disk::findings(&config, &arguments.recordings));
    let shown = if arguments.json {
        format!("{:#}\n", finding::to_json(&findings))
    } else {
        finding::text(&findings, Paint::of_output())
    };
    print(shown)?;
    match finding::count(&findings, Status::Fail) {
        0 => Ok(()),
        1 => Err(Failure::new(Failure::RUNTIME, "one check failed")),
        failed => Err(Failure::new(Failure::RUNTIME, format_args!("{failed} checks failed"))),
    }
}
