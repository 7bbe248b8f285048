//! What one client subscribes to, in order and in its own spelling.

use crate::{
    market::{Catalogue, Zone},
    topic::{Channel, Encoding, StreamName, TimeUnit, Topic, TopicId},
};

/// How a client wrote a topic's name, where there is a choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Spelling(u8);

impl Spelling {
    const PREFIXED: u8 = 1;
    const LONG: u8 = 2;
    const COUNT: u8 = 4;

    /// The spelling of `text`, which [`StreamName::parse`] has read as a known topic.
    fn of(text: &str, topic: TopicId) -> Self {
        // An offset has a colon as well, but behind the `@`.
        let head = text.split_once('@').map_or(text, |(head, _)| head);
        let prefixed = if head.contains(':') { Self::PREFIXED } else { 0 };
        let long = if text.ends_with(long_suffix(topic)) { Self::LONG } else { 0 };
        Self(prefixed | long)
    }

    /// Appends the name of `topic` in this spelling: byte for byte what the client wrote.
    pub fn write(self, topic: TopicId, catalogue: &Catalogue, out: &mut Vec<u8>) {
        let (venue, symbol, name) = match topic.topic() {
            Topic::Instrument(instrument, channel) => {
                let instrument = catalogue.instrument(instrument);
                (instrument.venue, &*instrument.symbol_lower, channel.suffix())
            }
            Topic::Venue(venue, array) => (venue, "", array.name()),
        };
        if self.0 & Self::PREFIXED != 0 {
            out.extend_from_slice(catalogue.venues()[venue.0 as usize].name.as_bytes());
            out.push(b':');
        }
        let is_long = self.0 & Self::LONG != 0;
        out.extend_from_slice(symbol.as_bytes());
        if is_long && topic.channel() == Some(Channel::BookTicker) {
            // The one stream that SBE calls otherwise: a name of its own instead of a longer one.
            return out.extend_from_slice(SBE_BEST.as_bytes());
        }
        out.extend_from_slice(name.as_bytes());
        if is_long {
            out.extend_from_slice(long_suffix(topic).as_bytes());
        }
    }
}

/// What the SBE door calls `@bookTicker` (binance.md section 9.1).
const SBE_BEST: &str = "@bestBidAsk";

/// What may stand behind the canonical name without a change of meaning: the period of streams that come every second, the
/// offset of candles that are the same in both zones. Names that end with it canonically are of other topics.
const fn long_suffix(topic: TopicId) -> &'static str {
    match topic.topic() {
        Topic::Instrument(_, Channel::BookTicker) => SBE_BEST,
        Topic::Instrument(_, Channel::Kline(series)) if matches!(series.zone(), Zone::Utc) => "@+08:00",
        _ => "@1000ms",
    }
}

/// Which bytes a topic's update becomes for a session: dense from 0, for tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form(u8);

impl Form {
    /// How many there are: raw in two units, combined in two units and every spelling, SBE.
    pub const COUNT: usize = 3 + 2 * Spelling::COUNT as usize;

    /// SBE: never wrapped, always in microseconds.
    pub const SBE: Self = Self(Self::COUNT as u8 - 1);

    /// The form of a session with these properties for a name in this spelling (which raw sessions never see).
    pub const fn new(combined: bool, unit: TimeUnit, spelling: Spelling) -> Self {
        let unit = unit as u8;
        Self(if combined { 2 + spelling.0 * 2 + unit } else { unit })
    }

    /// In which encoding.
    pub const fn encoding(self) -> Encoding {
        if self.0 == Self::SBE.0 { Encoding::Sbe } else { Encoding::Json }
    }

    /// In which unit times are.
    pub const fn unit(self) -> TimeUnit {
        if self.0 == Self::SBE.0 {
            return TimeUnit::Microseconds;
        }
        if self.0 & 1 == TimeUnit::Milliseconds as u8 { TimeUnit::Milliseconds } else { TimeUnit::Microseconds }
    }

    /// The spelling in the wrapper; `None`: there is no wrapper.
    pub const fn spelling(self) -> Option<Spelling> {
        if self.0 < 2 || self.0 == Self::SBE.0 { None } else { Some(Spelling((self.0 - 2) / 2)) }
    }
}

/// One subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// To what.
    pub stream: Stream,
    /// Where the subscription table keeps it; only the table knows what it means.
    pub place: u32,
}

