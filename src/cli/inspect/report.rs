//! What was found in a recording, for a person and for a program.

use std::fmt::Write;

use serde_json::{Value, json};

use super::contents::{Contents, Found};
use crate::{
    cli::terminal::{Colour, Paint, bytes, columns, counted, date_time, grouped, span},
    market::Nanos,
};

/// One file, looked at.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) path: String,
    pub(super) format: &'static str,
    pub(super) file_bytes: u64,
    pub(super) torn_bytes: u64,
    /// Why the reading ended before the end.
    pub(super) broken: Option<String>,
    pub(super) silence_ms: u64,
    pub(super) contents: Contents,
}

/// Lines of a list that a person is shown.
const SHOWN: usize = 10;

impl Report {
    /// Whether nothing is missing, as far as the file tells.
    pub(super) fn is_whole(&self) -> bool {
        let Contents { silences, holes, .. } = &self.contents;
        self.torn_bytes == 0 && self.broken.is_none() && silences.count == 0 && holes.count == 0
    }

    /// Lines for a person; every stream has its own with `each_stream`.
    pub(super) fn text(&self, paint: Paint, each_stream: bool) -> String {
        let mut out = format!("{}\n", paint.paint(Colour::Bold, &self.path));
        self.head(&mut out);
        self.tables(&mut out, paint, each_stream);
        self.faults(&mut out, paint);
        out
    }

    fn head(&self, out: &mut String) {
        let contents = &self.contents;
        let mut line = |name: &str, text: String| {
            let _memory_takes_it = writeln!(out, "  {name:<10} {text}");
        };
        line("format", self.format.to_owned());
        line("size", format!("{} in the file, {} of payloads", bytes(self.file_bytes), bytes(contents.bytes)));
        match contents.span {
            Some((first, last)) => {
                line("span", format!("{}: {} to {} UTC", span(last.since(first)), date_time(first), date_time(last)));
            }
            None => line("span", "nothing is in it".to_owned()),
        }
        line(
            "records",
            format!(
                "{} received, {} sent, {}, {} opened, {} closed",
                counted(contents.received, "message"),
                grouped(contents.sent),
                counted(contents.responses, "REST answer"),
                counted(contents.opened, "connection"),
                grouped(contents.closed)
            ),
        );
    }

    fn tables(&self, out: &mut String, paint: Paint, each_stream: bool) {
        let contents = &self.contents;
        let mut table = |heading: &[&str], rows: Vec<Vec<String>>| {
            if rows.is_empty() {
                return;
            }
            let mut all = vec![heading.iter().map(|&name| name.to_owned()).collect()];
            all.extend(rows);
            for (index, line) in columns(&all).lines().enumerate() {
                let line = if index == 0 { paint.paint(Colour::Dim, line) } else { line.to_owned() };
                let _memory_takes_it = writeln!(out, "{}  {line}", if index == 0 { "\n" } else { "" });
            }
        };
        let venues = contents.venues.iter().map(|(name, venue)| {
            vec![name.clone(), grouped(venue.connections), grouped(venue.received), bytes(venue.bytes)]
        });
        table(&["<venue", "connections", "messages", "bytes"], venues.collect());
        if each_stream {
            let streams = contents.streams.iter().map(|((venue, name), stream)| {
                let (first, last) = stream.span;
                let received = grouped(stream.received);
                vec![
                    name.clone(),
                    venue.clone(),
                    received,
                    bytes(stream.bytes),
                    date_time(first),
                    span(last.since(first)),
                ]
            });
            table(&["<stream", "<venue", "messages", "bytes", "first", "span"], streams.collect());
        } else {
            let channels = contents.channels().into_iter().map(|((venue, channel), (streams, received, size))| {
                vec![channel.to_owned(), venue.to_owned(), grouped(streams), grouped(received), bytes(size)]
            });
            table(&["<channel", "<venue", "streams", "messages", "bytes"], channels.collect());
        }
        let answers = contents.answers.iter();
        let answers = answers.map(|((path, status), count)| vec![path.clone(), status.to_string(), grouped(*count)]);
        table(&["<REST answers of", "status", "count"], answers.collect());
    }

