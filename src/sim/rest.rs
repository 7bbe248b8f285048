//! Binance's REST answers from the simulated market (binance.md section 10).

use super::{
    control::Query,
    door::{Answer, Plain},
    faults::Fault,
    floor::Floor,
    frame::{Unit, aggregate_list, depth, kline_list, trade_list},
};
use crate::market::{Nanos, Side};

/// Weight per aligned minute, as on Binance.
const WEIGHT_PER_MINUTE: u32 = 6_000;

/// The weight that all requests of this minute used: one count for everybody, as there is one address on loopback.
#[derive(Debug, Default)]
pub(super) struct Weight {
    minute: i64,
    used: u32,
}

impl Weight {
    /// Counts a request; `Err` has the seconds until the minute is over.
    fn add(&mut self, weight: u32, now: Nanos) -> Result<u32, u32> {
        let minute = now.millis().div_euclid(60_000);
        if minute != self.minute {
            *self = Self { minute, used: 0 };
        }
        self.used = self.used.saturating_add(weight);
        if self.used <= WEIGHT_PER_MINUTE {
            return Ok(self.used);
        }
        Err(60 - (now.millis().rem_euclid(60_000) / 1_000) as u32)
    }
}

/// Answers one request.
pub(super) fn answer(floor: &mut Floor, weight: &mut Weight, request: &Plain, now: Nanos) -> Answer {
    floor.tally.requests += 1;
    let limited = |seconds| {
        let text = "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. \
                    Please use WebSocket Streams for live updates to avoid polling the API.";
        Answer { retry_after: Some(seconds), ..Answer::error(429, -1003, text) }
    };
    let used = match weight.add(cost(request), now) {
        Ok(used) => used,
        Err(seconds) => return Answer { weight: WEIGHT_PER_MINUTE, ..limited(seconds) },
    };
    if floor.plan.take(|fault| fault == Fault::RateLimit).is_some() {
        return Answer { weight: used, ..limited(1) };
    }
    let answer = route(floor, request, now).unwrap_or_else(|refusal| refusal);
    Answer { weight: used, ..answer }
}

