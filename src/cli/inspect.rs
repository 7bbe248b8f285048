//! `tickcast inspect`: what is in a recording.

mod contents;
mod ids;
mod report;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use serde_json::json;

use self::{contents::Contents, report::Report};
use super::{
    Failure,
    progress::Progress,
    terminal::{Paint, grouped, print},
};
use crate::recording::{Error, Reader};

/// Options of `tickcast inspect`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Recordings of ours, or captures in the formats of hftbacktest, cryptofeed, python-kraken-sdk or lines of messages.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Seconds without a message of a venue that are a silence, 1 to 86400.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    silence: u64,
    /// A line for each stream instead of each channel.
    #[arg(long)]
    streams: bool,
    /// Print everything as JSON: {"files": [...]}.
    #[arg(long)]
    json: bool,
    /// End with code 1 if a file is not whole: silences, holes in ids, a torn end.
    #[arg(long)]
    strict: bool,
}

const EXAMPLES: &str = "\
Followed are the ids of Binance's diffs, trades and aggregates and of Kraken's trades, per connection; what a new connection \
says begins anew. A file is read record by record, whatever its size. One that cannot be read to its end gives code 66.
  tickcast inspect day.tick
  tickcast inspect day.tick --json | jq '.files[].holes'";

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut progress = Progress::without_end();
    let mut reports = Vec::new();
    for path in &arguments.files {
        let report =
            look(path, arguments.silence, &mut progress).map_err(|error| Failure::new(Failure::NO_INPUT, error))?;
        reports.push(report);
    }
    progress.clear();
    let paint = Paint::of_output();
    let shown = if arguments.json {
        let files: Vec<_> = reports.iter().map(Report::json).collect();
        format!("{:#}\n", json!({ "files": files }))
    } else {
        reports.iter().map(|report| report.text(paint, arguments.streams)).collect::<Vec<_>>().join("\n")
    };
    print(shown)?;
    if let Some((path, reason)) = reports.iter().find_map(|report| Some((&report.path, report.broken.as_ref()?))) {
        return Err(Failure::new(Failure::NO_INPUT, format_args!("{path} is broken: {reason}")));
    }
    match reports.iter().find(|report| !report.is_whole()) {
        Some(report) if arguments.strict => {
            Err(Failure::new(Failure::RUNTIME, format_args!("{} is not whole", report.path)))
        }
        _ => Ok(()),
    }
}

fn look(path: &Path, silence: u64, progress: &mut Progress) -> Result<Report, Error> {
    let mut reader = Reader::open(path)?;
    let mut contents = Contents::new(Duration::from_secs(silence));
    let mut broken = None;
    let mut count = 0_u64;
    for record in reader.by_ref() {
        match record {
            Ok(record) => contents.count(&record),
            Err(error) => broken = Some(error.to_string()),
        }
        count += 1;
        if count.is_multiple_of(LOOK_AFTER) {
            progress.say(|| format!("{}: {} records", path.display(), grouped(count)));
        }
    }
    Ok(Report {
        path: path.display().to_string(),
        format: reader.format(),
        file_bytes: fs::metadata(path).map_or(0, |file| file.len()),
        torn_bytes: reader.torn_bytes(),
        broken,
        silence_ms: silence * 1000,
        contents,
    })
}

/// Records between two looks at the clock.
const LOOK_AFTER: u64 = 10_000;
