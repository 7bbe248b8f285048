//! Events as comma-separated values: one table, its columns in a fixed order, every number as it was on the wire.

use std::{borrow::Cow, fmt::Write};

use serde_json::Value;

use super::kind::Kind;
use crate::market::Nanos;

/// A column's name, and where its value is in the payload (a JSON pointer).
type Column = (&'static str, &'static str);

const TRADE: &[Column] = &[
    ("event_time", "/E"),
    ("symbol", "/s"),
    ("trade_id", "/t"),
    ("price", "/p"),
    ("quantity", "/q"),
    ("trade_time", "/T"),
    ("buyer_is_maker", "/m"),
];

const AGG_TRADE: &[Column] = &[
    ("event_time", "/E"),
    ("symbol", "/s"),
    ("agg_trade_id", "/a"),
    ("price", "/p"),
    ("quantity", "/q"),
    ("first_trade_id", "/f"),
    ("last_trade_id", "/l"),
    ("trade_time", "/T"),
    ("buyer_is_maker", "/m"),
];

const BOOK_TICKER: &[Column] = &[
    ("symbol", "/s"),
    ("update_id", "/u"),
    ("bid_price", "/b"),
    ("bid_quantity", "/B"),
    ("ask_price", "/a"),
    ("ask_quantity", "/A"),
];

/// A row per level: these, then side, price, quantity.
const DEPTH: &[Column] = &[("event_time", "/E"), ("symbol", "/s"), ("first_update_id", "/U"), ("last_update_id", "/u")];

/// A row per level: this, then side, level, price, quantity.
const PARTIAL_DEPTH: &[Column] = &[("last_update_id", "/lastUpdateId")];

const KLINE: &[Column] = &[
    ("event_time", "/E"),
    ("symbol", "/s"),
    ("interval", "/k/i"),
    ("open_time", "/k/t"),
    ("close_time", "/k/T"),
    ("open", "/k/o"),
    ("high", "/k/h"),
    ("low", "/k/l"),
    ("close", "/k/c"),
    ("volume", "/k/v"),
    ("quote_volume", "/k/q"),
    ("taker_buy_volume", "/k/V"),
    ("taker_buy_quote_volume", "/k/Q"),
    ("trades", "/k/n"),
    ("first_trade_id", "/k/f"),
    ("last_trade_id", "/k/L"),
    ("is_closed", "/k/x"),
];

const MINI_TICKER: &[Column] = &[
    ("event_time", "/E"),
    ("symbol", "/s"),
    ("close", "/c"),
    ("open", "/o"),
    ("high", "/h"),
    ("low", "/l"),
    ("volume", "/v"),
    ("quote_volume", "/q"),
];

const TICKER: &[Column] = &[
    ("event_time", "/E"),
    ("symbol", "/s"),
    ("change", "/p"),
    ("change_percent", "/P"),
    ("weighted_average", "/w"),
    ("previous_close", "/x"),
    ("last", "/c"),
    ("last_quantity", "/Q"),
    ("bid_price", "/b"),
    ("bid_quantity", "/B"),
    ("ask_price", "/a"),
    ("ask_quantity", "/A"),
    ("open", "/o"),
    ("high", "/h"),
    ("low", "/l"),
    ("volume", "/v"),
    ("quote_volume", "/q"),
    ("open_time", "/O"),
    ("close_time", "/C"),
    ("first_trade_id", "/F"),
    ("last_trade_id", "/L"),
    ("trades", "/n"),
];

const ROLLING: &[Column] = &[
    ("window", "/e"),
    ("event_time", "/E"),
    ("symbol", "/s"),
    ("change", "/p"),
    ("change_percent", "/P"),
    ("open", "/o"),
    ("high", "/h"),
    ("low", "/l"),
    ("last", "/c"),
    ("weighted_average", "/w"),
    ("volume", "/v"),
    ("quote_volume", "/q"),
    ("open_time", "/O"),
    ("close_time", "/C"),
    ("first_trade_id", "/F"),
    ("last_trade_id", "/L"),
    ("trades", "/n"),
];

const AVERAGE_PRICE: &[Column] =
    &[("event_time", "/E"), ("symbol", "/s"), ("interval", "/i"), ("price", "/w"), ("last_trade_time", "/T")];

const REFERENCE_PRICE: &[Column] = &[("symbol", "/s"), ("price", "/r"), ("time", "/t")];