    fn faults(&self, out: &mut String, paint: Paint) {
        let contents = &self.contents;
        out.push('\n');
        let mut line = |name: &str, is_good: bool, text: String| {
            let text = if is_good { text } else { paint.paint(Colour::Yellow, &text) };
            let _memory_takes_it = writeln!(out, "  {name:<10} {text}");
        };
        let least = span(std::time::Duration::from_millis(self.silence_ms));
        line(
            "silences",
            contents.silences.count == 0,
            match contents.silences.count {
                0 => format!("none of {least} or more"),
                count => format!("{} of {least} or more", grouped(count)),
            },
        );
        for silence in contents.silences.first.iter().take(SHOWN) {
            let lasted = span(silence.until.since(silence.from));
            line("", true, format!("{lasted} after {} of {}", date_time(silence.from), silence.venue));
        }
        more(&contents.silences, &mut line);
        let sequences = counted(contents.sequences() as u64, "sequence");
        line(
            "holes",
            contents.holes.count == 0,
            match contents.holes.count {
                0 if contents.sequences() == 0 => "nothing in it carries ids that follow each other".to_owned(),
                0 => format!("none in the ids of {sequences}"),
                count => format!("{} with {} missing, in {sequences}", grouped(count), counted(contents.missing, "id")),
            },
        );
        for hole in contents.holes.first.iter().take(SHOWN) {
            let (missing, at) = (counted(hole.missing.unsigned_abs(), "id"), date_time(hole.at));
            line("", true, format!("{missing} from {} in {} at {at}", hole.awaited, hole.sequence));
        }
        more(&contents.holes, &mut line);
        if contents.repeats > 0 {
            line("repeats", true, format!("{} with ids that were there before", counted(contents.repeats, "message")));
        }
        if contents.backwards > 0 {
            let count = counted(contents.backwards, "record");
            line(
                "clock",
                false,
                format!("{count} earlier than the one in front: the clock was set, or files were joined"),
            );
        }
        line(
            "end",
            self.torn_bytes == 0 && self.broken.is_none(),
            match (&self.broken, self.torn_bytes) {
                (Some(reason), _) => format!("broken: {reason}"),
                (None, 0) => "whole".to_owned(),
                (None, torn) => {
                    format!("torn: the writer was cut off, {} at the end cannot be read", counted(torn, "byte"))
                }
            },
        );
    }

    /// The same and more for a program; times are nanoseconds since 1970.
    pub(super) fn json(&self) -> Value {
        let contents = &self.contents;
        let ns = |time: Nanos| time.0;
        let venues: Vec<_> = contents
            .venues
            .iter()
            .map(|(name, venue)| {
                json!({"venue": name, "connections": venue.connections, "messages": venue.received, "bytes": venue.bytes})
            })
            .collect();
        let streams: Vec<_> = contents
            .streams
            .iter()
            .map(|((venue, name), stream)| {
                json!({
                    "stream": name, "venue": venue, "messages": stream.received, "bytes": stream.bytes,
                    "first_ns": ns(stream.span.0), "last_ns": ns(stream.span.1),
                })
            })
            .collect();
        let answers: Vec<_> = contents
            .answers
            .iter()
            .map(|((path, status), count)| json!({"path": path, "status": status, "count": count}))
            .collect();
        let silences: Vec<_> = contents
            .silences
            .first
            .iter()
            .map(|silence| json!({"venue": silence.venue, "from_ns": ns(silence.from), "until_ns": ns(silence.until)}))
            .collect();
        let holes: Vec<_> = contents
            .holes
            .first
            .iter()
            .map(|hole| {
                json!({
                    "venue": hole.venue, "sequence": hole.sequence, "connection": hole.connection,
                    "at_ns": ns(hole.at), "awaited": hole.awaited, "missing": hole.missing,
                })
            })
            .collect();
        json!({
            "file": self.path,
            "format": self.format,
            "is_whole": self.is_whole(),
            "file_bytes": self.file_bytes,
            "payload_bytes": contents.bytes,
            "torn_bytes": self.torn_bytes,
            "broken": self.broken,
            "first_ns": contents.span.map(|(first, _)| ns(first)),
            "last_ns": contents.span.map(|(_, last)| ns(last)),
            "records": {
                "received": contents.received, "sent": contents.sent, "answers": contents.responses,
                "opened": contents.opened, "closed": contents.closed, "backwards": contents.backwards,
            },
            "venues": venues,
            "streams": streams,
            "answers": answers,
            "silences": {"least_ms": self.silence_ms, "count": contents.silences.count, "first": silences},
            "holes": {
                "sequences": contents.sequences(), "count": contents.holes.count, "missing": contents.missing,
                "repeats": contents.repeats, "first": holes,
            },
        })
    }
}

fn more<T>(found: &Found<T>, line: &mut impl FnMut(&str, bool, String)) {
    let shown = found.first.len().min(SHOWN) as u64;
    if found.count > shown {
        line(
            "",
            true,
            format!("and {} more (--json tells {})", grouped(found.count - shown), grouped(found.first.len() as u64)),
        );
    }
}
