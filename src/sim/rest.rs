//! Binance's REST answers from the simulated market (binance.md section 10).

mod history;
mod parameters;
mod tickers;

pub(super) use parameters::{invalid_symbol, limit, names_of, number, symbol_of};

use super::{
    control::Query,
    door::{Answer, Plain},
    faults::Fault,
    floor::Floor,
    frame::depth,
};
use crate::market::{Nanos, Side};
use parameters::{both, legal_symbol, unit_of};

/// Weight per aligned minute, as on Binance.
const WEIGHT_PER_MINUTE: u32 = 6_000;

/// The weight that all requests of this minute used: one count for everybody, as there is one address on loopback.
#[derive(Debug, Default)]
pub(super) struct Weight {
    minute: i64,
    used: u32,
    /// Requests of this minute that were refused.
    refused: u32,
    banned_until: Option<Nanos>,
}

/// Refused requests in a minute after which nothing is answered any more.
const REFUSED_MAX: u32 = 100;
/// For so long: Binance's shortest ban.
const BAN_MS: i64 = 120_000;

impl Weight {
    /// Counts a request; `Err` has the refusal.
    fn add(&mut self, weight: u32, now: Nanos) -> Result<u32, Answer> {
        let minute = now.millis().div_euclid(60_000);
        if minute != self.minute {
            *self = Self { minute, banned_until: self.banned_until.filter(|until| now < *until), ..Self::default() };
        }
        self.used = self.used.saturating_add(weight);
        if self.used <= WEIGHT_PER_MINUTE && self.banned_until.is_none() {
            return Ok(self.used);
        }
        self.refused += 1;
        if self.refused > REFUSED_MAX && self.banned_until.is_none() {
            self.banned_until = Some(Nanos(now.0 + BAN_MS * 1_000_000));
        }
        let Some(until) = self.banned_until else {
            return Err(limited(60 - (now.millis().rem_euclid(60_000) / 1_000) as u32));
        };
        let text = format!(
            "Way too much request weight used; IP banned until {}. Please use WebSocket Streams for live updates to \
             avoid bans.",
            until.millis()
        );
        Err(Answer { retry_after: Some(until.since(now).as_secs() as u32 + 1), ..Answer::error(418, -1003, &text) })
    }
}

/// What a request gets that is too heavy for this minute.
fn limited(seconds: u32) -> Answer {
    let text = "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. \
                Please use WebSocket Streams for live updates to avoid polling the API.";
    Answer { retry_after: Some(seconds), ..Answer::error(429, -1003, text) }
}

/// Answers one request.
pub(super) fn answer(floor: &mut Floor, weight: &mut Weight, request: &Plain, now: Nanos) -> Answer {
    floor.tally.requests += 1;
    let used = match weight.add(cost(request), now) {
        Ok(used) => used,
        Err(refusal) => return Answer { weight: WEIGHT_PER_MINUTE, ..refusal },
    };
    if floor.plan.take(|fault| fault == Fault::RateLimit).is_some() {
        return Answer { weight: used, ..limited(1) };
    }
    let is_error = |fault| matches!(fault, Fault::RestFailure | Fault::RestGarbage | Fault::RestDelay);
    let fault = floor.plan.take(is_error);
    if fault == Some(Fault::RestFailure) {
        let text = "Internal error; unable to process your request. Please try again.";
        return Answer { weight: used, ..Answer::error(503, -1001, text) };
    }
    let mut answer = route(floor, request, now).unwrap_or_else(|refusal| refusal);
    match fault {
        // Half an answer under the best of heads.
        Some(Fault::RestGarbage) => answer.body = answer.body.slice(..answer.body.len() / 2),
        Some(Fault::RestDelay) => answer.delay = floor.plan.rest_delay(),
        _ => {}
    }
    Answer { weight: used, ..answer }
}

