//! A table that grows line by line, for a person.

use std::collections::HashMap;

use serde_json::Value;

use super::{
    kind::Kind,
    rows::{Cell, cells, headings, places, widen},
};
use crate::{
    cli::terminal::{Colour, Paint, time_of_day},
    market::Nanos,
};

/// Lays events out in columns, one set of them for each kind. A kind's headings stand above its first line, and again after
/// so many lines that they have left the screen.
#[derive(Debug)]
pub(super) struct Table {
    paint: Paint,
    /// The longest name that was asked for.
    stream: usize,
    /// Lines after which headings are said again.
    page: u64,
    lines: u64,
    shapes: HashMap<Kind, Shape>,
    /// Digits behind the point, by stream and column: prices of one symbol stand one below the other.
    places: HashMap<(String, usize), usize>,
}

/// How wide the columns of one kind are; they only grow.
#[derive(Debug)]
struct Shape {
    stream: usize,
    widths: Vec<usize>,
    headed_at: u64,
}

/// `received`, and the pause behind it.
const TIME_WIDTH: usize = 12;

/// Most names that decimals are remembered of; a server may send any.
const NAMES_MAX: usize = 10_000;

impl Table {
    /// A table of `streams` on a screen of `page` lines.
    pub(super) fn new(paint: Paint, page: usize, streams: &[String]) -> Self {
        let stream = streams.iter().map(|name| name.chars().count()).max().unwrap_or(0).clamp("stream".len(), 40);
        let page = page.saturating_sub(2).max(5) as u64;
        Self { paint, stream, page, lines: 0, shapes: HashMap::new(), places: HashMap::new() }
    }

    /// The lines of one event, each with its end; `None` if it is not of this kind.
    pub(super) fn event(&mut self, kind: Kind, received: Nanos, stream: &str, data: &Value) -> Option<String> {
        match data {
            Value::Array(elements) => {
                elements.iter().map(|element| self.row(kind, received, element["s"].as_str()?, element)).collect()
            }
            _ => self.row(kind, received, stream, data),
        }
    }

    fn row(&mut self, kind: Kind, received: Nanos, name: &str, data: &Value) -> Option<String> {
        let mut cells = cells(kind, data)?;
        for (column, cell) in cells.iter_mut().enumerate().filter(|(_, cell)| cell.is_decimal) {
            cell.text = self.aligned(name, column, &cell.text);
        }
        let shape = self.shapes.entry(kind).or_insert_with(|| Shape::new(kind, self.stream));
        shape.stream = shape.stream.max(name.chars().count());
        for (width, cell) in shape.widths.iter_mut().zip(&cells) {
            *width = cell.text.chars().count().max(*width);
        }
        let is_due = shape.headed_at == 0 || self.lines - shape.headed_at >= self.page;
        let mut out = String::new();
        if is_due {
            out = format!("{}\n", self.paint.paint(Colour::Bold, &shape.headings(kind)));
            self.lines += 1;
            shape.headed_at = self.lines;
        }
        self.lines += 1;
        out.push_str(&shape.line(self.paint, kind, received, name, &cells, lag(received, data)));
        out.push('\n');
        Some(out)
    }

    /// `number` with as many decimals as the longest one of this name and column had so far.
    fn aligned(&mut self, name: &str, column: usize, number: &str) -> String {
        let key = (name.to_owned(), column);
        if self.places.len() >= NAMES_MAX && !self.places.contains_key(&key) {
            return number.to_owned();
        }
        let most = self.places.entry(key).or_default();
        *most = (*most).max(places(number));
        widen(number, *most)
    }
}

impl Shape {
    fn new(kind: Kind, stream: usize) -> Self {
        let widths = headings(kind).iter().map(|heading| heading.trim_start_matches('<').len()).collect();
        Self { stream, widths, headed_at: 0 }
    }

    fn headings(&self, kind: Kind) -> String {
        let mut line = format!("{:<TIME_WIDTH$}  {:<width$}", "received", "stream", width = self.stream);
        for (heading, &width) in headings(kind).iter().zip(&self.widths) {
            line.push_str("  ");
            line.push_str(&aligned(heading.trim_start_matches('<'), width, heading.starts_with('<')));
        }
        line.push_str("  lag ms");
        line
    }

    fn line(&self, paint: Paint, kind: Kind, received: Nanos, name: &str, cells: &[Cell], lag: Option<i64>) -> String {
        let start = format!("{:<TIME_WIDTH$}  {name:<width$}", time_of_day(received), width = self.stream);
        let mut line = paint.paint(Colour::Dim, &start);
        for ((cell, &width), heading) in cells.iter().zip(&self.widths).zip(headings(kind)) {
            let text = aligned(&cell.text, width, heading.starts_with('<'));
            line.push_str("  ");
            line.push_str(&cell.colour.map_or_else(|| text.clone(), |colour| paint.paint(colour, &text)));
        }
        if let Some(lag) = lag {
            line.push_str(&paint.paint(Colour::Dim, &format!("  {lag:>6}")));
        }
        line
    }
}

fn aligned(text: &str, width: usize, to_the_left: bool) -> String {
    if to_the_left { format!("{text:<width$}") } else { format!("{text:>width$}") }
}

