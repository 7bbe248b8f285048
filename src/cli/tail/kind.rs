//! What an event is about: told by the name of its stream, so that a table can be chosen before anything comes.

/// The kinds of events that tables are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Trade,
    AggTrade,
    BlockTrade,
    BookTicker,
    Depth,
    PartialDepth,
    Kline,
    MiniTicker,
    Ticker,
    Rolling,
    AveragePrice,
    ReferencePrice,
}

impl Kind {
    /// The kind of a stream: `btcusdt@trade`, `kraken:btcusd@depth5`, `!miniTicker@arr`. `None` if there is none such.
    pub(super) fn of_stream(name: &str) -> Option<Self> {
        let name = name.split_once(':').filter(|(venue, _)| !venue.contains('@')).map_or(name, |(_, name)| name);
        let (symbol, channel) = name.split_once('@')?;
        let channel = symbol.strip_prefix('!').unwrap_or(channel);
        let channel = channel.split('@').next().unwrap_or(channel);
        Some(match channel {
            "trade" => Self::Trade,
            "aggTrade" => Self::AggTrade,
            "blockTrade" => Self::BlockTrade,
            "bookTicker" => Self::BookTicker,
            "depth" => Self::Depth,
            "depth5" | "depth10" | "depth20" => Self::PartialDepth,
            "miniTicker" => Self::MiniTicker,
            "ticker" => Self::Ticker,
            "ticker_1h" | "ticker_4h" | "ticker_1d" => Self::Rolling,
            "avgPrice" => Self::AveragePrice,
            "referencePrice" => Self::ReferencePrice,
            _ if channel.starts_with("kline_") => Self::Kline,
            _ => return None,
        })
    }

    /// As streams name it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Trade => "trade",
            Self::AggTrade => "aggTrade",
            Self::BlockTrade => "blockTrade",
            Self::BookTicker => "bookTicker",
            Self::Depth => "depth",
            Self::PartialDepth => "depth5/10/20",
            Self::Kline => "kline",
            Self::MiniTicker => "miniTicker",
            Self::Ticker => "ticker",
            Self::Rolling => "ticker_1h/4h/1d",
            Self::AveragePrice => "avgPrice",
            Self::ReferencePrice => "referencePrice",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_kind() {
        for (name, kind) in [
            ("btcusdt@trade", Some(Kind::Trade)),
            ("kraken:btcusd@depth@100ms", Some(Kind::Depth)),
            ("btcusdt@depth20@100ms", Some(Kind::PartialDepth)),
            ("btcusdt@kline_1d@+08:00", Some(Kind::Kline)),
            ("!miniTicker@arr@3000ms", Some(Kind::MiniTicker)),
            ("kraken:!ticker_1h@arr", Some(Kind::Rolling)),
            ("!ticker@arr", Some(Kind::Ticker)),
            ("btcusdt@depth7", None),
            ("btcusdt", None),
            ("", None),
        ] {
            assert_eq!(Kind::of_stream(name), kind, "{name}");
        }
    }
}
