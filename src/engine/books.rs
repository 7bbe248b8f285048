//! The book of one instrument: what may touch it, when to ask for what, and when it is told to those below the ring.

use std::time::Duration;

use super::{Shared, desk::Desk};
use crate::{
    book::{Book, Diff, Join, Outcome, Snapshot, State, checksum},
    config,
    intake::{ConnectionId, Request},
    market::{BookDiff, BookSnapshot, ChecksumRule, Event, EventKind, Level, Nanos, Side, UpdateIds},
    topic::{BookState, Payload},
    venue::{BookSource, Traits},
};

/// A book with all that decides about it.
#[derive(Debug)]
pub(super) struct Books {
    book: Book,
    join: Join,
    source: BookSource,
    checksum: Option<ChecksumRule>,
    /// Levels per side that the venue sends, where it sends a window.
    window: Option<u32>,
    /// The connection whose snapshot the book began with, where snapshots come on the socket.
    connection: Option<ConnectionId>,
    /// What was told below the ring last.
    told: BookState,
    crossed_since: Option<Nanos>,
    /// Levels per side of a snapshot that is urgent, and of one that is not.
    levels_first: u32,
    levels_deep: u32,
    /// The newest snapshot asked for was a deep one.
    deep: bool,
    /// When to ask for a snapshot if the book has not healed by itself until then.
    ask_at: Option<Nanos>,
}

impl Books {
    pub(super) fn new(traits: &Traits, settings: &config::Engine) -> Self {
        Self {
            book: Book::default(),
            join: match traits.book {
                BookSource::Rest => Join::fetched(settings.join_diffs_max),
                BookSource::Socket => Join::socket(),
            },
            source: traits.book,
            checksum: traits.checksum,
            window: None,
            connection: None,
            told: BookState::Waiting,
            crossed_since: None,
            levels_first: settings.snapshot_levels_first,
            levels_deep: settings.snapshot_levels_deep,
            deep: false,
            ask_at: None,
        }
    }

    pub(super) fn book(&self) -> &Book {
        &self.book
    }

    /// Whether what the book says may be published.
    pub(super) fn is_live(&self) -> bool {
        self.told == BookState::Live
    }

    /// Whether subscribers wait for a first book that the venue has not refused.
    pub(super) fn is_waiting(&self) -> bool {
        self.told == BookState::Waiting
    }

    pub(super) fn set_window(&mut self, window: u32) {
        self.window = Some(window);
    }

    /// The next id for a venue without any: made of its time, and always higher than the last one
    /// (design: ids only never fall).
    fn made_id(&self, time: Nanos) -> i64 {
        time.as_id().max(self.book.last_id() + 1)
    }

    /// Whether the book is what the venue says it is; `true` where it says nothing.
    fn is_proven(&self, desk: &Desk, sum: Option<u32>, shared: &Shared) -> bool {
        let (Some(rule), Some(sum)) = (self.checksum, sum) else { return true };
        let decimals = shared.catalogue.instrument(desk.id).decimals();
        match rule {
            ChecksumRule::KrakenTopTen => {
                let price_drop = decimals.price - decimals.checksum_price;
                let quantity_drop = decimals.quantity - decimals.checksum_quantity;
                checksum::kraken_top_ten(self.book.bids(), self.book.asks(), price_drop, quantity_drop) == sum
            }
        }
    }
}

impl Desk {
    /// A connection carries this instrument. Where snapshots come on the socket, one is on its way; else a first one is
    /// asked for, while a book that was lost may turn out to have missed nothing with its next diff.
    pub(super) fn books_opened(&mut self, now: Nanos, shared: &mut Shared) {
        match (self.books.source, self.books.join.state()) {
            (BookSource::Rest, State::Waiting) => self.ask_snapshot(shared),
            (BookSource::Rest, State::Healing) => self.books.ask_at = Some(now.plus(NEXT_DIFF_WAIT)),
            (BookSource::Rest, State::Live) | (BookSource::Socket, _) => {}
        }
    }

    /// Asks for the snapshot that was put off, if the book still needs it.
    pub(super) fn ask_if_due(&mut self, now: Nanos, shared: &mut Shared) {
        if self.books.ask_at.is_none_or(|at| now < at) {
            return;
        }
        self.books.ask_at = None;
        if self.books.join.state() != State::Live {
            self.request_snapshot(0, shared);
        }
    }

    /// No connection carries this instrument any more.
    pub(super) fn books_lost(&mut self, now: Nanos, shared: &mut Shared) {
        self.books.join.lost();
        self.books.connection = None;
        self.tell(now, shared);
    }

