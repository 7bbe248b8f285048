//! Events as lines that a person reads.

use serde_json::{Value, value::RawValue};

/// The payload of a combined frame, byte for byte.
pub(super) fn payload(text: &str) -> &str {
    #[derive(serde::Deserialize)]
    struct Combined<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
    }
    serde_json::from_str::<Combined<'_>>(text).map_or(text, |combined| combined.data.get())
}

/// Writes lines, in colour or not.
#[derive(Debug)]
pub(super) struct Lines {
    colour: bool,
}

const GREEN: &str = "32";
const RED: &str = "31";
const DIM: &str = "2";

impl Lines {
    pub(super) fn new(colour: bool) -> Self {
        Self { colour }
    }

    /// One line for one combined frame; a frame of an unknown shape is printed as it is.
    pub(super) fn line(&mut self, text: &str) -> String {
        let Ok(frame) = serde_json::from_str::<Value>(text) else { return text.to_owned() };
        let (Some(stream), Some(data)) = (frame["stream"].as_str(), frame.get("data")) else { return text.to_owned() };
        let body = match data["e"].as_str() {
            Some("trade") => self.trade(data, "t"),
            Some("aggTrade") => self.trade(data, "a"),
            Some("depthUpdate") => Some(self.diff(data)),
            Some("kline") => Self::kline(&data["k"]),
            Some("24hrTicker" | "24hrMiniTicker") => self.ticker(data),
            Some(_) => None,
            None if data.get("lastUpdateId").is_some() => Some(self.book(data)),
            None if data.get("u").is_some() => self.best(data),
            None => None,
        };
        let body = body.unwrap_or_else(|| data.to_string());
        format!("{} {body}", self.paint(DIM, &format!("{stream:<24}")))
    }

    fn trade(&self, data: &Value, id: &str) -> Option<String> {
        let taker_sold = data["m"].as_bool()?;
        let (side, colour) = if taker_sold { ("sell", RED) } else { ("buy ", GREEN) };
        let price = self.paint(colour, &format!("{side} {:>16}", trim(data["p"].as_str()?)));
        Some(format!("{price} x {:<16} #{}", trim(data["q"].as_str()?), data[id]))
    }

    fn best(&self, data: &Value) -> Option<String> {
        let text = |key: &str| data[key].as_str().map(trim);
        let bid = self.paint(GREEN, &format!("{:>16} {:<14}", text("b")?, text("B")?));
        let ask = self.paint(RED, &format!("{:>16} {:<14}", text("a")?, text("A")?));
        Some(format!("bid {bid} ask {ask} u {}", data["u"]))
    }

    fn diff(&self, data: &Value) -> String {
        let count = |key: &str| data[key].as_array().map_or(0, Vec::len);
        let first = |key: &str| {
            let level = &data[key][0];
            level[0].as_str().map_or(String::new(), |price| {
                format!(" from {} x {}", trim(price), level[1].as_str().map_or("?", trim))
            })
        };
        let bids = self.paint(GREEN, &format!("{:>3} bids{}", count("b"), first("b")));
        let asks = self.paint(RED, &format!("{:>3} asks{}", count("a"), first("a")));
        format!("{}..{}  {bids}  {asks}", data["U"], data["u"])
    }

    fn book(&self, data: &Value) -> String {
        let side = |key: &str| {
            let levels = data[key].as_array().map_or(&[][..], Vec::as_slice);
            let texts = levels
                .iter()
                .take(3)
                .filter_map(|level| Some(format!("{} x {}", trim(level[0].as_str()?), trim(level[1].as_str()?))));
            texts.collect::<Vec<_>>().join("  ")
        };
        let (bids, asks) = (self.paint(GREEN, &side("bids")), self.paint(RED, &side("asks")));
        format!("{}  {bids}  |  {asks}", data["lastUpdateId"])
    }

    fn kline(candle: &Value) -> Option<String> {
        let text = |key: &str| candle[key].as_str().map(trim);
        let state = if candle["x"].as_bool()? { "closed" } else { "open" };
        let (o, h, l, c) = (text("o")?, text("h")?, text("l")?, text("c")?);
        Some(format!("{} o {o} h {h} l {l} c {c} v {} {state}", candle["i"].as_str()?, text("v")?))
    }

    fn ticker(&self, data: &Value) -> Option<String> {
        let text = |key: &str| data[key].as_str().map(trim);
        let percent = data["P"].as_str().map_or(String::new(), |percent| {
            let colour = if percent.starts_with('-') { RED } else { GREEN };
            self.paint(colour, &format!(" {percent} %"))
        });
        Some(format!("{:>16}{percent} h {} l {} v {}", text("c")?, text("h")?, text("l")?, text("v")?))
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Without the trailing zeros that the wire carries.
fn trim(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_becomes_a_line() {
        let mut lines = Lines::new(false);
        let mut line = |text: &str| lines.line(text);
        let trade = r#"{"stream":"s@trade","data":{"e":"trade","p":"2770.35000000","q":"0.71000000","t":5,"m":true}}"#;
        assert!(line(trade).ends_with("sell          2770.35 x 0.71             #5"), "{}", line(trade));
        let best = r#"{"stream":"s@bookTicker","data":{"u":9,"s":"S","b":"1.50","B":"2.00","a":"1.60","A":"3.00"}}"#;
        assert!(line(best).contains("1.5 2 ") && line(best).ends_with("u 9"), "{}", line(best));
        let diff = r#"{"stream":"s@depth","data":{"e":"depthUpdate","U":1,"u":4,"b":[["1.0","0.0"]],"a":[]}}"#;
        assert!(line(diff).contains("1..4    1 bids from 1 x 0    0 asks"), "{}", line(diff));
        let book = r#"{"stream":"s@depth5","data":{"lastUpdateId":7,"bids":[["1.0","2.0"]],"asks":[["1.1","3.0"]]}}"#;
        assert!(line(book).ends_with("7  1 x 2  |  1.1 x 3"), "{}", line(book));
        assert_eq!(line("no json"), "no json");
    }

    #[test]
    fn the_payload_is_cut_out_byte_for_byte() {
        assert_eq!(payload(r#"{"stream":"a","data":{"p":"1.50000000"}}"#), r#"{"p":"1.50000000"}"#);
        assert_eq!(payload("{}"), "{}");
    }
}