/// What a subscription is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// A topic of ours, in the client's spelling.
    Known(TopicId, Spelling),
    /// A name of nothing here: these bytes of the session's own store.
    Unknown {
        /// Where they begin.
        start: u32,
        /// How many they are.
        length: u16,
    },
}

/// What [`Subscriptions::add`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    New,
    /// It was there already.
    Again,
    /// The session's limits do not allow another one.
    Full,
}

/// The subscriptions of one session in the order in which they were made.
///
/// The allocations are exact: most sessions subscribe once, and there are many of them.
#[derive(Debug, Default)]
pub struct Subscriptions {
    list: Vec<Subscription>,
    #[allow(clippy::box_collection, reason = "nearly no session has unknown names: 8 bytes for none instead of 24")]
    unknown: Option<Box<Vec<u8>>>,
}

impl Subscriptions {
    /// All of them, in order.
    pub fn list(&self) -> &[Subscription] {
        &self.list
    }

    /// Says where the table keeps the subscription with this index.
    pub fn set_place(&mut self, index: usize, place: u32) {
        self.list[index].place = place;
    }

    /// Appends the name of `stream` as the client wrote it.
    pub fn write_name(&self, stream: Stream, catalogue: &Catalogue, out: &mut Vec<u8>) {
        match stream {
            Stream::Known(topic, spelling) => spelling.write(topic, catalogue, out),
            Stream::Unknown { start, length } => out.extend_from_slice(self.unknown_name(start, length)),
        }
    }

    /// Expects room for `count` more.
    pub(super) fn reserve(&mut self, count: usize) {
        self.list.reserve_exact(count);
    }

    pub(super) fn add(&mut self, text: &str, name: StreamName, streams_max: usize, unknown_bytes_max: usize) -> Added {
        if self.find(text, name).is_some() {
            return Added::Again;
        }
        if self.list.len() >= streams_max {
            return Added::Full;
        }
        let stream = match name {
            StreamName::Known(topic) => Stream::Known(topic, Spelling::of(text, topic)),
            StreamName::Unknown | StreamName::Malformed => {
                let kept = self.unknown.as_ref().map_or(0, |names| names.len());
                let (Ok(start), Ok(length)) = (u32::try_from(kept), u16::try_from(text.len())) else {
                    return Added::Full;
                };
                if kept.saturating_add(text.len()) > unknown_bytes_max {
                    return Added::Full;
                }
                self.unknown.get_or_insert_default().extend_from_slice(text.as_bytes());
                Stream::Unknown { start, length }
            }
        };
        self.list.push(Subscription { stream, place: 0 });
        Added::New
    }

    /// The index of a name, if it is subscribed to in exactly this spelling.
    pub(super) fn find(&self, text: &str, name: StreamName) -> Option<usize> {
        if let StreamName::Known(topic) = name {
            let wanted = Stream::Known(topic, Spelling::of(text, topic));
            return self.list.iter().position(|subscription| subscription.stream == wanted);
        }
        self.list.iter().position(|subscription| match subscription.stream {
            Stream::Known(..) => false,
            Stream::Unknown { start, length } => self.unknown_name(start, length) == text.as_bytes(),
        })
    }

    /// Takes out the subscriptions with these indices (ascending); the others keep their order.
    pub(super) fn remove(&mut self, indices: &[u32]) {
        let mut index = 0;
        let mut gone = indices.iter().copied().peekable();
        self.list.retain(|_| {
            let stays = gone.next_if_eq(&index).is_none();
            index += 1;
            stays
        });
        let Some(before) = self.unknown.take() else { return };
        let mut names = Vec::new();
        for subscription in &mut self.list {
            if let Stream::Unknown { start, length } = &mut subscription.stream {
                let from = *start as usize;
                *start = names.len() as u32;
                names.extend_from_slice(&before[from..from + usize::from(*length)]);
            }
        }
        self.unknown = (!names.is_empty()).then(|| Box::new(names));
    }