    pub(super) fn book_diff(
        &mut self,
        diff: &BookDiff,
        levels: &[Level],
        connection: ConnectionId,
        time: Nanos,
        received: Nanos,
        shared: &mut Shared,
    ) {
        if self.books.source == BookSource::Socket && self.books.connection != Some(connection) {
            return;
        }
        let was = self.books.join.state();
        let made = self.books.made_id(time);
        let ids = diff.ids.unwrap_or(UpdateIds { first: self.books.book.last_id() + 1, last: made });
        let diff_levels = Diff { ids, bids: diff.bids.of(levels), asks: diff.asks.of(levels) };
        let Books { book, join, .. } = &mut self.books;
        let outcome = join.diff(book, diff_levels);
        if outcome == Outcome::Applied {
            if let Some(window) = self.books.window {
                self.books.book.cut(window as usize);
            }
            if !self.books.is_proven(self, diff.checksum, shared) {
                self.disproved(received, shared);
                return;
            }
        }
        if was == State::Live && self.books.join.state() != State::Live {
            shared.metrics[self.venue.0 as usize].gaps.increment(1);
        }
        self.settle(outcome, time, received, shared);
    }

    pub(super) fn socket_snapshot(
        &mut self,
        snapshot: &BookSnapshot,
        levels: &[Level],
        connection: ConnectionId,
        time: Nanos,
        received: Nanos,
        shared: &mut Shared,
    ) {
        if self.books.connection.is_some_and(|held| held > connection) {
            // A predecessor's, late.
            return;
        }
        self.books.connection = Some(connection);
        let last_id = snapshot.last_id.unwrap_or_else(|| self.books.made_id(time));
        self.join_snapshot(snapshot, last_id, levels, time, received, shared);
        if self.books.join.state() == State::Live && !self.books.is_proven(self, snapshot.checksum, shared) {
            self.disproved(received, shared);
        }
    }

    /// Takes a snapshot that was fetched.
    pub(super) fn fetched(&mut self, event: &Event, levels: &[Level], received: Nanos, shared: &mut Shared) {
        let EventKind::BookSnapshot(snapshot) = event.kind else { return };
        let Some(last_id) = snapshot.last_id else { return };
        let time = event.time.unwrap_or(if self.changed.1 == Nanos::default() { received } else { self.changed.1 });
        self.join_snapshot(&snapshot, last_id, levels, time, received, shared);
    }

    /// Whether the book is crossed, which no venue lets stand: nothing is published of it, and if it lasts it is replaced.
    pub(super) fn is_crossed(&mut self, now: Nanos, shared: &mut Shared) -> bool {
        if !self.books.book.is_crossed() {
            self.books.crossed_since = None;
            return false;
        }
        let since = *self.books.crossed_since.get_or_insert_with(|| {
            shared.metrics[self.venue.0 as usize].crossed.increment(1);
            now
        });
        if now.since(since) > CROSSED_MAX {
            self.books.crossed_since = None;
            self.distrust(now, shared);
        }
        true
    }

    /// Asks for a deeper snapshot when the book does not reach as deep as it could, or its top came near the horizon.
    pub(super) fn look_at_horizon(&mut self, shared: &mut Shared) {
        let books = &mut self.books;
        if books.source != BookSource::Rest || books.join.state() != State::Live {
            return;
        }
        let reaches_end = [Side::Bid, Side::Ask]
            .into_iter()
            .all(|side| books.book.horizon(side).is_none_or(|horizon| horizon.complete));
        let deeper = !books.deep && books.levels_first < books.levels_deep && !reaches_end;
        if deeper || books.book.needs_deeper() {
            books.join.refresh();
            if books.join.ask_snapshot() {
                books.deep = true;
                shared.ask(Request::Snapshot { instrument: self.id, levels: self.books.levels_deep, after_ms: 0 });
            }
        }
    }

    pub(super) fn set_state(&mut self, state: BookState, now: Nanos, shared: &mut Shared) {
        if self.books.told == state {
            return;
        }
        let gauges = &shared.metrics[self.venue.0 as usize].books;
        gauges[self.books.told as usize].decrement(1.0);
        gauges[state as usize].increment(1.0);
        self.books.told = state;
        self.push(Payload::BookState(state), now, now, shared);
    }

