//! What the table for a person shows of each kind of event.

use serde_json::Value;

use super::kind::Kind;
use crate::cli::terminal::Colour;

/// One field of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) colour: Option<Colour>,
    /// Its zeros at the end were cut; it gets as many decimals as its neighbours above have.
    pub(super) is_decimal: bool,
}

/// The headings of a kind's columns; a leading `<` aligns the column to the left.
pub(super) const fn headings(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Trade | Kind::BlockTrade => &["<side", "price", "quantity", "trade id"],
        Kind::AggTrade => &["<side", "price", "quantity", "trades", "agg id"],
        Kind::BookTicker => &["bid quantity", "bid", "<ask", "<ask quantity", "update id"],
        Kind::Depth => &["bids", "<best changed", "asks", "<best changed", "first id", "last id"],
        Kind::PartialDepth => &["bid quantity", "bid", "<ask", "<ask quantity", "update id"],
        Kind::Kline => &["<interval", "open", "high", "low", "close", "volume", "trades", "<state"],
        Kind::MiniTicker => &["last", "open", "high", "low", "volume"],
        Kind::Ticker => &["last", "change %", "bid", "<ask", "high", "low", "volume"],
        Kind::Rolling => &["<window", "last", "change %", "high", "low", "volume"],
        Kind::AveragePrice => &["<window", "average"],
        Kind::ReferencePrice => &["reference"],
    }
}

/// The fields below these headings; `None` if the payload is not of this kind.
pub(super) fn cells(kind: Kind, data: &Value) -> Option<Vec<Cell>> {
    let number = |key: &str| data[key].as_str().map(decimal);
    let count = |key: &str| data[key].as_i64().map(|count| plain(count.to_string()));
    Some(match kind {
        Kind::Trade | Kind::BlockTrade | Kind::AggTrade => {
            let taker_sold = data["m"].as_bool()?;
            let (side, colour) = if taker_sold { ("sell", Colour::Red) } else { ("buy", Colour::Green) };
            let mut cells = vec![plain(side).in_colour(colour), number("p")?.in_colour(colour), number("q")?];
            if kind == Kind::AggTrade {
                cells.push(plain(
                    (data["l"].as_i64()?.saturating_sub(data["f"].as_i64()?).saturating_add(1)).to_string(),
                ));
                cells.push(count("a")?);
            } else {
                cells.push(count("t")?);
            }
            cells
        }
        Kind::BookTicker => vec![
            number("B")?,
            number("b")?.in_colour(Colour::Green),
            number("a")?.in_colour(Colour::Red),
            number("A")?,
            count("u")?,
        ],
        Kind::Depth => {
            let side = |key: &str, colour| {
                let levels = data[key].as_array()?;
                let best = match levels.first() {
                    Some(level) => format!("{} x {}", trim(level[0].as_str()?), trim(level[1].as_str()?)),
                    None => String::new(),
                };
                Some([plain(levels.len().to_string()), plain(best).in_colour(colour)])
            };
            let mut cells = Vec::from(side("b", Colour::Green)?);
            cells.extend(side("a", Colour::Red)?);
            cells.extend([count("U")?, count("u")?]);
            cells
        }
        Kind::PartialDepth => {
            let best = |key: &str, at: usize| match data[key].as_array()?.first() {
                Some(level) => level[at].as_str().map(decimal),
                None => Some(plain("")),
            };
            vec![
                best("bids", 1)?,
                best("bids", 0)?.in_colour(Colour::Green),
                best("asks", 0)?.in_colour(Colour::Red),
                best("asks", 1)?,
                count("lastUpdateId")?,
            ]
        }
        Kind::Kline => {
            let candle = &data["k"];
            let number = |key: &str| candle[key].as_str().map(decimal);
            let is_closed = candle["x"].as_bool()?;
            let state = if is_closed { plain("closed").in_colour(Colour::Bold) } else { plain("open") };
            let interval = plain(candle["i"].as_str()?);
            let trades = plain(candle["n"].as_i64()?.to_string());
            vec![interval, number("o")?, number("h")?, number("l")?, number("c")?, number("v")?, trades, state]
        }
        Kind::MiniTicker => vec![number("c")?, number("o")?, number("h")?, number("l")?, number("v")?],
        Kind::Ticker => {
            let (bid, ask) = (number("b")?.in_colour(Colour::Green), number("a")?.in_colour(Colour::Red));
            vec![number("c")?, percent(data)?, bid, ask, number("h")?, number("l")?, number("v")?]
        }
        Kind::Rolling => {
            let window = data["e"].as_str()?.trim_end_matches("Ticker");
            vec![plain(window), number("c")?, percent(data)?, number("h")?, number("l")?, number("v")?]
        }
        Kind::AveragePrice => vec![plain(data["i"].as_str()?), number("w")?],
        Kind::ReferencePrice => vec![data["r"].as_str().map_or_else(|| plain("none"), decimal)],
    })
}

fn percent(data: &Value) -> Option<Cell> {
    let text = data["P"].as_str()?;
    Some(plain(text).in_colour(if text.starts_with('-') { Colour::Red } else { Colour::Green }))
}

fn plain(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), colour: None, is_decimal: false }
}

fn decimal(number: &str) -> Cell {
    Cell { text: trim(number).to_owned(), colour: None, is_decimal: true }
}

impl Cell {
    fn in_colour(self, colour: Colour) -> Self {
        Self { colour: Some(colour), ..self }
    }
}

/// Without the trailing zeros that the wire carries.
pub(super) fn trim(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// How many digits stand behind the point.
pub(super) fn places(number: &str) -> usize {
    number.split_once('.').map_or(0, |(_, fraction)| fraction.len())
}

/// `number` with zeros at its end, so that `wanted` digits are behind the point.
pub(super) fn widen(number: &str, wanted: usize) -> String {
    let has = places(number);
    let point = if has == 0 && wanted > 0 { "." } else { "" };
    format!("{number}{point}{}", "0".repeat(wanted.saturating_sub(has)))
}