/// Milliseconds from the event's own time to its coming here, by two clocks.
fn lag(received: Nanos, data: &Value) -> Option<i64> {
    let event = Nanos::from_epoch_integer(data["E"].as_i64()?);
    Some(received.millis().saturating_sub(event.millis()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const AT: Nanos = Nanos(1_789_000_000_500_000_000);

    fn trade(price: &str, id: i64) -> Value {
        json!({"e":"trade","E":1_789_000_000_495_i64,"s":"S","p":price,"q":"0.71000000","t":id,"T":1,"m":true})
    }

    fn event(table: &mut Table, kind: Kind, stream: &str, data: &Value) -> String {
        table.event(kind, AT, stream, data).unwrap_or_else(|| panic!("{data} is {kind:?}"))
    }

    #[test]
    fn prices_of_a_stream_stand_one_below_the_other() {
        let mut table = Table::new(Paint::NONE, 40, &[]);
        let mut text = event(&mut table, Kind::Trade, "s@trade", &trade("2770.35000000", 5));
        text += &event(&mut table, Kind::Trade, "s@trade", &trade("2770.30000000", 6));
        text += &event(&mut table, Kind::Trade, "s@trade", &trade("12770.00000000", 7));
        assert_eq!(
            text,
            "received      stream   side    price  quantity  trade id  lag ms\n\
             00:26:40.500  s@trade  sell  2770.35      0.71         5       5\n\
             00:26:40.500  s@trade  sell  2770.30      0.71         6       5\n\
             00:26:40.500  s@trade  sell  12770.00      0.71         7       5\n"
        );
    }

    #[test]
    fn headings_come_back_once_they_have_left_the_screen() {
        let mut table = Table::new(Paint::NONE, 12, &[]);
        let mut text = String::new();
        for id in 0..30 {
            text += &event(&mut table, Kind::Trade, "s@trade", &trade("1.0", id));
            text += &event(&mut table, Kind::ReferencePrice, "s@referencePrice", &json!({"s":"S","r":"2.0","t":1}));
        }
        let headings: Vec<_> =
            text.lines().enumerate().filter(|(_, line)| line.contains("trade id")).map(|(at, _)| at).collect();
        assert!(headings.len() > 3 && headings.windows(2).all(|pair| pair[1] - pair[0] <= 13), "{headings:?}");
        assert_eq!(text.lines().filter(|line| line.contains("s@trade")).count(), 30);
    }

    #[test]
    fn each_kind_has_a_cell_below_each_heading() {
        let best = json!({"u":9,"s":"S","b":"1.50","B":"2.00","a":"1.60","A":"3.00"});
        let diff = json!({"e":"depthUpdate","E":1,"s":"S","U":1,"u":4,"b":[["1.0","0.0"]],"a":[]});
        let book = json!({"lastUpdateId":7,"bids":[["1.0","2.0"]],"asks":[]});
        let candle = json!({"E":1,"s":"S","k":{"i":"1m","o":"1","h":"2","l":"3","c":"4","v":"5","n":6,"x":true}});
        let ticker =
            json!({"E":1,"s":"S","c":"1","o":"1","P":"-2.500","b":"3","a":"4","h":"5","l":"6","v":"7","e":"1hTicker"});
        let agg = json!({"E":1,"s":"S","a":3,"p":"1","q":"2","f":5,"l":7,"T":1,"m":false});
        let average = json!({"e":"avgPrice","E":1,"s":"S","i":"5m","w":"25.5","T":1});
        let reference = json!({"s":"S","r":null,"t":1});
        for (kind, data, expected) in [
            (Kind::Trade, &trade("1.0", 5), &["sell", "1", "5"][..]),
            (Kind::BlockTrade, &trade("1.0", 5), &["sell"]),
            (Kind::AggTrade, &agg, &["buy", "3"]),
            (Kind::BookTicker, &best, &["1.5", "1.6", "9"]),
            (Kind::Depth, &diff, &["1 x 0", "4"]),
            (Kind::PartialDepth, &book, &["1", "2", "7"]),
            (Kind::Kline, &candle, &["1m", "closed"]),
            (Kind::MiniTicker, &ticker, &["7"]),
            (Kind::Ticker, &ticker, &["-2.500"]),
            (Kind::Rolling, &ticker, &["1h"]),
            (Kind::AveragePrice, &average, &["5m", "25.5"]),
            (Kind::ReferencePrice, &reference, &["none"]),
        ] {
            assert_eq!(cells(kind, data).expect("cells").len(), headings(kind).len(), "{kind:?}");
            let text = event(&mut Table::new(Paint::NONE, 40, &[]), kind, "stream", data);
            for part in expected {
                assert!(text.contains(part), "{kind:?} lacks {part}:\n{text}");
            }
        }
        assert_eq!(Table::new(Paint::NONE, 40, &[]).event(Kind::Trade, AT, "s", &best), None);
    }

    #[test]
    fn an_array_has_a_line_for_each_symbol() {
        let mini = |symbol| json!({"E":1,"s":symbol,"c":"1","o":"2","h":"3","l":"4","v":"5","q":"6"});
        let array = json!([mini("AAA"), mini("BBB")]);
        let text = event(&mut Table::new(Paint::ALL, 40, &[]), Kind::MiniTicker, "!miniTicker@arr", &array);
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("AAA") && text.contains("BBB") && text.contains("\x1b[1m"), "{text}");
    }
}
