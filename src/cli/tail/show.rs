//! From a frame to what is printed of it.

use std::io::{self, IsTerminal};

use clap::ColorChoice;
use serde_json::{Value, value::RawValue};

use super::{Arguments, csv, kind::Kind, ladder::Ladder, table::Table};
use crate::{
    cli::{
        Failure,
        terminal::{self, Paint},
    },
    market::Nanos,
};

/// How events are shown.
#[derive(Debug)]
pub(super) enum Show {
    /// The payload, byte for byte.
    Raw,
    /// Rows of one kind; `headed` once the header has been printed.
    Csv { kind: Kind, headed: bool },
    /// A table for a person.
    Table(Table),
    /// One partial book.
    Ladder(Ladder),
}

/// Lines between two headings where there is no screen.
const PAGE: usize = 42;

impl Show {
    /// What the options come to.
    ///
    /// # Errors
    /// If the streams do not fit into one table of values.
    pub(super) fn chosen(arguments: &Arguments) -> Result<Self, Failure> {
        if arguments.csv {
            let kind = csv::kind_of(&arguments.streams).map_err(|reason| Failure::new(Failure::USAGE, reason))?;
            return Ok(Self::Csv { kind, headed: false });
        }
        if arguments.raw || !(arguments.pretty || io::stdout().is_terminal()) {
            return Ok(Self::Raw);
        }
        let paint = Paint::chosen(match arguments.color {
            ColorChoice::Auto => None,
            ColorChoice::Always => Some(true),
            ColorChoice::Never => Some(false),
        });
        let rows = terminal::size().map(|(_, rows)| rows);
        Ok(match &arguments.streams[..] {
            [only] if Kind::of_stream(only) == Some(Kind::PartialDepth) => Self::Ladder(Ladder::new(paint, rows)),
            _ => Self::Table(Table::new(paint, rows.unwrap_or(PAGE), &arguments.streams)),
        })
    }

    /// The lines to be printed for a frame that came at `received`; a frame of an unknown shape is printed as it is, unless
    /// values were asked for, where it is said on standard error.
    pub(super) fn event(&mut self, received: Nanos, text: &str) -> String {
        let as_it_is = || format!("{}\n", payload(text));
        if matches!(self, Self::Raw) {
            return as_it_is();
        }
        let frame: Value = serde_json::from_str(text).unwrap_or_default();
        let (stream, data) = (frame["stream"].as_str().unwrap_or_default(), &frame["data"]);
        let kind = Kind::of_stream(stream);
        let shown = match (&mut *self, kind) {
            (Self::Table(table), Some(kind)) => table.event(kind, received, stream, data),
            (Self::Ladder(ladder), _) => ladder.event(received, stream, data),
            (Self::Csv { kind: own, headed }, Some(kind)) if *own == kind => csv::rows(kind, received, stream, data)
                .map(|rows| {
                    let header = if *headed { String::new() } else { format!("{}\n", csv::header(kind)) };
                    *headed = true;
                    header + &rows
                }),
            _ => None,
        };
        match (shown, self) {
            (Some(shown), _) => shown,
            (None, Self::Csv { .. }) => {
                eprintln!("tickcast: left out, as it is no row: {}", payload(text));
                String::new()
            }
            (None, _) => as_it_is(),
        }
    }
}

/// The payload of a combined frame, byte for byte.
fn payload(text: &str) -> &str {
    #[derive(serde::Deserialize)]
    struct Combined<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
    }
    serde_json::from_str::<Combined<'_>>(text).map_or(text, |combined| combined.data.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Nanos = Nanos(1_789_000_000_500_000_000);

    #[test]
    fn the_payload_is_cut_out_byte_for_byte() {
        assert_eq!(payload(r#"{"stream":"a","data":{"p":"1.50000000"}}"#), r#"{"p":"1.50000000"}"#);
        assert_eq!(payload("{}"), "{}");
    }

    #[test]
    fn what_is_of_no_known_shape_is_printed_as_it_is() {
        let mut table = Show::Table(Table::new(Paint::NONE, PAGE, &[]));
        assert_eq!(table.event(AT, "no json"), "no json\n");
        assert_eq!(table.event(AT, r#"{"stream":"x@new","data":{"e":"new"}}"#), "{\"e\":\"new\"}\n");
        let mut values = Show::Csv { kind: Kind::ReferencePrice, headed: false };
        assert_eq!(values.event(AT, r#"{"stream":"x@new","data":{"e":"new"}}"#), "");
        let reference = r#"{"stream":"s@referencePrice","data":{"e":"referencePrice","s":"S","r":"1.0","t":5}}"#;
        assert_eq!(values.event(AT, reference).lines().count(), 2, "the header once");
        assert_eq!(values.event(AT, reference).lines().count(), 1);
    }
}