fn route(floor: &mut Floor, request: &Plain, now: Nanos) -> Result<Answer, Answer> {
    let unit = unit_of(request.time_unit.as_deref())?;
    let query = &request.query;
    let Some(name) = request.path.strip_prefix("/api/v3/") else { return Err(nothing_here()) };
    let body = match name {
        "ping" => "{}".to_owned(),
        "time" => format!(r#"{{"serverTime":{}}}"#, unit.of(now)),
        "exchangeInfo" => exchange_info(floor, query, unit.of(now))?,
        "depth" => {
            let symbol = symbol(floor, query)?;
            let limit = limit(query, 100, 5_000)?;
            let stale = floor.plan.take(|fault| fault == Fault::StaleSnapshot).is_some();
            let book = if stale { floor.market.stale_book(symbol) } else { floor.market.book(symbol) };
            depth(book.last_id, &book.top(Side::Bid, limit), &book.top(Side::Ask, limit))
        }
        "trades" | "historicalTrades" | "historicalBlockTrades" | "aggTrades" => {
            history::trades(floor, name, query, unit, now)?
        }
        "klines" | "uiKlines" => history::klines(floor, query, unit, now)?,
        "avgPrice" | "referencePrice" | "referencePrice/calculation" | "executionRules" => {
            tickers::prices(floor, name, query, unit, now)?
        }
        _ => match name.strip_prefix("ticker") {
            Some(kind) => tickers::tickers(floor, kind, query, unit, now)?,
            None => return Err(nothing_here()),
        },
    };
    Ok(Answer::ok(body))
}

/// What an unknown path is answered with.
pub(super) fn nothing_here() -> Answer {
    Answer { status: 404, ..Answer::ok("") }
}

/// What a request costs, also one that is refused.
fn cost(Plain { path, query, .. }: &Plain) -> u32 {
    let is_full_list = query.get("symbol").is_none();
    let symbols = match query.get("symbols") {
        Some(list) => list.matches("\",\"").count() as u32 + 1,
        None => 1,
    };
    match path.strip_prefix("/api/v3/").unwrap_or("") {
        "exchangeInfo" => 20,
        "depth" => match limit(query, 100, 5_000).unwrap_or(100) {
            ..=100 => 5,
            101..=500 => 25,
            501..=1_000 => 50,
            _ => 250,
        },
        "trades" | "historicalTrades" | "historicalBlockTrades" => 25,
        "aggTrades" => 4,
        "klines" | "uiKlines" | "avgPrice" | "referencePrice" | "referencePrice/calculation" => 2,
        "ticker/24hr" if is_full_list => match (query.get("symbols"), symbols) {
            (Some(_), ..=20) => 2,
            (Some(_), ..=100) => 40,
            _ => 80,
        },
        "ticker/24hr" => 2,
        "ticker" | "ticker/tradingDay" => (symbols * 4).min(200),
        "ticker/price" | "ticker/bookTicker" if is_full_list => 4,
        "ticker/price" | "ticker/bookTicker" => 2,
        "executionRules" if is_full_list && query.get("symbols").is_none() => 40,
        "executionRules" => (symbols * 2).min(40),
        _ => 1,
    }
}

fn exchange_info(floor: &Floor, query: &Query, server_time: i64) -> Result<String, Answer> {
    let indexes = symbols(floor, query)?.unwrap_or_else(|| (0..floor.market.symbols().len() as u32).collect());
    let infos = indexes.iter().map(|&index| {
        let mut info = String::new();
        floor.market.symbols()[index as usize].write_info(&mut info);
        info
    });
    Ok(exchange_info_body(server_time, infos))
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

fn symbol(floor: &Floor, query: &Query) -> Result<u32, Answer> {
    floor.symbol(symbol_of(query)?).ok_or_else(invalid_symbol)
}

/// The symbols that a request names with `symbol` or `symbols`; `None` if it names none.
fn symbols(floor: &Floor, query: &Query) -> Result<Option<Vec<u32>>, Answer> {
    let known = |name: &str| floor.symbol(name).ok_or_else(invalid_symbol);
    match (query.get("symbol"), query.get("symbols")) {
        (Some(_), Some(_)) => Err(both()),
        (Some(name), None) => Ok(Some(vec![known(legal_symbol(name)?)?])),
        (None, Some(list)) => names_of(list)?.iter().map(|name| known(name)).collect::<Result<_, _>>().map(Some),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_is_short_for_a_minute_and_whoever_goes_on_is_banned() {
        let mut weight = Weight::default();
        let second = |second: i64| Nanos(second * 1_000_000_000);
        assert_eq!(weight.add(6_000, second(65)).ok(), Some(6_000));
        let refused = weight.add(1, second(100)).expect_err("too much");
        assert_eq!((refused.status, refused.retry_after), (429, Some(20)));
        assert_eq!(weight.add(5, second(120)).ok(), Some(5), "a new minute");
        for _ in 0..=REFUSED_MAX {
            drop(weight.add(6_000, second(121)));
        }
        let banned = weight.add(1, second(185)).expect_err("banned into the next minute");
        assert_eq!((banned.status, banned.retry_after), (418, Some(57)));
        assert!(String::from_utf8_lossy(&banned.body).contains("IP banned until 241000. Please"));
        assert_eq!(weight.add(1, second(242)).ok(), Some(1));
    }

    #[test]
    fn costs_are_those_of_the_matrix() {
        let of = |path: &str| {
            let (path, query) = path.split_once('?').unwrap_or((path, ""));
            cost(&Plain { path: format!("/api/v3/{path}"), query: Query::parse(query), time_unit: None })
        };
        let list = |count: usize| (0..count).map(|index| format!("\"S{index}\"")).collect::<Vec<_>>().join(",");
        for (path, weight) in [
            ("ping", 1),
            ("exchangeInfo", 20),
            ("depth?limit=100", 5),
            ("depth?limit=101", 25),
            ("depth?limit=1000", 50),
            ("depth?limit=9999", 250),
            ("trades", 25),
            ("aggTrades", 4),
            ("klines", 2),
            ("uiKlines", 2),
            ("avgPrice", 2),
            ("ticker/24hr?symbol=A", 2),
            ("ticker/24hr", 80),
            ("ticker?symbol=A", 4),
            ("ticker/price?symbol=A", 2),
            ("ticker/price", 4),
            ("ticker/bookTicker", 4),
            ("referencePrice", 2),
            ("executionRules?symbol=A", 2),
            ("executionRules", 40),
        ] {
            assert_eq!(of(path), weight, "{path}");
        }
        let of_list = |path: &str, count| of(&format!("{path}?symbols=[{}]", list(count)));
        assert_eq!([1, 20, 21, 100, 101].map(|count| of_list("ticker/24hr", count)), [2, 2, 40, 40, 80]);
        assert_eq!([1, 3, 50, 90].map(|count| of_list("ticker/tradingDay", count)), [4, 12, 200, 200]);
    }
}
