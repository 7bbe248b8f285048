//! Ids that have to follow each other without a hole: update ids of books, numbers of trades.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// What a frame says about its place in a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which sequence: a stream, or a symbol of a channel.
    pub(super) sequence: String,
    /// The ids that it covers.
    pub(super) first: i64,
    /// At least `first`.
    pub(super) last: i64,
    /// The sequence begins anew here (a snapshot).
    pub(super) is_start: bool,
}

/// What became of a sequence with one more place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It follows, or is the first.
    Follows,
    /// So many ids are missing between the one that was awaited and this.
    Hole { awaited: i64, missing: i64 },
    /// It was there before, whole or in part.
    Repeats,
}

/// The newest id of each sequence of each connection.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    newest: HashMap<(u32, String), i64>,
}

/// A recording of more than these is no market.
const SEQUENCES_MAX: usize = 200_000;

impl Sequences {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.newest.len()
    }

    /// Takes one more place of `connection` in.
    pub(super) fn step(&mut self, connection: u32, place: Place) -> Step {
        let key = (connection, place.sequence);
        let Some(newest) = self.newest.get_mut(&key) else {
            if self.newest.len() < SEQUENCES_MAX {
                self.newest.insert(key, place.last);
            }
            return Step::Follows;
        };
        let awaited = newest.saturating_add(1);
        if place.is_start {
            *newest = place.last;
            return Step::Follows;
        }
        if place.last < awaited || place.first < awaited {
            *newest = place.last.max(*newest);
            return Step::Repeats;
        }
        *newest = place.last;
        match place.first.saturating_sub(awaited) {
            0 => Step::Follows,
            missing => Step::Hole { awaited, missing },
        }
    }

    /// The connection is gone: what another one says begins anew.
    pub(super) fn forget(&mut self, connection: u32) {
        self.newest.retain(|(owner, _), _| *owner != connection);
    }
}

/// The places that a frame names: none, one, or one for each trade of a batch. Binance's diffs (`U`, `u`), trades (`t`) and
/// aggregates (`a`), wrapped or raw; Kraken v2's trades (`trade_id`). Kraken's books have checksums instead of ids.
pub(super) fn places(message: &[u8]) -> Vec<Place> {
    let Ok(frame) = serde_json::from_slice::<Frame<'_>>(message) else { return Vec::new() };
    let stream = text(frame.stream);
    if let (Some(stream), Some(data)) = (&stream, frame.data) {
        return serde_json::from_str::<Frame<'_>>(data.get())
            .ok()
            .and_then(|data| binance(&data, stream.clone()))
            .into_iter()
            .collect();
    }
    if text(frame.channel).as_deref() == Some("trade") {
        return kraken(&frame);
    }
    let Some(symbol) = text(frame.s) else { return Vec::new() };
    let kind = text(frame.e).unwrap_or_default();
    binance(&frame, format!("{symbol} {kind}")).into_iter().collect()
}

fn binance(data: &Frame<'_>, sequence: String) -> Option<Place> {
    let (first, last) = match text(data.e)?.as_str() {
        "depthUpdate" => (number(data.first)?, number(data.last)?),
        "trade" => (number(data.t)?, number(data.t)?),
        "aggTrade" => (number(data.a)?, number(data.a)?),
        _ => return None,
    };
    (first <= last).then_some(Place { sequence, first, last, is_start: false })
}

fn kraken(frame: &Frame<'_>) -> Vec<Place> {
    let is_start = text(frame.kind).as_deref() == Some("snapshot");
    let trades =
        frame.data.and_then(|data| serde_json::from_str::<Vec<KrakenTrade>>(data.get()).ok()).unwrap_or_default();
    let place = |trade: KrakenTrade| Place {
        sequence: format!("{} trade", trade.symbol),
        first: trade.trade_id,
        last: trade.trade_id,
        is_start,
    };
    trades.into_iter().map(place).collect()
}

/// Whatever stands under these keys: venues have other things under the same ones.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    stream: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    e: Option<&'a RawValue>,
    #[serde(borrow)]
    s: Option<&'a RawValue>,
    #[serde(borrow, rename = "U")]
    first: Option<&'a RawValue>,
    #[serde(borrow, rename = "u")]
    last: Option<&'a RawValue>,
    #[serde(borrow)]
    t: Option<&'a RawValue>,
    #[serde(borrow)]
    a: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct KrakenTrade {
    symbol: String,
    trade_id: i64,
}

fn text(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}

fn number(raw: Option<&RawValue>) -> Option<i64> {
    serde_json::from_str(raw?.get()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(first: i64, last: i64) -> Place {
        Place { sequence: "s".to_owned(), first, last, is_start: false }
    }

    #[test]
    fn holes_and_repetitions_are_told_apart() {
        let mut sequences = Sequences::default();
        assert_eq!(sequences.step(1, place(10, 12)), Step::Follows);
        assert_eq!(sequences.step(1, place(13, 13)), Step::Follows);
        assert_eq!(sequences.step(1, place(17, 18)), Step::Hole { awaited: 14, missing: 3 });
        assert_eq!(sequences.step(1, place(13, 13)), Step::Repeats);
        assert_eq!(sequences.step(1, place(18, 20)), Step::Repeats);
        assert_eq!(sequences.step(1, place(21, 21)), Step::Follows);
        assert_eq!(sequences.step(2, place(1, 1)), Step::Follows, "another connection");
        sequences.forget(1);
        assert_eq!(sequences.step(1, place(500, 501)), Step::Follows);
        assert_eq!(sequences.step(1, Place { is_start: true, ..place(7, 7) }), Step::Follows);
        assert_eq!(sequences.len(), 2);
    }

    #[test]
    fn frames_name_their_places() {
        let of = |text: &str| places(text.as_bytes());
        let diff = r#"{"stream":"s@depth","data":{"e":"depthUpdate","E":1,"s":"S","U":3,"u":5,"b":[],"a":[]}}"#;
        assert_eq!(of(diff), [Place { sequence: "s@depth".to_owned(), ..place(3, 5) }]);
        let trade = r#"{"e":"trade","E":1,"s":"S","t":9,"p":"1","q":"1","T":1,"m":true}"#;
        assert_eq!(of(trade), [Place { sequence: "S trade".to_owned(), ..place(9, 9) }]);
        let agg = r#"{"e":"aggTrade","s":"S","a":4,"f":1,"l":2}"#;
        assert_eq!(of(agg), [Place { sequence: "S aggTrade".to_owned(), ..place(4, 4) }]);
        let kraken = r#"{"channel":"trade","type":"snapshot","data":[{"symbol":"A/B","trade_id":1},{"symbol":"A/B","trade_id":2}]}"#;
        let places = of(kraken);
        assert!(places.len() == 2 && places.iter().all(|place| place.is_start && place.sequence == "A/B trade"));
        for nothing in ["", "[]", r#"{"u":5,"s":"S","b":"1","a":"2"}"#, r#"{"e":"depthUpdate","s":"S","U":5,"u":4}"#] {
            assert_eq!(of(nothing), [], "{nothing}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>) {
            let _ = places(&bytes);
        }
    }
}
