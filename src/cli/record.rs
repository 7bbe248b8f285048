//! `tickcast record`.

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;

use super::{
    Failure,
    progress::Progress,
    terminal::{bytes, counted, grouped, span},
};
use crate::{
    app::{self, Counts, Recorder, StartError, VenueCounts},
    config::Config,
};

/// Options of `tickcast record`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Where to write; an existing recording is continued.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// End after so many seconds instead of with Ctrl-C.
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
}

const EXAMPLES: &str = "\
Without --config it records the simulated exchange. A file is whole up to the last half second, even if the process is killed.
  tickcast record day.tick --config venues.toml
  tickcast record minute.tick --seconds 60 && tickcast inspect minute.tick";

pub(super) fn run(config: Config, arguments: &Arguments) -> Result<(), Failure> {
    let name = arguments.file.display().to_string();
    let cannot = |error| Failure::new(Failure::CANNOT_CREATE, format_args!("{name}: {error}"));
    let recorder = Recorder::start(config, &arguments.file).map_err(|error| match error {
        StartError::Recording(reason) => Failure::new(Failure::CANNOT_CREATE, reason),
        other => other.into(),
    })?;
    let mut progress = Progress::without_end();
    let mut rate = Rate::default();
    let mut looks = arguments.seconds.map_or(u64::MAX, |seconds| seconds.saturating_mul(LOOKS_PER_SECOND));
    app::wait_for_signal_while(Duration::from_millis(1000 / LOOKS_PER_SECOND), || {
        let counts = recorder.counts();
        let elapsed = progress.elapsed();
        let per_second = rate.per_second(elapsed, counts.total().frames);
        progress.say(|| {
            let rate = format!("{} a second", grouped(per_second));
            format!("{name}: {}, {rate}", words(&counts, elapsed, size(&arguments.file)))
        });
        let goes_on = looks > 0 && recorder.is_writing();
        looks = looks.saturating_sub(1);
        goes_on
    });
    let elapsed = progress.elapsed();
    let counts = recorder.finish().map_err(cannot)?;
    progress.end(&format!("{name}: {} recorded.", words(&counts, elapsed, size(&arguments.file))));
    Ok(())
}

/// How often the progress is drawn.
const LOOKS_PER_SECOND: u64 = 4;

/// Frames per second over the last few seconds.
#[derive(Debug, Default)]
struct Rate {
    samples: VecDeque<(Duration, u64)>,
}

impl Rate {
    /// `frames` have come within `elapsed`.
    fn per_second(&mut self, elapsed: Duration, frames: u64) -> u64 {
        self.samples.push_back((elapsed, frames));
        if self.samples.len() > RATE_SAMPLES {
            self.samples.pop_front();
        }
        let (since, before) = self.samples.front().copied().unwrap_or_default();
        let millis = u64::try_from(elapsed.saturating_sub(since).as_millis()).unwrap_or(u64::MAX);
        frames.saturating_sub(before).saturating_mul(1000).checked_div(millis).unwrap_or(0)
    }
}

/// Five seconds of looks.
const RATE_SAMPLES: usize = 5 * LOOKS_PER_SECOND as usize;

fn size(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |file| file.len())
}

fn words(counts: &Counts, elapsed: Duration, file_bytes: u64) -> String {
    let total = counts.total();
    let mut text = format!(
        "{}, {} and {}, {} ({} in the file)",
        span(elapsed),
        counted(total.frames, "frame"),
        counted(total.responses, "answer"),
        bytes(total.bytes),
        bytes(file_bytes)
    );
    if counts.venues.len() > 1 {
        let venue = |venue: &VenueCounts| format!("{} {}", venue.name, grouped(venue.frames));
        text.push_str(&format!(": {}", counts.venues.iter().map(venue).collect::<Vec<_>>().join(", ")));
    }
    if counts.left_out > 0 {
        text.push_str(&format!("; {} left out, as the disk is too slow", grouped(counts.left_out)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_told_by_venue_and_a_loss_is_told() {
        let venue = |name: &str, frames| VenueCounts { name: name.into(), frames, responses: 1, bytes: 1024 };
        let mut counts = Counts { venues: vec![venue("binance", 1500), venue("kraken", 20)], left_out: 0 };
        let text = words(&counts, Duration::from_secs(12), 512);
        assert_eq!(text, "12.0 s, 1,520 frames and 2 answers, 2.0 KiB (512 B in the file): binance 1,500, kraken 20");
        counts.left_out = 3;
        assert!(words(&counts, Duration::ZERO, 0).ends_with("; 3 left out, as the disk is too slow"));
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut rate = Rate::default();
        let mut last = 0;
        for look in 0..100 {
            let frames = if look < 50 { 0 } else { (look - 50) * 25 };
            last = rate.per_second(Duration::from_millis(look * 250), frames);
        }
        assert_eq!(last, 100);
        assert_eq!(Rate::default().per_second(Duration::ZERO, 5), 0);
    }
}
