//! What a stream name can ask of a symbol, or of all of them (binance.md section 2).

use super::{
    market::{Array, Cadence, Statistic, What},
    timeframe::{HOUR_S, Timeframe, Window},
};

/// A kind of stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Channel {
    AggTrade,
    Array(Array),
    Average,
    Best,
    BlockTrade,
    Diff(Cadence),
    Kline(Timeframe),
    MiniTicker,
    /// So many levels, each time that cadence's diff is due.
    Partial(u8, Cadence),
    Reference,
    Rolling(Window),
    Ticker,
    Trade,
}

impl Channel {
    /// The channel behind the `@` of a stream name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(interval) = text.strip_prefix("kline_") {
            let (interval, offset) = interval.strip_suffix("@+08:00").map_or((interval, 0), |it| (it, 8 * HOUR_S));
            return Timeframe::parse(interval, offset).map(Self::Kline);
        }
        if let Some(window) = text.strip_prefix("ticker_") {
            return Window::parse(window).map(Self::Rolling);
        }
        Some(match text {
            "aggTrade" => Self::AggTrade,
            "avgPrice" => Self::Average,
            "blockTrade" => Self::BlockTrade,
            "bookTicker" => Self::Best,
            "depth@100ms" => Self::Diff(Cadence::Fast),
            "depth" | "depth@1000ms" => Self::Diff(Cadence::Slow),
            "miniTicker" => Self::MiniTicker,
            "depth5@100ms" => Self::Partial(5, Cadence::Fast),
            "depth10@100ms" => Self::Partial(10, Cadence::Fast),
            "depth20@100ms" => Self::Partial(20, Cadence::Fast),
            "depth5" | "depth5@1000ms" => Self::Partial(5, Cadence::Slow),
            "depth10" | "depth10@1000ms" => Self::Partial(10, Cadence::Slow),
            "depth20" | "depth20@1000ms" => Self::Partial(20, Cadence::Slow),
            "referencePrice" => Self::Reference,
            "ticker" => Self::Ticker,
            "trade" => Self::Trade,
            _ => return None,
        })
    }

    /// The channel on which `what` is published as it is.
    pub(super) fn of(what: &What) -> Self {
        match what {
            What::Trade(_) => Self::Trade,
            What::AggTrade(_) => Self::AggTrade,
            What::Best(_) => Self::Best,
            What::Diff { cadence, .. } => Self::Diff(*cadence),
            What::Kline(candle) => Self::Kline(candle.timeframe),
            What::Statistics(statistic, _) => Self::of_statistic(*statistic),
            What::Average { .. } => Self::Average,
            What::Reference(_) => Self::Reference,
            What::BlockTrade(_) => Self::BlockTrade,
            What::Array(array, _) => Self::Array(*array),
        }
    }

    /// The symbol's own stream of a statistic.
    pub(super) const fn of_statistic(statistic: Statistic) -> Self {
        match statistic {
            Statistic::Mini => Self::MiniTicker,
            Statistic::Day => Self::Ticker,
            Statistic::Rolling(window) => Self::Rolling(window),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_letter_by_letter() {
        let offset = |text| Timeframe::parse("1d", text).map(Channel::Kline);
        assert_eq!((Channel::parse("kline_1d"), Channel::parse("kline_1d@+08:00")), (offset(0), offset(28_800)));
        assert_ne!(Channel::parse("kline_1M"), Channel::parse("kline_1m"));
        assert_eq!(Channel::parse("ticker_4h"), Some(Channel::Rolling(Window::Hour4)));
        for wrong in ["kline_1H", "kline_1d@+09:00", "kline_", "ticker_2h", "Trade", "avgprice", "depth@250ms"] {
            assert_eq!(Channel::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Array::parse("!miniTicker@arr@1000ms"), Some(Array::Mini));
        assert_eq!(Array::parse("!ticker_1h@arr"), Some(Array::Rolling(Window::Hour1)));
        assert_eq!((Array::parse("!bookTicker"), Array::parse("!ticker@arr@3000ms")), (None, None));
    }
}
