//! Stream names: `[venue:]symbol@channel`, parsed exactly and never repaired.

use super::{Array, Cadence, Channel, Encoding, TopicId, Window};
use crate::market::{Catalogue, Interval, Series, VenueId, Zone};

/// Longest symbol in a stream name, in characters (binance.md section 2).
pub const SYMBOL_CHARS_MAX: usize = 50;

/// What a client's stream name turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamName {
    /// A topic of ours.
    Known(TopicId),
    /// Well-formed, but nothing that we serve: acknowledged and silent.
    Unknown,
    /// Not a stream name at all (illegal characters): refused with `Invalid request: invalid stream`.
    Malformed,
}

impl StreamName {
    /// Reads `text`, the name of a stream in `encoding`; without a venue prefix it means `venue`.
    ///
    /// Symbols are lower case and channels case-sensitive: anything else is [`StreamName::Unknown`], as on Binance.
    /// A legal name holds letters, digits, `_ . - ! @ : +` and characters outside ASCII, with at least one part.
    pub fn parse(text: &str, venue: VenueId, catalogue: &Catalogue, encoding: Encoding) -> Self {
        if !is_well_formed(text) {
            return Self::Malformed;
        }
        let (venue, rest) = match text.split_once(':') {
            Some((name, rest)) if !name.contains('@') => match catalogue.venue_named(name) {
                Some(venue) => (venue.id, rest),
                None => return Self::Unknown,
            },
            _ => (venue, text),
        };
        if rest.starts_with('!') && encoding == Encoding::Json {
            return parse_array(rest).map_or(Self::Unknown, |array| Self::Known(TopicId::of_venue(venue, array)));
        }
        let Some((symbol, channel)) = rest.split_once('@') else { return Self::Unknown };
        let channel = match encoding {
            Encoding::Json => parse_channel(channel),
            Encoding::Sbe => parse_sbe_channel(channel),
        };
        let (Some(channel), Some(instrument)) = (channel, catalogue.by_lower(venue, symbol)) else {
            return Self::Unknown;
        };
        Self::Known(TopicId::new(instrument, channel))
    }
}

/// The canonical names of channels.
impl Channel {
    /// The part of the JSON stream's name behind the symbol (`@depth5@100ms`). The SBE cadences are named as in SBE.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Trade => "@trade",
            Self::AggTrade => "@aggTrade",
            Self::BlockTrade => "@blockTrade",
            Self::BookTicker => "@bookTicker",
            Self::Depth(Cadence::Fast) => "@depth@100ms",
            Self::Depth(_) => "@depth",
            Self::PartialDepth(5, Cadence::Fast) => "@depth5@100ms",
            Self::PartialDepth(5, _) => "@depth5",
            Self::PartialDepth(10, Cadence::Fast) => "@depth10@100ms",
            Self::PartialDepth(10, _) => "@depth10",
            Self::PartialDepth(_, Cadence::Fast) => "@depth20@100ms",
            Self::PartialDepth(..) => "@depth20",
            Self::Kline(series) => KLINE_SUFFIXES[series.index()],
            Self::MiniTicker => "@miniTicker",
            Self::Ticker => "@ticker",
            Self::Rolling(Window::Hour1) => "@ticker_1h",
            Self::Rolling(Window::Hour4) => "@ticker_4h",
            Self::Rolling(Window::Day1) => "@ticker_1d",
            Self::AveragePrice => "@avgPrice",
            Self::ReferencePrice => "@referencePrice",
        }
    }
}

/// In the order of [`Series::index`].
const KLINE_SUFFIXES: [&str; Series::COUNT] = [
    "@kline_1s",
    "@kline_1m",
    "@kline_3m",
    "@kline_5m",
    "@kline_15m",
    "@kline_30m",
    "@kline_1h",
    "@kline_2h",
    "@kline_4h",
    "@kline_6h",
    "@kline_8h",
    "@kline_12h",
    "@kline_1d",
    "@kline_3d",
    "@kline_1w",
    "@kline_1M",
    "@kline_6h@+08:00",
    "@kline_12h@+08:00",
    "@kline_1d@+08:00",
    "@kline_3d@+08:00",
    "@kline_1w@+08:00",
    "@kline_1M@+08:00",
];

