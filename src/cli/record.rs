//! `tickcast record`.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use indicatif::ProgressBar;

use super::Failure;
use crate::{
    app::{self, Recorder},
    config::Config,
};

/// Options of `tickcast record`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where to write; an existing recording is continued.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// End after so many seconds instead of with Ctrl-C.
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
}

pub(super) fn run(config: Config, arguments: &Arguments) -> Result<(), Failure> {
    let name = arguments.file.display().to_string();
    let cannot = |error| Failure::new(Failure::CANNOT_CREATE, format_args!("{name}: {error}"));
    let recorder = Recorder::start(config, &arguments.file)?;
    let progress = ProgressBar::new_spinner();
    progress.enable_steady_tick(Duration::from_millis(250));
    let limit = arguments.seconds.map(Duration::from_secs);
    app::wait_for_signal_or(limit, Duration::from_millis(250), || {
        let counts = recorder.counts();
        progress.set_message(format!(
            "{name}: {} frames, {} answers, {} KiB, {} left out",
            counts.frames,
            counts.responses,
            counts.bytes_written / 1024,
            counts.left_out
        ));
    });
    let counts = recorder.finish().map_err(cannot)?;
    progress.finish_and_clear();
    eprintln!("{name}: {} frames and {} answers recorded, {} left out.", counts.frames, counts.responses, counts.left_out);
    Ok(())
}