const fn columns(kind: Kind) -> &'static [Column] {
    match kind {
        Kind::Trade | Kind::BlockTrade => TRADE,
        Kind::AggTrade => AGG_TRADE,
        Kind::BookTicker => BOOK_TICKER,
        Kind::Depth => DEPTH,
        Kind::PartialDepth => PARTIAL_DEPTH,
        Kind::Kline => KLINE,
        Kind::MiniTicker => MINI_TICKER,
        Kind::Ticker => TICKER,
        Kind::Rolling => ROLLING,
        Kind::AveragePrice => AVERAGE_PRICE,
        Kind::ReferencePrice => REFERENCE_PRICE,
    }
}

/// The names of the columns, with commas. They begin with `received_us` (microseconds since 1970 on this machine's clock)
/// and `stream`.
pub(super) fn header(kind: Kind) -> String {
    let mut names = vec!["received_us", "stream"];
    names.extend(columns(kind).iter().map(|(name, _)| *name));
    match kind {
        Kind::Depth => names.extend(["side", "price", "quantity"]),
        Kind::PartialDepth => names.extend(["side", "level", "price", "quantity"]),
        _ => {}
    }
    names.join(",")
}

/// The table of streams of one kind, or why there is none.
///
/// # Errors
/// If the streams are of several kinds, or of none.
pub(super) fn kind_of(streams: &[String]) -> Result<Kind, String> {
    let mut chosen: Option<(Kind, &str)> = None;
    for stream in streams {
        let kind = Kind::of_stream(stream)
            .ok_or_else(|| format!("--csv has no columns for `{stream}`; --raw prints what comes, whatever it is"))?;
        match chosen {
            Some((first, name)) if first != kind => {
                return Err(format!(
                    "--csv prints one table, but `{name}` ({}) and `{stream}` ({}) have different columns; run one tail \
                     for each kind, or take --raw",
                    first.name(),
                    kind.name()
                ));
            }
            _ => chosen = Some((kind, stream)),
        }
    }
    chosen.map(|(kind, _)| kind).ok_or_else(|| "--csv needs a stream".to_owned())
}

/// The rows of one event, each with its line end; `None` if it is no event of this kind.
pub(super) fn rows(kind: Kind, received: Nanos, stream: &str, data: &Value) -> Option<String> {
    let mut out = String::new();
    match data {
        Value::Array(elements) => {
            for element in elements {
                start(&mut out, kind, received, stream, element)?;
                out.push('\n');
            }
        }
        _ if kind == Kind::Depth => {
            for (side, key) in [("bid", "b"), ("ask", "a")] {
                levels(&mut out, kind, received, stream, data, side, data.get(key)?)?;
            }
        }
        _ if kind == Kind::PartialDepth => {
            for (side, key) in [("bid", "bids"), ("ask", "asks")] {
                levels(&mut out, kind, received, stream, data, side, data.get(key)?)?;
            }
        }
        _ => {
            start(&mut out, kind, received, stream, data)?;
            out.push('\n');
        }
    }
    Some(out)
}

fn start(out: &mut String, kind: Kind, received: Nanos, stream: &str, data: &Value) -> Option<()> {
    write!(out, "{},{}", received.micros(), quoted(stream)).ok()?;
    for (_, place) in columns(kind) {
        out.push(',');
        match data.pointer(place)? {
            Value::Null => {}
            Value::String(text) => out.push_str(&quoted(text)),
            other => write!(out, "{other}").ok()?,
        }
    }
    Some(())
}

fn levels(
    out: &mut String,
    kind: Kind,
    received: Nanos,
    stream: &str,
    data: &Value,
    side: &str,
    levels: &Value,
) -> Option<()> {
    for (index, level) in levels.as_array()?.iter().enumerate() {
        start(out, kind, received, stream, data)?;
        write!(out, ",{side}").ok()?;
        if kind == Kind::PartialDepth {
            write!(out, ",{}", index + 1).ok()?;
        }
        let text = |at: usize| level.get(at).and_then(Value::as_str).map(quoted);
        writeln!(out, ",{},{}", text(0)?, text(1)?).ok()?;
    }
    Some(())
}