fn parse_array(name: &str) -> Option<Array> {
    // python-binance asks for it with its period.
    if name == "!miniTicker@arr@1000ms" {
        return Some(Array::MiniTicker);
    }
    Array::ALL.into_iter().find(|array| array.name() == name)
}

fn parse_channel(text: &str) -> Option<Channel> {
    let (base, speed) = match text.split_once('@') {
        Some((base, speed)) => (base, Some(speed)),
        None => (text, None),
    };
    if let Some(interval) = base.strip_prefix("kline_") {
        let zone = match speed {
            None => Zone::Utc,
            Some("+08:00") => Zone::Plus8,
            Some(_) => return None,
        };
        return Interval::parse(interval).map(|interval| Channel::Kline(Series::new(interval, zone)));
    }
    let cadence = match speed {
        None | Some("1000ms") => Cadence::Slow,
        Some("100ms") => Cadence::Fast,
        Some(_) => return None,
    };
    let depth = match base {
        "depth" => Some(Channel::Depth(cadence)),
        "depth5" => Some(Channel::PartialDepth(5, cadence)),
        "depth10" => Some(Channel::PartialDepth(10, cadence)),
        "depth20" => Some(Channel::PartialDepth(20, cadence)),
        _ => None,
    };
    if depth.is_some() || speed.is_some() {
        return depth;
    }
    match base {
        "trade" => Some(Channel::Trade),
        "aggTrade" => Some(Channel::AggTrade),
        "blockTrade" => Some(Channel::BlockTrade),
        "bookTicker" => Some(Channel::BookTicker),
        "miniTicker" => Some(Channel::MiniTicker),
        "ticker" => Some(Channel::Ticker),
        "ticker_1h" => Some(Channel::Rolling(Window::Hour1)),
        "ticker_4h" => Some(Channel::Rolling(Window::Hour4)),
        "ticker_1d" => Some(Channel::Rolling(Window::Day1)),
        "avgPrice" => Some(Channel::AveragePrice),
        "referencePrice" => Some(Channel::ReferencePrice),
        _ => None,
    }
}

/// The four streams that SBE has (binance.md section 9.1).
fn parse_sbe_channel(text: &str) -> Option<Channel> {
    match text {
        "trade" => Some(Channel::Trade),
        "bestBidAsk" => Some(Channel::BookTicker),
        "depth20" => Some(Channel::PartialDepth(20, Cadence::Brisk)),
        "depth" => Some(Channel::Depth(Cadence::Swift)),
        _ => None,
    }
}

