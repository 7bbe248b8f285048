//! `tickcast record`.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use indicatif::ProgressBar;

use super::Failure;
use crate::{
    app::{self, Recorder, StartError},
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
    let recorder = Recorder::start(config, &arguments.file).map_err(|error| match error {
        StartError::Recording(reason) => Failure::new(Failure::CANNOT_CREATE, reason),
        other => other.into(),
    })?;
    let progress = ProgressBar::new_spinner();
    progress.enable_steady_tick(Duration::from_millis(250));
    let mut looks = arguments.seconds.map_or(u64::MAX, |seconds| seconds.saturating_mul(LOOKS_PER_SECOND));
    app::wait_for_signal_while(Duration::from_millis(1000 / LOOKS_PER_SECOND), || {
        let counts = recorder.counts();
        progress.set_message(format!(
            "{name}: {} frames, {} answers, {} KiB, {} left out",
            counts.frames,
            counts.responses,
            counts.bytes / 1024,
            counts.left_out
        ));
        let goes_on = looks > 0 && recorder.is_writing();
        looks = looks.saturating_sub(1);
        goes_on
    });
    let counts = recorder.finish().map_err(cannot)?;
    progress.finish_and_clear();
    eprintln!(
        "{name}: {} frames and {} answers recorded, {} left out.",
        counts.frames, counts.responses, counts.left_out
    );
    Ok(())
}

/// How often the progress is drawn.
const LOOKS_PER_SECOND: u64 = 4;
