//! Arrays about all instruments of a venue: what has been published since the array before.

use super::{Desk, Shared};
use crate::{
    market::{Nanos, VenueId},
    topic::{Array, Element, Payload, TopicId, Update},
};

/// When each array of each venue comes next, and up to which beat it has told.
#[derive(Debug)]
pub(super) struct Arrays {
    ticks: Vec<[(Nanos, u64); Array::ALL.len()]>,
}

impl Arrays {
    pub(super) fn new(venues: usize) -> Self {
        Self { ticks: vec![Default::default(); venues] }
    }

    /// Publishes the arrays that are due and that anyone wants. One in which nothing changed is not published.
    pub(super) fn beat(&mut self, now: Nanos, desks: &[Desk], shared: &mut Shared) {
        // What is published from here on is of the next beat.
        shared.array_beat += 1;
        for (venue, ticks) in self.ticks.iter_mut().enumerate() {
            let venue = VenueId(venue as u32);
            for (array, (due, before)) in Array::ALL.into_iter().zip(ticks) {
                if now < *due {
                    continue;
                }
                let period = array.period_ns();
                *due = Nanos((now.0 - PHASE_NS).div_euclid(period) * period + period + PHASE_NS);
                let since = std::mem::replace(before, shared.array_beat);
                if shared.interest.any(TopicId::of_venue(venue, array)) {
                    publish(venue, array, since, now, desks, shared);
                }
            }
        }
    }
}

fn publish(venue: VenueId, array: Array, since: u64, now: Nanos, desks: &[Desk], shared: &mut Shared) {
    let start = shared.batch.elements.len();
    for desk in desks.iter().filter(|desk| desk.venue == venue) {
        let published = &desk.derived.published;
        let batch = &mut shared.batch;
        // The same value may stand in the pool already; an array does not depend on its pass.
        let (time, index) = match array {
            Array::MiniTicker | Array::MiniTickerSlow => {
                let Some(it) = published.mini_ticker.filter(|it| it.beat >= since) else { continue };
                batch.mini_tickers.push(it.value);
                (it.time, batch.mini_tickers.len() - 1)
            }
            Array::Ticker => {
                let Some(it) = published.ticker.filter(|it| it.beat >= since) else { continue };
                batch.tickers.push(it.value);
                (it.time, batch.tickers.len() - 1)
            }
            Array::Rolling(window) => {
                let Some(it) = published.rolling[window as usize].filter(|it| it.beat >= since) else { continue };
                batch.rollings.push(it.value);
                (it.time, batch.rollings.len() - 1)
            }
        };
        batch.elements.push(Element { instrument: desk.id, time, index: index as u32 });
    }
    let batch = &mut shared.batch;
    if let Some(first) = batch.elements.get(start) {
        let instrument = first.instrument;
        let len = (batch.elements.len() - start) as u32;
        let payload = Payload::Array { venue, array, start: start as u32, len };
        batch.updates.push(Update { instrument, received: now, time: now, payload });
    }
}

/// Behind the tickers of all symbols, which are spread over the first half of a second.
const PHASE_NS: i64 = 600_000_000;
