//! A partial book as a ladder, drawn again in its place on a terminal.

use serde_json::Value;

use super::rows::{places, trim, widen};
use crate::{
    cli::terminal::{Colour, Paint, time_of_day},
    market::Nanos,
};

/// Draws one book, best prices on top, bids to the left.
#[derive(Debug)]
pub(super) struct Ladder {
    paint: Paint,
    /// Rows of the terminal to draw over; `None`: one drawing below the other.
    rows: Option<usize>,
    drawn: usize,
    places: [usize; 2],
    widths: [usize; 2],
}

impl Ladder {
    pub(super) fn new(paint: Paint, rows: Option<usize>) -> Self {
        Self { paint, rows, drawn: 0, places: [0; 2], widths: [5, 8] }
    }

    /// The drawing of one event; `None` if it is no partial book.
    pub(super) fn event(&mut self, received: Nanos, stream: &str, data: &Value) -> Option<String> {
        let (bids, asks) = (levels(&data["bids"])?, levels(&data["asks"])?);
        let id = data["lastUpdateId"].as_i64()?;
        for level in bids.iter().chain(&asks) {
            for (at, number) in level.iter().enumerate() {
                self.places[at] = self.places[at].max(places(number));
            }
        }
        for level in bids.iter().chain(&asks) {
            for (at, number) in level.iter().enumerate() {
                self.widths[at] = self.widths[at].max(widen(number, self.places[at]).len());
            }
        }
        let most = self.rows.map_or(usize::MAX, |rows| rows.saturating_sub(3).max(1));
        let count = bids.len().max(asks.len()).min(most);
        let mut out = String::new();
        if self.rows.is_some() && self.drawn > 0 {
            // Up to where the last one began, and away with it.
            out = format!("\x1b[{}A\x1b[J", self.drawn);
        }
        let [price, quantity] = self.widths;
        let title = format!("{}  {stream}  update {id}", time_of_day(received));
        let head =
            format!("{:>quantity$}  {:>price$}  {:<price$}  {:<quantity$}", "quantity", "bid", "ask", "quantity");
        for line in [self.paint.paint(Colour::Dim, &title), self.paint.paint(Colour::Bold, head.trim_end())] {
            out.push_str(&line);
            out.push('\n');
        }
        for at in 0..count {
            let [bid, bid_quantity] = self.texts(bids.get(at));
            let [ask, ask_quantity] = self.texts(asks.get(at));
            let (bid, ask) = (format!("{bid:>price$}"), format!("{ask:<price$}"));
            let (bid, ask) = (self.paint.paint(Colour::Green, &bid), self.paint.paint(Colour::Red, &ask));
            let line = format!("{bid_quantity:>quantity$}  {bid}  {ask}  {ask_quantity:>quantity$}");
            out.push_str(line.trim_end());
            out.push('\n');
        }
        self.drawn = count + 2;
        Some(out)
    }

    fn texts(&self, level: Option<&[&str; 2]>) -> [String; 2] {
        let [price, quantity] = self.places;
        level.map_or_else(Default::default, |level| [widen(level[0], price), widen(level[1], quantity)])
    }
}

fn levels(side: &Value) -> Option<Vec<[&str; 2]>> {
    side.as_array()?.iter().map(|level| Some([trim(level.get(0)?.as_str()?), trim(level.get(1)?.as_str()?)])).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_book_is_drawn_with_its_best_prices_on_top() {
        let book = json!({"lastUpdateId":7,"bids":[["10.50","2.0"],["9.0","12.25"]],"asks":[["11.0","3.0"]]});
        let at = Nanos(1_789_000_000_500_000_000);
        let mut ladder = Ladder::new(Paint::NONE, None);
        let text = ladder.event(at, "s@depth5", &book).expect("a book");
        assert_eq!(
            text,
            "00:26:40.500  s@depth5  update 7\n\
             quantity    bid  ask    quantity\n\
             \x20   2.00   10.5  11.0       3.00\n\
             \x20  12.25    9.0\n"
        );
        assert!(!ladder.event(at, "s@depth5", &book).expect("a book").contains('\x1b'));
        let mut screen = Ladder::new(Paint::NONE, Some(4));
        let first = screen.event(at, "s@depth5", &book).expect("a book");
        assert_eq!(first.lines().count(), 3, "no more than the screen holds");
        assert!(screen.event(at, "s@depth5", &book).expect("a book").starts_with("\x1b[3A\x1b[J"));
        assert_eq!(screen.event(at, "s@trade", &json!({"e":"trade"})), None);
    }
}
