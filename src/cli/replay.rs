//! `tickcast replay`.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Console, Failure, serve};
use crate::{
    app::{self, App},
    config::Config,
    sim::replay::Speed,
};

/// Options of `tickcast replay`.
#[derive(Debug, Args)]
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

pub(super) fn run(config: Config, console: Console, arguments: &Arguments) -> Result<(), Failure> {
    let app = App::start_replay(config, Box::new(console), &arguments.files, arguments.speed)?;
    serve::announce(&app);
    let progress = ProgressBar::new(0).with_style(style());
    let once = arguments.once;
    let is_sound = app::run_while(app, Duration::from_millis(200), |app| {
        let (sent, total) = app.replayed();
        progress.set_length(total);
        progress.set_position(sent);
        let done = app.has_replayed();
        if done && !progress.is_finished() {
            progress.finish();
            eprintln!("  All {total} frames were served.");
        }
        !(done && once)
    });
    if is_sound {
        return Ok(());
    }
    Err(serve::defect())
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:40} {pos}/{len} frames {eta}").expect("a template that a test has drawn")
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
    fn the_progress_bar_can_be_drawn() {
        let _drawn = style();
    }
}