fn is_well_formed(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "_.-!@:+".contains(c) || (!c.is_ascii() && !c.is_control());
    // `@@@x###` is the malformed name that was seen to be refused; a bare word such as ccxt's `/ws/0` is not.
    !text.is_empty() && text.chars().all(legal) && !text.starts_with('@') && !text.contains("@@")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> Catalogue {
        let mut catalogue = Catalogue::new();
        let binance = catalogue.add_venue("binance", None);
        catalogue.add_instrument(binance, "BTCUSDT", "BTCUSDT");
        catalogue.add_instrument(binance, "币安人生USDT", "币安人生USDT");
        let kraken = catalogue.add_venue("kraken", None);
        catalogue.add_instrument(kraken, "BTC/USD", "BTCUSD");
        catalogue
    }

    #[test]
    fn every_channel_parses_from_its_own_suffix() {
        let catalogue = catalogue();
        let is_json = |channel: &Channel| {
            !matches!(channel, Channel::Depth(Cadence::Swift) | Channel::PartialDepth(_, Cadence::Brisk))
        };
        for channel in Channel::ALL.into_iter().filter(is_json) {
            for (index, instrument) in catalogue.instruments().iter().enumerate() {
                let name = format!("{}{}", instrument.symbol_lower, channel.suffix());
                let expected = if index < 2 {
                    StreamName::Known(TopicId::new(instrument.id, channel))
                } else {
                    StreamName::Unknown
                };
                assert_eq!(StreamName::parse(&name, VenueId(0), &catalogue, Encoding::Json), expected, "{name}");
                let prefixed = format!("{}:{name}", catalogue.venues()[instrument.venue.0 as usize].name);
                assert_eq!(
                    StreamName::parse(&prefixed, VenueId(0), &catalogue, Encoding::Json),
                    StreamName::Known(TopicId::new(instrument.id, channel)),
                );
            }
        }
    }

    #[test]
    fn arrays_are_of_the_venue() {
        let catalogue = catalogue();
        for array in Array::ALL {
            let of = |venue| StreamName::Known(TopicId::of_venue(VenueId(venue), array));
            assert_eq!(StreamName::parse(array.name(), VenueId(0), &catalogue, Encoding::Json), of(0));
            assert_eq!(
                StreamName::parse(&format!("kraken:{}", array.name()), VenueId(0), &catalogue, Encoding::Json),
                of(1)
            );
        }
    }

    #[test]
    fn aliases_unknown_and_malformed_names_are_told_apart() {
        let catalogue = catalogue();
        let parse = |text: &str| StreamName::parse(text, VenueId(0), &catalogue, Encoding::Json);
        assert_eq!(parse("btcusdt@depth@1000ms"), parse("btcusdt@depth"));
        assert_eq!(parse("btcusdt@depth20@1000ms"), parse("btcusdt@depth20"));
        assert_eq!(parse("btcusdt@kline_4h@+08:00"), parse("btcusdt@kline_4h"));
        assert_ne!(parse("btcusdt@kline_6h@+08:00"), parse("btcusdt@kline_6h"));
        assert_ne!(parse("btcusdt@kline_1M"), parse("btcusdt@kline_1m"));
        assert_eq!(parse("!miniTicker@arr@1000ms"), parse("!miniTicker@arr"));
        for unknown in [
            "BTCUSDT@trade",
            "btcusdt@Trade",
            "btcusdt@depth@250ms",
            "btcusdt@depth30",
            "nosuch@trade",
            "0",
            "btcusdt",
            "btcusdt@trade@100ms",
            "nosuch:btcusdt@trade",
            "btcusdt@kline_1d@+09:00",
            "btcusdt@kline_1H",
            "!bookTicker",
            "!miniTicker",
            "!ticker@arr@3000ms",
        ] {
            assert_eq!(parse(unknown), StreamName::Unknown, "{unknown}");
        }
        for malformed in ["", "@@@x###", "btc usdt@trade", "btcusdt@@trade", "a\"b@trade", "@trade", "a/b"] {
            assert_eq!(parse(malformed), StreamName::Malformed, "{malformed}");
        }
    }

    #[test]
    fn sbe_has_four_streams_under_names_of_its_own() {
        let catalogue = catalogue();
        let btc = catalogue.by_lower(VenueId(0), "btcusdt").expect("it is there");
        let parse = |text: &str| StreamName::parse(text, VenueId(0), &catalogue, Encoding::Sbe);
        for (name, channel) in [
            ("btcusdt@trade", Channel::Trade),
            ("btcusdt@bestBidAsk", Channel::BookTicker),
            ("btcusdt@depth20", Channel::PartialDepth(20, Cadence::Brisk)),
            ("btcusdt@depth", Channel::Depth(Cadence::Swift)),
        ] {
            assert_eq!(parse(name), StreamName::Known(TopicId::new(btc, channel)), "{name}");
            assert_eq!(parse(&format!("binance:{name}")), parse(name), "{name}");
            assert_ne!(parse(&format!("kraken:{name}")), parse(name), "{name}");
        }
        for unknown in [
            "btcusdt@bookTicker",
            "btcusdt@depth@100ms",
            "btcusdt@depth@1000ms",
            "btcusdt@depth20@50ms",
            "btcusdt@depth5",
            "btcusdt@aggTrade",
            "btcusdt@kline_1m",
            "btcusdt@ticker",
            "BTCUSDT@trade",
            "!ticker@arr",
        ] {
            assert_eq!(parse(unknown), StreamName::Unknown, "{unknown}");
        }
        assert_eq!(parse("@@@x###"), StreamName::Malformed);
        assert_eq!(
            StreamName::parse("btcusdt@bestBidAsk", VenueId(0), &catalogue, Encoding::Json),
            StreamName::Unknown,
            "only SBE calls it so"
        );
    }
}