fn route(floor: &mut Floor, request: &Plain, now: Nanos) -> Result<Answer, Answer> {
    let unit = match request.time_unit.as_deref().map(Unit::parse) {
        None => Unit::Millisecond,
        Some(Some(unit)) => unit,
        Some(None) => {
            let text = "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.";
            return Err(Answer::error(400, -1194, text));
        }
    };
    let query = &request.query;
    match request.path.as_str() {
        "/api/v3/ping" => Ok(Answer::ok("{}")),
        "/api/v3/time" => Ok(Answer::ok(format!(r#"{{"serverTime":{}}}"#, unit.of(now)))),
        "/api/v3/exchangeInfo" => exchange_info(floor, query, unit.of(now)),
        "/api/v3/depth" => {
            let symbol = symbol(floor, query)?;
            let limit = limit(query, 100, 5_000)?;
            let stale = floor.plan.take(|fault| fault == Fault::StaleSnapshot).is_some();
            let book = if stale { floor.market.stale_book(symbol) } else { floor.market.book(symbol) };
            Ok(Answer::ok(depth(book.last_id, &book.top(Side::Bid, limit), &book.top(Side::Ask, limit))))
        }
        "/api/v3/trades" | "/api/v3/historicalTrades" => {
            let trades = floor.market.trades(symbol(floor, query)?);
            let limit = limit(query, 500, 1_000)?;
            let from = if request.path.ends_with("historicalTrades") { number(query, "fromId")? } else { None };
            let start = start(trades.len(), limit, from.map(|from| trades.partition_point(|trade| trade.id < from)));
            Ok(Answer::ok(trade_list(trades.range(start..).take(limit), unit)))
        }
        "/api/v3/aggTrades" => {
            let aggregates = floor.market.aggregates(symbol(floor, query)?);
            let limit = limit(query, 500, 1_000)?;
            let (begin, end) = (number(query, "startTime")?, number(query, "endTime")?);
            let bound = |time: Option<i64>| time.map(Nanos::from_epoch_integer);
            let from = match (number(query, "fromId")?, bound(begin)) {
                (Some(id), _) => Some(aggregates.partition_point(|aggregate| aggregate.id < id)),
                (None, Some(begin)) => Some(aggregates.partition_point(|aggregate| aggregate.time < begin)),
                (None, None) => None,
            };
            // The end is inclusive, in the unit in which it was given: one millisecond is enough room for both.
            let last = bound(end).map_or(Nanos(i64::MAX), |end| Nanos(end.0.saturating_add(999_999)));
            let until = aggregates.partition_point(|aggregate| aggregate.time <= last);
            let start = start(until, limit, from);
            Ok(Answer::ok(aggregate_list(aggregates.range(start.min(until)..until).take(limit), unit)))
        }
        "/api/v3/klines" => {
            let symbol = symbol(floor, query)?;
            if query.get("interval") != Some("1m") {
                return Err(Answer::error(400, -1120, "Invalid interval."));
            }
            let limit = limit(query, 500, 1_000)?;
            let begin = number(query, "startTime")?.map_or(Nanos(i64::MIN), Nanos::from_epoch_integer);
            let rows: Vec<_> = floor.market.candles(symbol).filter(|kline| kline.open_time >= begin).collect();
            let start = start(rows.len(), limit, query.get("startTime").map(|_| 0));
            Ok(Answer::ok(kline_list(rows[start..].iter().take(limit).copied(), unit)))
        }
        _ => Err(Answer { status: 404, ..Answer::ok("") }),
    }
}

/// Where a list of at most `limit` out of `len` begins: at `from`, else so that it ends with the newest.
fn start(len: usize, limit: usize, from: Option<usize>) -> usize {
    from.unwrap_or_else(|| len.saturating_sub(limit))
}

/// What a request costs.
fn cost(request: &Plain) -> u32 {
    match request.path.as_str() {
        "/api/v3/exchangeInfo" => 20,
        "/api/v3/depth" => match limit(&request.query, 100, 5_000).unwrap_or(100) {
            ..=100 => 5,
            101..=500 => 25,
            501..=1_000 => 50,
            _ => 250,
        },
        "/api/v3/trades" | "/api/v3/historicalTrades" => 25,
        "/api/v3/aggTrades" => 4,
        "/api/v3/klines" => 2,
        _ => 1,
    }
}

fn exchange_info(floor: &Floor, query: &Query, server_time: i64) -> Result<Answer, Answer> {
    let known = |name: &str| floor.symbol(name).ok_or_else(invalid_symbol);
    let indexes: Vec<u32> = match (query.get("symbol"), query.get("symbols")) {
        (Some(_), Some(_)) => {
            let text = "Combination of optional parameters invalid. Recommendation: 'symbol' and 'symbols' cannot both be sent.";
            return Err(Answer::error(400, -1128, text));
        }
        (Some(name), None) => vec![known(legal_symbol(name)?)?],
        (None, Some(list)) => names_of(list)?.iter().map(|name| known(name)).collect::<Result<_, _>>()?,
        (None, None) => (0..floor.market.symbols().len() as u32).collect(),
    };
    let infos = indexes.iter().map(|&index| {
        let mut info = String::new();
        floor.market.symbols()[index as usize].write_info(&mut info);
        info
    });
    Ok(Answer::ok(exchange_info_body(server_time, infos)))
}

/// The exchangeInfo document around the objects of its symbols.
pub(super) fn exchange_info_body(server_time: i64, infos: impl Iterator<Item = String>) -> String {
    let mut out = format!(
        r#"{{"timezone":"UTC","serverTime":{server_time},"rateLimits":[{{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":{WEIGHT_PER_MINUTE}}},{{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":100}},{{"rateLimitType":"ORDERS","interval":"DAY","intervalNum":1,"limit":200000}},{{"rateLimitType":"RAW_REQUESTS","interval":"MINUTE","intervalNum":5,"limit":300000}}],"exchangeFilters":[],"symbols":["#
    );
    for (index, info) in infos.enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(&info);
    }
    out.push_str("]}");
    out
}

/// The names in a `symbols` parameter: a strict compact JSON array.
pub(super) fn names_of(list: &str) -> Result<Vec<String>, Answer> {
    let illegal = || {
        let range = r#"^\[("[\w\-._&&[^a-z]]{1,50}"(,"[\w\-._&&[^a-z]]{1,50}"){0,}){0,1}\]$"#;
        let text = format!("Illegal characters found in parameter 'symbols'; legal range is '{range}'.");
        Answer::error(400, -1100, &text)
    };
    let names: Vec<String> = serde_json::from_str(list).map_err(|_| illegal())?;
    if list.contains(char::is_whitespace) || names.iter().any(|name| !is_legal_symbol(name)) {
        return Err(illegal());
    }
    let repeated = |(index, name): (usize, &String)| names[..index].contains(name);
    if names.iter().enumerate().any(repeated) {
        return Err(Answer::error(400, -1151, "Symbol is present multiple times in the list."));
    }
    Ok(names)
}

/// The `symbol` parameter, if Binance would read it as one.
pub(super) fn symbol_of(query: &Query) -> Result<&str, Answer> {
    let name = query.get("symbol").filter(|name| !name.is_empty()).ok_or_else(|| {
        let text = "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.";
        Answer::error(400, -1102, text)
    })?;
    legal_symbol(name)
}

/// What an unknown symbol is answered with.
pub(super) fn invalid_symbol() -> Answer {
    Answer::error(400, -1121, "Invalid symbol.")
}

/// A numeric parameter.
pub(super) fn number(query: &Query, key: &str) -> Result<Option<i64>, Answer> {
    let Some(text) = query.get(key) else { return Ok(None) };
    let illegal = || {
        let text = format!("Illegal characters found in parameter '{key}'; legal range is '^[0-9]{{1,20}}$'.");
        Answer::error(400, -1100, &text)
    };
    text.parse::<i64>().ok().filter(|value| *value >= 0).map(Some).ok_or_else(illegal)
}

/// The `limit` parameter: `default` if absent, silently at most `most`.
pub(super) fn limit(query: &Query, default: usize, most: usize) -> Result<usize, Answer> {
    let limit = number(query, "limit")?.unwrap_or(default as i64);
    if limit == 0 {
        return Err(Answer::error(400, -1130, "Data sent for parameter 'limit' is not valid."));
    }
    Ok(usize::try_from(limit).unwrap_or(most).min(most))
}

fn symbol(floor: &Floor, query: &Query) -> Result<u32, Answer> {
    floor.symbol(symbol_of(query)?).ok_or_else(invalid_symbol)
}

fn legal_symbol(name: &str) -> Result<&str, Answer> {
    if is_legal_symbol(name) {
        return Ok(name);
    }
    let text = r"Illegal characters found in parameter 'symbol'; legal range is '^[\w\-._&&[^a-z]]{1,50}$'.";
    Err(Answer::error(400, -1100, text))
}

fn is_legal_symbol(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "-._".contains(c) || !c.is_ascii();
    (1..=50).contains(&name.chars().count()) && name.chars().all(legal)
}
