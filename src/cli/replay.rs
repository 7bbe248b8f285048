//! `tickcast replay`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{
    Console, Failure,
    progress::Progress,
    serve,
    terminal::{date_time, grouped, span},
};
use crate::{
    app::{self, App},
    config::Config,
    market::Nanos,
    sim::replay::Speed,
};

/// Options of `tickcast replay`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Recordings of one session: ours, or captures in the formats of hftbacktest, cryptofeed and python-kraken-sdk.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How fast: 1 as it was, 10 ten times as fast, max as fast as the connector takes it.
    #[arg(long, default_value = "1", value_parser = speed, value_name = "FACTOR|max")]
    speed: Speed,
    /// End when the recording is at its end, instead of serving its last state until Ctrl-C.
    #[arg(long)]
    once: bool,
}

const EXAMPLES: &str = "\
The recorded venues take the place of the configured ones; history is kept in memory.
  tickcast replay day.tick --speed 10
  tickcast replay day.tick --speed max --once";

pub(super) fn run(config: Config, console: Console, arguments: &Arguments) -> Result<(), Failure> {
    let app = App::start_replay(config, Box::new(console), &arguments.files, arguments.speed)?;
    let mut progress = Progress::with_end();
    let once = arguments.once;
    let mut is_told = false;
    let is_sound = app::run_while(app, Duration::from_millis(200), serve::announce, |app| {
        let (sent, total) = app.replayed();
        let done = app.has_replayed();
        if !is_told {
            progress.reach(sent, total);
            let (position, elapsed) = (app.replay_position(), progress.elapsed());
            progress.say(|| words(sent, total, position, elapsed));
        }
        if done && !is_told {
            is_told = true;
            progress.end(&format!("  All {total} frames were served."));
        }
        !(done && once)
    });
    if is_sound {
        return Ok(());
    }
    Err(serve::defect())
}

/// `12,000 of 40,000 frames, 1 m 05 s of 5 m 58 s, at 2026-11-22 22:44:02.339, 10.0 times as fast, 29.3 s left`
fn words(sent: u64, total: u64, position: Option<(Nanos, Nanos, Nanos)>, elapsed: Duration) -> String {
    let mut text = format!("{} of {} frames", grouped(sent), grouped(total));
    let Some((first, now, last)) = position else { return text };
    let (done, whole, left) = (now.since(first), last.since(first), last.since(now));
    text.push_str(&format!(", {} of {}, at {}", span(done), span(whole), date_time(now)));
    let speed = done.as_secs_f64() / elapsed.as_secs_f64();
    if speed > 0.0 && speed.is_finite() {
        text.push_str(&format!(", {speed:.1} times as fast"));
    }
    // Before that it is a guess.
    if speed > 0.0 && done * 100 >= whole {
        let left = Duration::try_from_secs_f64(left.as_secs_f64() / speed).unwrap_or(Duration::MAX);
        text.push_str(&format!(", {} left", span(left)));
    }
    text
}

fn speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    match text.trim_end_matches('x').parse::<f64>() {
        Ok(factor) if factor > 0.0 && factor.is_finite() => Ok(Speed::Times(factor)),
        _ => Err("it has to be a factor above 0, such as 1 or 10x, or max".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_factors_or_max() {
        assert!(matches!(speed("max"), Ok(Speed::Max)));
        assert!(matches!(speed("10x"), Ok(Speed::Times(factor)) if factor == 10.0));
        for wrong in ["0", "-1", "fast", "inf", "NaN"] {
            assert!(speed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_position_is_told_with_what_is_left() {
        let at = |seconds: i64| Nanos::from_millis(1_789_000_000_000 + seconds * 1000);
        let text = words(1000, 4000, Some((at(0), at(10), at(40))), Duration::from_secs(5));
        assert_eq!(
            text,
            "1,000 of 4,000 frames, 10.0 s of 40.0 s, at 2026-09-10 00:26:50.000, 2.0 times as fast, 15.0 s left"
        );
        assert_eq!(words(0, 0, None, Duration::ZERO), "0 of 0 frames");
        assert!(words(0, 5, Some((at(0), at(0), at(40))), Duration::ZERO).ends_with("00:26:40.000"));
    }
}