/// A field by RFC 4180: in quotation marks if it holds one, a comma or a line end.
fn quoted(text: &str) -> Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) {
        return Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")));
    }
    Cow::Borrowed(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const AT: Nanos = Nanos(1_789_000_000_123_456_789);

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_row_has_as_many_fields_as_the_header_and_numbers_as_they_came() {
        let trade = json!({"e":"trade","E":1,"s":"BTCUSDT","t":9,"p":"0.00000010","q":"1.00000000","T":2,"m":true});
        assert_eq!(
            header(Kind::Trade),
            "received_us,stream,event_time,symbol,trade_id,price,quantity,trade_time,buyer_is_maker"
        );
        assert_eq!(
            rows(Kind::Trade, AT, "btcusdt@trade", &trade).as_deref(),
            Some("1789000000123456,btcusdt@trade,1,BTCUSDT,9,0.00000010,1.00000000,2,true\n")
        );
        assert_eq!(rows(Kind::BookTicker, AT, "x", &trade), None, "what lacks a column is no row");
    }

    #[test]
    fn books_have_a_row_for_each_level() {
        let diff = json!({"e":"depthUpdate","E":1,"s":"S","U":3,"u":4,"b":[["1.0","0.0"]],"a":[["2.0","5"],["3","6"]]});
        let rows_of = |kind, data| rows(kind, AT, "s", data).expect("rows");
        let diffs = rows_of(Kind::Depth, &diff);
        assert!(
            diffs.ends_with(
                "s,1,S,3,4,bid,1.0,0.0\n1789000000123456,s,1,S,3,4,ask,2.0,5\n1789000000123456,s,1,S,3,4,ask,3,6\n"
            ),
            "{diffs}"
        );
        let book = json!({"lastUpdateId":7,"bids":[["1","2"]],"asks":[["3","4"]]});
        let book = rows_of(Kind::PartialDepth, &book);
        assert_eq!(book, "1789000000123456,s,7,bid,1,1,2\n1789000000123456,s,7,ask,1,3,4\n");
        for (kind, text) in [(Kind::Depth, diffs), (Kind::PartialDepth, book)] {
            let fields = header(kind).split(',').count();
            assert!(text.lines().all(|line| line.split(',').count() == fields), "{text}");
        }
        let empty = json!({"E":1,"s":"S","U":3,"u":4,"b":[],"a":[]});
        assert_eq!(rows_of(Kind::Depth, &empty), "");
    }

    #[test]
    fn arrays_have_a_row_for_each_symbol_and_nothing_is_an_empty_field() {
        let mini = |symbol| json!({"E":1,"s":symbol,"c":"1","o":"2","h":"3","l":"4","v":"5","q":"6"});
        let array = json!([mini("A"), mini("B")]);
        let rows_of = rows(Kind::MiniTicker, AT, "!miniTicker@arr", &array).expect("rows");
        assert_eq!(rows_of.lines().count(), 2);
        let reference = json!({"s":"S","r":null,"t":5});
        let row = rows(Kind::ReferencePrice, AT, "s@referencePrice", &reference).expect("a row");
        assert!(row.ends_with("S,,5\n"), "{row}");
    }

    #[test]
    fn fields_are_quoted_where_they_have_to_be() {
        assert_eq!(quoted("plain"), "plain");
        assert_eq!(quoted("a,b"), "\"a,b\"");
        assert_eq!(quoted("say \"x\""), "\"say \"\"x\"\"\"");
        assert_eq!(quoted("a\nb"), "\"a\nb\"");
    }

    #[test]
    fn the_readme_has_the_columns() {
        let readme = include_str!("../../../README.md");
        for kind in [
            Kind::Trade,
            Kind::AggTrade,
            Kind::BookTicker,
            Kind::Depth,
            Kind::PartialDepth,
            Kind::Kline,
            Kind::MiniTicker,
            Kind::Ticker,
            Kind::Rolling,
            Kind::AveragePrice,
            Kind::ReferencePrice,
        ] {
            let header = header(kind);
            let columns = header.strip_prefix("received_us,stream,").expect("each header begins so");
            assert!(readme.contains(&format!("| `{columns}` |")), "README lacks {columns}");
        }
    }

    #[test]
    fn one_table_has_one_kind() {
        assert_eq!(kind_of(&names(&["a@trade", "kraken:b@trade"])), Ok(Kind::Trade));
        let mixed = kind_of(&names(&["a@trade", "a@bookTicker"])).expect_err("two kinds");
        assert!(mixed.contains("`a@trade` (trade)") && mixed.contains("`a@bookTicker` (bookTicker)"), "{mixed}");
        assert!(kind_of(&names(&["a@nothing"])).expect_err("none").contains("a@nothing"));
    }
}
