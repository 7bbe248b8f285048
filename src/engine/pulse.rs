//! What the engine does on its own, a few times a second: deadlines, interest, watchdog.

use super::{Desk, Shared};
use crate::{
    derive::Due,
    intake::Request,
    market::{InstrumentId, Nanos, VenueId},
};

/// The engine's slow clock, driven by the time of the passes.
#[derive(Debug)]
pub(super) struct Pulse {
    next_look: Nanos,
    next_watch: Nanos,
    next_report: Nanos,
    /// When which desk is looked at, by instrument: a table of its own, as most of two thousand desks are cold and have
    /// nothing to do (docs/decisions/014-symbols-at-rest.md).
    looks: Vec<Look>,
}

/// When a desk has something to do of its own accord.
#[derive(Clone, Copy, Debug)]
struct Look {
    due: Due,
    venue: VenueId,
}

impl Pulse {
    pub(super) fn new(desks: &[Desk]) -> Self {
        let looks = desks.iter().map(|desk| Look { due: Due::NOW, venue: desk.venue }).collect();
        let never = Nanos::default();
        Self { next_look: never, next_watch: never, next_report: never, looks }
    }

    /// Something happened to a desk: it is looked at with the next beat.
    pub(super) fn touch(&mut self, instrument: InstrumentId) {
        self.looks[instrument.index()].due = Due::NOW;
    }

    /// Something happened to all desks.
    pub(super) fn touch_all(&mut self) {
        self.looks.iter_mut().for_each(|look| look.due = Due::NOW);
    }

    pub(super) fn next_due(&self) -> Nanos {
        self.next_look
    }

    /// Does what is due; returns whether it was time for anything.
    pub(super) fn beat(&mut self, now: Nanos, desks: &mut [Desk], shared: &mut Shared) -> bool {
        if now < self.next_look {
            return false;
        }
        self.next_look = Nanos(now.0 + LOOK_NS);
        for (index, look) in self.looks.iter_mut().enumerate() {
            let is_news = shared.interest.take_news(InstrumentId(index as u32));
            if is_news || look.due.has_come(now, shared.clocks[look.venue.0 as usize]) {
                look.due = desks[index].look(now, shared);
            }
        }
        if now < self.next_watch {
            return true;
        }
        self.next_watch = Nanos(now.0 + WATCH_NS);
        for connection in shared.watch.stale(now) {
            tracing::warn!(
                connection = connection.0,
                "a stream fell silent while others speak; renewing its connection"
            );
            shared.ask(Request::Renew { connection });
        }
        report_proof(now, desks, shared);
        deepen(desks, shared);
        if now >= self.next_report {
            self.next_report = Nanos(now.0 + REPORT_NS);
            report_lost(shared);
        }
        true
    }
}

/// The oldest proof among the live books of each venue; none: zero.
fn report_proof(now: Nanos, desks: &[Desk], shared: &Shared) {
    for (venue, metrics) in shared.metrics.iter().enumerate() {
        let ages =
            desks.iter().filter(|desk| desk.venue.0 as usize == venue).filter_map(|desk| desk.books.proof_age(now));
        metrics.proof_age.set(ages.max().map_or(0.0, |age| age.as_secs_f64()));
    }
}

/// One line a minute, however many holes there are: a venue whose ids have holes by nature would fill the disk.
fn report_lost(shared: &mut Shared) {
    for (venue, lost) in shared.catalogue.venues().iter().zip(&mut shared.lost) {
        if *lost > 0 {
            tracing::warn!(venue = %venue.name, trades = *lost, "stayed lost; tickcast_engine_trades_lost_total counts them");
            *lost = 0;
        }
    }
}

/// Asks for deeper snapshots once every book of a venue is there: first served, then served deeply, wanted ones first.
fn deepen(desks: &mut [Desk], shared: &mut Shared) {
    for venue in 0..shared.metrics.len() {
        let venue = VenueId(venue as u32);
        if desks.iter().any(|desk| desk.venue == venue && desk.waits_for_a_book()) {
            continue;
        }
        for wanted in [true, false] {
            for desk in desks.iter_mut().filter(|desk| desk.venue == venue) {
                if desk.is_wanted(shared) == wanted {
                    desk.look_at_horizon(shared);
                }
            }
        }
    }
}

/// New interest and lost trades are looked at so often: nobody waits longer for the first word of a cadence that slept.
const LOOK_NS: i64 = 50_000_000;

/// What was lost is told so often.
const REPORT_NS: i64 = 60_000_000_000;

/// Silence is looked at so often.
const WATCH_NS: i64 = 1_000_000_000;
