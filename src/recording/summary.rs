//! What is in a recording, counted.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::Deserialize;

use super::{Kind, Record};
use crate::market::Nanos;

/// Counts per kind and per stream, and the time between the first and the last record.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Connections opened.
    pub opened: u64,
    /// Messages sent.
    pub sent: u64,
    /// Messages received.
    pub received: u64,
    /// REST answers.
    pub responses: u64,
    /// Messages received by channel: what stands behind the `@` of a stream, or the venue's name of the channel.
    pub channels: BTreeMap<String, u64>,
    /// Times of the first and the last record.
    pub span: Option<(Nanos, Nanos)>,
}

impl Summary {
    /// Counts one more record.
    pub fn count(&mut self, record: &Record) {
        let (first, last) = self.span.unwrap_or((record.time, record.time));
        self.span = Some((first.min(record.time), last.max(record.time)));
        match record.kind {
            Kind::Opened { .. } => self.opened += 1,
            Kind::Sent => self.sent += 1,
            Kind::Received => {
                self.received += 1;
                let name = stream_of(&record.bytes).unwrap_or(Cow::Borrowed("other"));
                let channel = name.split_once('@').map_or(&*name, |(_, channel)| channel);
                *self.channels.entry(channel.to_owned()).or_default() += 1;
            }
            Kind::Response { .. } => self.responses += 1,
            Kind::Closed => {}
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.span.map_or(0.0, |(first, last)| last.since(first).as_secs_f64());
        let Self { opened, sent, received, responses, .. } = self;
        write!(f, "{seconds:.1} s, {opened} connections, {sent} sent, {received} received, {responses} responses")?;
        for (channel, count) in &self.channels {
            write!(f, "\n  {channel}: {count}")?;
        }
        Ok(())
    }
}

/// What a received message belongs to: Binance's stream name, Kraken v2's channel, Kraken v1's channel name, or the kind
/// of event that a raw payload names. `None` if it says nothing of the sort.
pub fn stream_of(message: &[u8]) -> Option<Cow<'_, str>> {
    if message.starts_with(b"[") {
        // Kraken v1: [id, {..}, (second {..},) name, pair].
        let parts: Vec<&serde_json::value::RawValue> = serde_json::from_slice(message).ok()?;
        let name = parts.len().checked_sub(2).map(|at| parts[at].get())?;
        return serde_json::from_str(name).ok().map(Cow::Owned);
    }
    let probe: Probe = serde_json::from_slice(message).ok()?;
    probe.stream.or(probe.channel).or(probe.e).or(probe.event)
}

#[derive(Deserialize)]
struct Probe<'a> {
    #[serde(borrow)]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    e: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    event: Option<Cow<'a, str>>,
}

/// A string where there is one; venues put other things under the same keys.
fn text<'de: 'a, 'a, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'a, str>>, D::Error> {
    let raw = <&serde_json::value::RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str::<String>(raw.get()).ok().map(Cow::Owned))
}
