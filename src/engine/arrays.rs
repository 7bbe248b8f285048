//! Arrays about all instruments of a venue: what has been published since the array before.

use super::{Desk, Shared};
use crate::{
    market::{Nanos, VenueId},
    topic::{Array, Element, Payload, TopicId, Update},
};

/// When each array of each venue comes next, and up to which beat it has told.
///
/// Tickers come once a second at a phase that is the venue's own, with jitter. An array that is cut in the middle of them
/// would hold a symbol twice in a second or not at all, so it waits for a moment of silence and keeps the phase that it
/// finds. Where there is no silence it comes all the same, once a period.
#[derive(Debug)]
pub(super) struct Arrays {
    turns: Vec<[Turn; Array::ALL.len()]>,
}

/// The next array of one kind.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    /// Not before.
    due: Nanos,
    /// What was published from this beat on has not been told.
    since: u64,
    /// Since when it is due and has something to tell, but waits for silence.
    held: Option<Nanos>,
}

impl Arrays {
    pub(super) fn new(venues: usize) -> Self {
        Self { turns: vec![Default::default(); venues] }
    }

    /// Publishes the arrays that are due and that anyone wants. One in which nothing changed is not published.
    pub(super) fn beat(&mut self, now: Nanos, desks: &[Desk], shared: &mut Shared) {
        // What is published from here on is of the next beat.
        shared.array_beat += 1;
        for (venue, turns) in self.turns.iter_mut().enumerate() {
            let venue = VenueId(venue as u32);
            for (array, turn) in Array::ALL.into_iter().zip(turns) {
                if now < turn.due {
                    continue;
                }
                if !shared.interest.any(TopicId::of_venue(venue, array)) {
                    *turn = Turn { due: turn.after(now, array.period_ns()), since: shared.array_beat, held: None };
                    continue;
                }
                let desks = desks.iter().filter(|desk| desk.venue == venue);
                let Some(newest) = desks.clone().filter_map(|desk| beat_of(desk, array)).max() else { continue };
                if newest < turn.since {
                    continue;
                }
                let is_silent = newest + SILENT_BEATS < shared.array_beat;
                let held = *turn.held.get_or_insert(now);
                if !is_silent && now.0 - held.0 < HELD_MAX_NS {
                    continue;
                }
                publish(venue, array, turn.since, now, desks, shared);
                // Silence that was waited for is where the next one will be; who waited in vain keeps the phase.
                let from = if is_silent { now } else { held };
                let due =
                    if from == held { turn.after(held, array.period_ns()) } else { plus(from, array.period_ns()) };
                *turn = Turn { due, since: shared.array_beat, held: None };
            }
        }
    }
}

impl Turn {
    /// One period on; from `now` if this turn came late for want of anything to tell.
    fn after(&self, now: Nanos, period: i64) -> Nanos {
        let is_on_time = now.0 - self.due.0 < LATE_MAX_NS;
        plus(if is_on_time { self.due } else { now }, period)
    }
}

fn plus(time: Nanos, period: i64) -> Nanos {
    Nanos(time.0 + period)
}

/// In which beat a desk published last what `array` is made of.
fn beat_of(desk: &Desk, array: Array) -> Option<u64> {
    let published = &desk.derived.published;
    match array {
        Array::MiniTicker | Array::MiniTickerSlow => published.mini_ticker.map(|it| it.beat),
        Array::Ticker => published.ticker.map(|it| it.beat),
        Array::Rolling(window) => published.rolling[window as usize].map(|it| it.beat),
    }
}

fn publish<'a>(
    venue: VenueId,
    array: Array,
    since: u64,
    now: Nanos,
    desks: impl Iterator<Item = &'a Desk>,
    shared: &mut Shared,
) {
    let batch = &mut shared.batch;
    let start = batch.elements.len();
    for desk in desks.filter(|desk| beat_of(desk, array).is_some_and(|beat| beat >= since)) {
        let published = &desk.derived.published;
        // The same value may stand in the pool already; an array does not depend on its pass.
        let (time, index) = match array {
            Array::MiniTicker | Array::MiniTickerSlow => {
                let Some(it) = published.mini_ticker else { continue };
                batch.mini_tickers.push(it.value);
                (it.time, batch.mini_tickers.len() - 1)
            }
            Array::Ticker => {
                let Some(it) = published.ticker else { continue };
                batch.tickers.push(it.value);
                (it.time, batch.tickers.len() - 1)
            }
            Array::Rolling(window) => {
                let Some(it) = published.rolling[window as usize] else { continue };
                batch.rollings.push(it.value);
                (it.time, batch.rollings.len() - 1)
            }
        };
        batch.elements.push(Element { instrument: desk.id, time, index: index as u32 });
    }
    if let Some(first) = batch.elements.get(start) {
        let instrument = first.instrument;
        let len = (batch.elements.len() - start) as u32;
        let payload = Payload::Array { venue, array, start: start as u32, len };
        batch.updates.push(Update { instrument, received: now, time: now, payload });
    }
}

/// Silence: nothing in two whole beats, which are 50 ms and more each.
const SILENT_BEATS: u64 = 2;

/// Silence is waited for so long: our own tickers of all symbols take half a second, and a moment more.
const HELD_MAX_NS: i64 = 800_000_000;

/// A look comes so late at most without having waited for anything.
const LATE_MAX_NS: i64 = 100_000_000;