    fn join_snapshot(
        &mut self,
        snapshot: &BookSnapshot,
        last_id: i64,
        levels: &[Level],
        time: Nanos,
        received: Nanos,
        shared: &mut Shared,
    ) {
        let limit = snapshot.limit.filter(|_| self.books.source == BookSource::Rest);
        let whole = Snapshot { last_id, bids: snapshot.bids.of(levels), asks: snapshot.asks.of(levels), limit };
        let Books { book, join, .. } = &mut self.books;
        let outcome = join.snapshot(book, whole);
        self.settle(outcome, time, received, shared);
    }

    /// What a diff or a snapshot has changed becomes known: below the ring, to intake, to the metrics.
    fn settle(&mut self, outcome: Outcome, time: Nanos, received: Nanos, shared: &mut Shared) {
        match outcome {
            Outcome::Applied => self.changed = (received, time),
            Outcome::Ignored | Outcome::Buffered { ask_snapshot: false } => {}
            // A second connection brings what the first one lost, usually.
            Outcome::Buffered { ask_snapshot: true } if self.has_other_connections() => {
                self.books.ask_at = Some(received.plus(OTHER_CONNECTION_WAIT));
            }
            Outcome::Buffered { ask_snapshot: true } => self.request_snapshot(0, shared),
            Outcome::SnapshotTooOld | Outcome::Overflow => self.request_snapshot(SNAPSHOT_AGAIN_MS, shared),
            Outcome::Joined { healed, reset } => {
                self.changed = (received, time);
                self.joined(healed, reset, shared);
            }
        }
        self.tell(received, shared);
        if self.books.is_live() {
            if !self.books.book.is_crossed() {
                self.publish_best(self.books.book.best(), time, received, shared);
            }
            self.schedule(shared);
        }
    }

    fn joined(&mut self, healed: bool, reset: bool, shared: &mut Shared) {
        let symbol = &shared.catalogue.instrument(self.id).symbol;
        tracing::debug!(%symbol, healed, reset, id = self.books.book.last_id(), "book in step");
        let refreshed = self.books.told == BookState::Live;
        if healed && !refreshed {
            shared.metrics[self.venue.0 as usize].resyncs.increment(1);
        }
        if reset {
            self.best.reset();
            self.reset_trades();
        }
        if !healed || reset {
            let last_id = self.books.book.last_id();
            self.cadences.iter_mut().for_each(|cadence| cadence.begin(last_id));
            self.publish_snapshot(reset, shared);
        }
    }

    /// Tells those below the ring how the book is, if that has changed.
    fn tell(&mut self, now: Nanos, shared: &mut Shared) {
        if self.books.told == BookState::Refused {
            return;
        }
        let state = match self.books.join.state() {
            State::Waiting => BookState::Waiting,
            State::Live => BookState::Live,
            State::Healing => BookState::Healing,
        };
        self.set_state(state, now, shared);
    }

    /// The venue's checksum says that the book is wrong.
    fn disproved(&mut self, now: Nanos, shared: &mut Shared) {
        shared.metrics[self.venue.0 as usize].checksum_failures.increment(1);
        let symbol = &shared.catalogue.instrument(self.id).symbol;
        tracing::warn!(%symbol, "the book does not have the venue's checksum; it is replaced");
        self.distrust(now, shared);
    }

    fn distrust(&mut self, now: Nanos, shared: &mut Shared) {
        self.books.join.distrust();
        match self.books.source {
            BookSource::Rest => self.ask_snapshot(shared),
            BookSource::Socket => shared.ask(Request::Resubscribe { instrument: self.id }),
        }
        self.tell(now, shared);
    }

    fn ask_snapshot(&mut self, shared: &Shared) {
        if self.books.join.ask_snapshot() {
            self.request_snapshot(0, shared);
        }
    }

    /// A symbol that is silent gets a shallow snapshot: it is cheap, and a deeper one can follow.
    fn request_snapshot(&mut self, after_ms: u32, shared: &Shared) {
        self.books.deep = false;
        self.books.ask_at = None;
        shared.ask(Request::Snapshot { instrument: self.id, levels: self.books.levels_first, after_ms });
    }
}

/// A book may be crossed for so long before it is replaced: venues that merge feeds cross for a moment.
const CROSSED_MAX: Duration = Duration::from_secs(1);

/// After a lost connection, the next diff of all but quiet books tells within this time whether anything was lost.
const NEXT_DIFF_WAIT: Duration = Duration::from_secs(1);

/// Two connections to a venue are rarely further apart than this.
const OTHER_CONNECTION_WAIT: Duration = Duration::from_millis(250);

/// A snapshot that was too old is fetched again after so long.
const SNAPSHOT_AGAIN_MS: u32 = 250;
