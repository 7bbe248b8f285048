//! One table of what is asked for: path, method of the WS-API, weight, parameters (binance.md sections 10.2 and 11).

use super::{
    market::{DEPTH_DEFAULT, DEPTH_MOST},
    parameters::{Parameters, Symbols},
};

/// What is behind `/api/v3/`, and what the WS-API has a method for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the paths in the table say it")]
pub enum Endpoint {
    Ping,
    Time,
    ExchangeInfo,
    Depth,
    Trades,
    HistoricalTrades,
    AggTrades,
    Klines,
    UiKlines,
    AveragePrice,
    TickerDay,
    TickerTradingDay,
    TickerWindow,
    TickerPrice,
    TickerBook,
    ReferencePrice,
}

/// Most symbols in one request of a statistic that is made for it.
pub(super) const SYMBOLS_MOST: usize = 100;

/// What a request weighs.
#[derive(Clone, Copy, Debug)]
enum Weight {
    Always(u32),
    /// By `limit`.
    Levels,
    /// With `symbol`, and else.
    OneOrMore(u32, u32),
    /// With up to 20 symbols, up to 100, and else.
    Day(u32, u32, u32),
    /// For each symbol, and at most.
    PerSymbol(u32, u32),
}

/// A line of the table.
struct Row {
    endpoint: Endpoint,
    path: &'static str,
    method: &'static str,
    weight: Weight,
    parameters: &'static [&'static str],
}

/// In the order of [`Endpoint`].
const TABLE: [Row; 16] = [
    row(Endpoint::Ping, "ping", "ping", Weight::Always(1), &[]),
    row(Endpoint::Time, "time", "time", Weight::Always(1), &[]),
    row(
        Endpoint::ExchangeInfo,
        "exchangeInfo",
        "exchangeInfo",
        Weight::Always(20),
        &["symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus"],
    ),
    row(Endpoint::Depth, "depth", "depth", Weight::Levels, &["symbol", "limit", "symbolStatus"]),
    row(Endpoint::Trades, "trades", "trades.recent", Weight::Always(25), &["symbol", "limit"]),
    row(
        Endpoint::HistoricalTrades,
        "historicalTrades",
        "trades.historical",
        Weight::Always(25),
        &["symbol", "fromId", "limit"],
    ),
    row(
        Endpoint::AggTrades,
        "aggTrades",
        "trades.aggregate",
        Weight::Always(4),
        &["symbol", "fromId", "startTime", "endTime", "limit"],
    ),
    row(Endpoint::Klines, "klines", "klines", Weight::Always(2), &KLINE_PARAMETERS),
    row(Endpoint::UiKlines, "uiKlines", "uiKlines", Weight::Always(2), &KLINE_PARAMETERS),
    row(Endpoint::AveragePrice, "avgPrice", "avgPrice", Weight::Always(2), &["symbol"]),
    row(
        Endpoint::TickerDay,
        "ticker/24hr",
        "ticker.24hr",
        Weight::Day(2, 40, 80),
        &["symbol", "symbols", "type", "symbolStatus"],
    ),
    row(
        Endpoint::TickerTradingDay,
        "ticker/tradingDay",
        "ticker.tradingDay",
        Weight::PerSymbol(4, 200),
        &["symbol", "symbols", "timeZone", "type", "symbolStatus"],
    ),
    row(
        Endpoint::TickerWindow,
        "ticker",
        "ticker",
        Weight::PerSymbol(4, 200),
        &["symbol", "symbols", "windowSize", "type", "symbolStatus"],
    ),
    row(
        Endpoint::TickerPrice,
        "ticker/price",
        "ticker.price",
        Weight::OneOrMore(2, 4),
        &["symbol", "symbols", "symbolStatus"],
    ),
    row(
        Endpoint::TickerBook,
        "ticker/bookTicker",
        "ticker.book",
        Weight::OneOrMore(2, 4),
        &["symbol", "symbols", "symbolStatus"],
    ),
    row(Endpoint::ReferencePrice, "referencePrice", "referencePrice", Weight::Always(2), &["symbol"]),
];

const KLINE_PARAMETERS: [&str; 6] = ["symbol", "interval", "startTime", "endTime", "timeZone", "limit"];

const fn row(
    endpoint: Endpoint,
    path: &'static str,
    method: &'static str,
    weight: Weight,
    parameters: &'static [&'static str],
) -> Row {
    Row { endpoint, path, method, weight, parameters }
}

impl Endpoint {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.endpoint)
    }

    /// The one at this path below `/api/v3/`.
    pub fn at_path(path: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.path == path).map(|row| row.endpoint)
    }

    /// The one that this method of the WS-API names; the method may begin with `v3/`.
    pub fn of_method(method: &str) -> Option<Self> {
        let method = method.strip_prefix("v3/").unwrap_or(method);
        TABLE.iter().find(|row| row.method == method).map(|row| row.endpoint)
    }

    /// The path below `/api/v3/`.
    pub fn path(self) -> &'static str {
        self.row().path
    }

    /// The method of the WS-API.
    pub fn method(self) -> &'static str {
        self.row().method
    }

    /// The names of its parameters.
    pub fn parameters(self) -> &'static [&'static str] {
        self.row().parameters
    }

    /// What the request weighs, answered or refused.
    pub fn weight(self, parameters: &Parameters<'_>) -> u32 {
        let symbols = parameters.symbols();
        let count = match &symbols {
            Ok(Symbols::Many(list)) => Some(u32::try_from(list.len()).unwrap_or(u32::MAX)),
            Ok(Symbols::All) => None,
            Ok(Symbols::One(_)) | Err(_) => Some(1),
        };
        match self.row().weight {
            Weight::Always(weight) => weight,
            Weight::Levels => match parameters.limit(DEPTH_DEFAULT, DEPTH_MOST) {
                Ok(0..=100) | Err(_) => 5,
                Ok(101..=500) => 25,
                Ok(501..=1000) => 50,
                Ok(_) => 250,
            },
            Weight::OneOrMore(one, more) => {
                if matches!(symbols, Ok(Symbols::One(_))) {
                    one
                } else {
                    more
                }
            }
            Weight::Day(few, many, all) => match count {
                Some(0..=20) => few,
                Some(21..=100) => many,
                _ => all,
            },
            Weight::PerSymbol(each, most) => each.saturating_mul(count.unwrap_or(1)).clamp(each, most),
        }
    }

    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_names() {
        for (index, endpoint) in Endpoint::all().enumerate() {
            assert_eq!(endpoint as usize, index);
            assert_eq!(Endpoint::at_path(endpoint.path()), Some(endpoint));
            assert_eq!(Endpoint::of_method(endpoint.method()), Some(endpoint));
            assert_eq!(Endpoint::of_method(&format!("v3/{}", endpoint.method())), Some(endpoint));
        }
        assert_eq!(Endpoint::of_method("v3/v3/ping"), None);
    }
}
