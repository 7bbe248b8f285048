//! Stream names: `[venue:]symbol@channel`, parsed exactly and never repaired.

use super::{Cadence, Channel, TopicId};
use crate::market::{Catalogue, VenueId};

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
    /// Reads `text`; without a venue prefix it means `venue`.
    ///
    /// Symbols are lower case and channels case-sensitive: anything else is [`StreamName::Unknown`], as on Binance.
    /// A legal name holds letters, digits, `_ . - ! @ : +` and characters outside ASCII, with at least one part.
    pub fn parse(text: &str, venue: VenueId, catalogue: &Catalogue) -> Self {
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
        let Some((symbol, channel)) = rest.split_once('@') else { return Self::Unknown };
        let (Some(channel), Some(instrument)) = (parse_channel(channel), catalogue.by_lower(venue, symbol)) else {
            return Self::Unknown;
        };
        Self::Known(TopicId::new(instrument, channel))
    }
}

/// The canonical name of a channel, without the symbol; `None` never happens for a served channel.
impl Channel {
    /// The part of the stream name behind the symbol (`@depth5@100ms`).
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Trade => "@trade",
            Self::AggTrade => "@aggTrade",
            Self::BookTicker => "@bookTicker",
            Self::Depth(Cadence::Fast) => "@depth@100ms",
            Self::Depth(Cadence::Slow) => "@depth",
            Self::PartialDepth(5, Cadence::Fast) => "@depth5@100ms",
            Self::PartialDepth(5, Cadence::Slow) => "@depth5",
            Self::PartialDepth(10, Cadence::Fast) => "@depth10@100ms",
            Self::PartialDepth(10, Cadence::Slow) => "@depth10",
            Self::PartialDepth(_, Cadence::Fast) => "@depth20@100ms",
            Self::PartialDepth(_, Cadence::Slow) => "@depth20",
            Self::KlineMinute => "@kline_1m",
            Self::MiniTicker => "@miniTicker",
            Self::Ticker => "@ticker",
        }
    }
}

fn parse_channel(text: &str) -> Option<Channel> {
    let (base, speed) = match text.split_once('@') {
        Some((base, speed)) => (base, Some(speed)),
        None => (text, None),
    };
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
        "bookTicker" => Some(Channel::BookTicker),
        "kline_1m" => Some(Channel::KlineMinute),
        "miniTicker" => Some(Channel::MiniTicker),
        "ticker" => Some(Channel::Ticker),
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
        for channel in Channel::ALL {
            for (index, instrument) in catalogue.instruments().iter().enumerate() {
                let name = format!("{}{}", instrument.symbol_lower, channel.suffix());
                let expected = if index < 2 {
                    StreamName::Known(TopicId::new(instrument.id, channel))
                } else {
                    StreamName::Unknown
                };
                assert_eq!(StreamName::parse(&name, VenueId(0), &catalogue), expected, "{name}");
                let prefixed = format!("{}:{name}", catalogue.venues()[instrument.venue.0 as usize].name);
                assert_eq!(
                    StreamName::parse(&prefixed, VenueId(0), &catalogue),
                    StreamName::Known(TopicId::new(instrument.id, channel)),
                );
            }
        }
    }

    #[test]
    fn aliases_unknown_and_malformed_names_are_told_apart() {
        let catalogue = catalogue();
        let parse = |text: &str| StreamName::parse(text, VenueId(0), &catalogue);
        assert_eq!(parse("btcusdt@depth@1000ms"), parse("btcusdt@depth"));
        assert_eq!(parse("btcusdt@depth20@1000ms"), parse("btcusdt@depth20"));
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
            "btcusdt@kline_1d@+08:00",
            "!miniTicker@arr",
        ] {
            assert_eq!(parse(unknown), StreamName::Unknown, "{unknown}");
        }
        for malformed in ["", "@@@x###", "btc usdt@trade", "btcusdt@@trade", "a\"b@trade", "@trade", "a/b"] {
            assert_eq!(parse(malformed), StreamName::Malformed, "{malformed}");
        }
    }
}