    fn unknown_name(&self, start: u32, length: u16) -> &[u8] {
        let names = self.unknown.as_ref().expect("unknown streams have their names in the store");
        &names[start as usize..start as usize + usize::from(length)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        market::Series,
        topic::{Array, Cadence},
    };

    #[test]
    fn forms_are_dense_and_reversible() {
        let mut seen = [false; Form::COUNT];
        for unit in [TimeUnit::Milliseconds, TimeUnit::Microseconds] {
            for bits in 0..Spelling::COUNT {
                for combined in [false, true] {
                    let form = Form::new(combined, unit, Spelling(bits));
                    assert_eq!((form.encoding(), form.unit()), (Encoding::Json, unit));
                    assert_eq!(form.spelling(), combined.then_some(Spelling(bits)));
                    seen[usize::from(form.0)] = true;
                }
            }
        }
        assert_eq!((Form::SBE.encoding(), Form::SBE.unit()), (Encoding::Sbe, TimeUnit::Microseconds));
        assert_eq!(Form::SBE.spelling(), None);
        assert!(!std::mem::replace(&mut seen[usize::from(Form::SBE.0)], true), "it is none of the others");
        assert_eq!(seen, [true; Form::COUNT]);
    }

    #[test]
    fn every_spelling_is_given_back_as_written() {
        let mut catalogue = Catalogue::new();
        let venue = catalogue.add_venue("binance", None);
        catalogue.add_instrument(venue, "币USDT", "币USDT");
        let mut names = Vec::new();
        let is_json = |channel: &Channel| {
            !matches!(channel, Channel::Depth(Cadence::Swift) | Channel::PartialDepth(_, Cadence::Brisk))
        };
        names.extend(
            Array::ALL.into_iter().flat_map(|array| [array.name().to_owned(), format!("binance:{}", array.name())]),
        );
        names.push("!miniTicker@arr@1000ms".to_owned());
        for channel in Channel::ALL.into_iter().filter(is_json) {
            let name = format!("币usdt{}", channel.suffix());
            if matches!(channel, Channel::Kline(series) if series == Series::new(series.interval(), Zone::Plus8))
                && !name.contains('+')
            {
                names.push(format!("{name}@+08:00"));
                names.push(format!("binance:{name}@+08:00"));
            }
            names.extend([name.clone(), format!("binance:{name}")]);
            if matches!(channel, Channel::Depth(Cadence::Slow) | Channel::PartialDepth(_, Cadence::Slow)) {
                names.extend([format!("{name}@1000ms"), format!("binance:{name}@1000ms")]);
            }
        }
        let mut subscriptions = Subscriptions::default();
        for name in &names {
            let parsed = StreamName::parse(name, venue, &catalogue, Encoding::Json);
            assert!(matches!(parsed, StreamName::Known(_)), "{name}");
            assert_eq!(subscriptions.add(name, parsed, 1000, 0), Added::New);
            assert_eq!(subscriptions.add(name, parsed, 1000, 0), Added::Again);
        }
        for (subscription, name) in subscriptions.list().iter().zip(&names) {
            let mut out = Vec::new();
            subscriptions.write_name(subscription.stream, &catalogue, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), *name);
        }
    }

    #[test]
    fn names_of_sbe_are_given_back_as_written() {
        let mut catalogue = Catalogue::new();
        let venue = catalogue.add_venue("binance", None);
        catalogue.add_instrument(venue, "BTCUSDT", "BTCUSDT");
        let mut subscriptions = Subscriptions::default();
        for name in ["trade", "bestBidAsk", "depth20", "depth"] {
            for name in [format!("btcusdt@{name}"), format!("binance:btcusdt@{name}")] {
                let parsed = StreamName::parse(&name, venue, &catalogue, Encoding::Sbe);
                assert!(matches!(parsed, StreamName::Known(_)), "{name}");
                assert_eq!(subscriptions.add(&name, parsed, 1000, 0), Added::New);
                let mut out = Vec::new();
                let stream = subscriptions.list().last().expect("one was added").stream;
                subscriptions.write_name(stream, &catalogue, &mut out);
                assert_eq!(String::from_utf8(out).unwrap(), name);
            }
        }
    }

    #[test]
    fn unknown_names_live_within_their_limit_and_free_it_again() {
        let add = |subscriptions: &mut Subscriptions, name| subscriptions.add(name, StreamName::Unknown, 3, 10);
        let mut subscriptions = Subscriptions::default();
        assert_eq!(add(&mut subscriptions, "aaaaa"), Added::New);
        assert_eq!(add(&mut subscriptions, "bbbb"), Added::New);
        assert_eq!(add(&mut subscriptions, "cc"), Added::Full);
        subscriptions.remove(&[0]);
        assert_eq!(subscriptions.find("bbbb", StreamName::Unknown), Some(0));
        assert_eq!(add(&mut subscriptions, "cc"), Added::New);
        assert_eq!(add(&mut subscriptions, "d"), Added::New);
        assert_eq!(add(&mut subscriptions, "e"), Added::Full);
        subscriptions.remove(&[0, 1, 2]);
        assert!(subscriptions.list().is_empty() && subscriptions.unknown.is_none());
    }
}
