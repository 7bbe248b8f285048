//! The book of one instrument: what may touch it, when to ask for what, and when it is told to those below the ring.

use std::time::Duration;

use super::{Shared, copies::Copies, desk::Desk};
use crate::{
    book::{Book, Diff, Join, Outcome, Snapshot, State, checksum},
    config,
    intake::{ConnectionId, Request},
    market::{BookDiff, BookSnapshot, ChecksumRule, Decimals, Event, EventKind, Level, Nanos, Side, UpdateIds},
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
    /// The connection whose snapshot the book began with, where snapshots come on the socket.
    connection: Option<ConnectionId>,
    /// Levels per side that this connection sends, where the venue sends a window.
    window: Option<u32>,
    /// The newest acknowledgement of a window, and the connection that it holds for.
    acknowledged: Option<(ConnectionId, u32)>,
    /// What was told below the ring last.
    told: BookState,
    crossed_since: Option<Nanos>,
    /// When the book was last joined with a snapshot, or had the venue's checksum.
    proved: Nanos,
    copies: Copies,
    /// Levels per side of a snapshot that is urgent, and of one that is not.
    levels_first: u32,
    levels_deep: u32,
    /// The newest snapshot asked for was a deep one.
    deep: bool,
    /// The id under which the book was put right last: until all cadences have told what that changed, it is not deepened.
    joined_id: i64,
    /// Snapshots in a row that were too old.
    too_old: u32,
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
            connection: None,
            window: None,
            acknowledged: None,
            told: BookState::Waiting,
            crossed_since: None,
            proved: Nanos::default(),
            copies: Copies::default(),
            levels_first: settings.snapshot_levels_first,
            levels_deep: settings.snapshot_levels_deep,
            deep: false,
            joined_id: 0,
            too_old: 0,
            ask_at: None,
        }
    }

    pub(super) fn book(&self) -> &Book {
        &self.book
    }

    /// How long ago the venue proved the book, if it is live.
    pub(super) fn proof_age(&self, now: Nanos) -> Option<Duration> {
        self.is_live().then(|| now.since(self.proved))
    }

    /// Whether what the book says may be published.
    pub(super) fn is_live(&self) -> bool {
        self.told == BookState::Live
    }

    /// Whether ticks are held back because the book is crossed.
    pub(super) fn is_held_crossed(&self) -> bool {
        self.crossed_since.is_some()
    }

    /// When a snapshot is to be asked for, unless the book has healed until then.
    pub(super) fn ask_at(&self) -> Option<Nanos> {
        self.ask_at
    }

    /// Whether subscribers wait for a first book that the venue has not refused.
    pub(super) fn is_waiting(&self) -> bool {
        self.told == BookState::Waiting
    }

    /// A connection says how many levels per side it sends.
    ///
    /// The book is cut to that with its next message: the removals need an id that nobody has seen yet.
    pub(super) fn set_window(&mut self, connection: ConnectionId, window: u32) {
        self.acknowledged = Some((connection, window));
        if self.connection == Some(connection) {
            self.window = Some(window);
        }
    }

    /// The window of a book that begins with this snapshot.
    fn window_of(&self, snapshot: &BookSnapshot, connection: ConnectionId) -> Option<u32> {
        let acknowledged = self.acknowledged.filter(|(by, _)| *by == connection);
        acknowledged.map(|(_, window)| window).or(snapshot.limit)
    }

    /// Whether the venue has refused the instrument, and nothing says otherwise.
    pub(super) fn is_refused(&self) -> bool {
        self.told == BookState::Refused
    }

    /// The next id for a venue without any: made of its time, and always higher than the last one
    /// (design: ids only never fall).
    fn made_id(&self, time: Nanos) -> i64 {
        time.as_id().max(self.book.last_id() + 1)
    }

    /// Whether the book is what the venue says it is; `true` where it says nothing.
    fn is_proven(&self, book: &Book, sum: Option<u32>, decimals: Decimals) -> bool {
        let (Some(rule), Some(sum)) = (self.checksum, sum) else { return true };
        match rule {
            ChecksumRule::KrakenTopTen => {
                let price_drop = decimals.price - decimals.checksum_price;
                let quantity_drop = decimals.quantity - decimals.checksum_quantity;
                checksum::kraken_top_ten(book.bids(), book.asks(), price_drop, quantity_drop) == sum
            }
        }
    }

    /// Whether a whole book is what the venue says it is, before anything of it has touched ours.
    fn is_snapshot_proven(&self, whole: &Snapshot<'_>, sum: Option<u32>, decimals: Decimals) -> bool {
        if self.checksum.is_none() || sum.is_none() {
            return true;
        }
        let mut book = Book::new(0);
        book.reset(whole.last_id, whole.bids, whole.asks, None);
        self.is_proven(&book, sum, decimals)
    }

    fn cut(&mut self) {
        if let Some(window) = self.window {
            self.book.cut(window as usize);
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
            (BookSource::Socket, State::Waiting | State::Healing) => {
                self.books.ask_at = Some(now.plus(SOCKET_SNAPSHOT_WAIT));
            }
            (_, State::Live) => {}
        }
    }

    /// Asks for the snapshot that was put off or did not come, if the book still needs it.
    pub(super) fn ask_if_due(&mut self, now: Nanos, shared: &mut Shared) {
        if self.books.ask_at.is_none_or(|at| now < at) {
            return;
        }
        self.books.ask_at = None;
        if self.books.join.state() == State::Live || self.books.is_refused() {
            return;
        }
        match self.books.source {
            BookSource::Rest => self.request_snapshot(0, shared),
            BookSource::Socket => self.resubscribe(now, shared),
        }
    }

    /// No connection carries this instrument any more.
    pub(super) fn books_lost(&mut self, now: Nanos, shared: &mut Shared) {
        self.books.join.lost();
        self.books.connection = None;
        if self.books.source == BookSource::Socket {
            // The next connection's subscription brings it.
            self.books.ask_at = None;
        }
        self.tell(now, shared);
    }

    /// One of several connections is gone. If the book came over it, its updates end, and another one has to begin anew:
    /// a newer one is about to, an older one has to be asked.
    pub(super) fn books_closed(&mut self, connection: ConnectionId, now: Nanos, shared: &mut Shared) {
        if self.books.connection != Some(connection) {
            return;
        }
        self.books_lost(now, shared);
        if self.has_newer_connection(connection) {
            self.books.ask_at = Some(now.plus(SOCKET_SNAPSHOT_WAIT));
        } else {
            self.resubscribe(now, shared);
        }
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
            self.books.cut();
            let decimals = shared.catalogue.instrument(self.id).decimals();
            if !self.books.is_proven(&self.books.book, diff.checksum, decimals) {
                self.disproved(connection, received, shared);
                return;
            }
            if self.books.checksum.is_some() && diff.checksum.is_some() {
                self.books.proved = received;
                shared.tallies[self.venue.0 as usize].checksums += 1;
            }
        }
        if self.has_other_connections() {
            match outcome {
                Outcome::Applied => self.books.copies.first(ids.last, received, connection),
                Outcome::Ignored => {
                    if let Some(first) = self.books.copies.first_of(ids.last, connection) {
                        shared.late(self.venue, connection, received.since(first));
                    }
                }
                _ => {}
            }
        }
        // After a lost connection the hole is found by the first diff that does not continue the book.
        let is_hole = match was {
            State::Waiting => false,
            State::Live => self.books.join.state() != State::Live,
            State::Healing => outcome == Outcome::Buffered { ask_snapshot: true },
        };
        if is_hole {
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
        let last_id = snapshot.last_id.unwrap_or_else(|| self.books.made_id(time));
        let whole = Snapshot { last_id, bids: snapshot.bids.of(levels), asks: snapshot.asks.of(levels), limit: None };
        let decimals = shared.catalogue.instrument(self.id).decimals();
        if !self.books.is_snapshot_proven(&whole, snapshot.checksum, decimals) {
            self.disproved(connection, received, shared);
            return;
        }
        self.books.window = self.books.window_of(snapshot, connection);
        self.books.connection = Some(connection);
        self.books.ask_at = None;
        let Books { book, join, .. } = &mut self.books;
        let outcome = join.snapshot(book, whole);
        self.books.cut();
        self.settle(outcome, time, received, shared);
    }

    /// Takes a snapshot that was fetched.
    pub(super) fn fetched(&mut self, event: &Event, levels: &[Level], received: Nanos, shared: &mut Shared) {
        let EventKind::BookSnapshot(snapshot) = event.kind else { return };
        let Some(last_id) = snapshot.last_id else { return };
        let time = event.time.unwrap_or(if self.changed.1 == Nanos::default() { received } else { self.changed.1 });
        let (bids, asks) = (snapshot.bids.of(levels), snapshot.asks.of(levels));
        let Books { book, join, .. } = &mut self.books;
        let outcome = join.snapshot(book, Snapshot { last_id, bids, asks, limit: snapshot.limit });
        self.settle(outcome, time, received, shared);
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
        // A snapshot cuts a deep book short, and a deeper one adds the rest again: both in one tick of the slow cadence could
        // be more than the book remembers of its changes.
        let has_settled = self.cadences.iter().all(|cadence| cadence.has_told(self.books.joined_id));
        let books = &mut self.books;
        if books.source != BookSource::Rest || books.join.state() != State::Live {
            return;
        }
        let reaches_end = [Side::Bid, Side::Ask]
            .into_iter()
            .all(|side| books.book.horizon(side).is_none_or(|horizon| horizon.complete));
        let deeper = has_settled && !books.deep && books.levels_first < books.levels_deep && !reaches_end;
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
            Outcome::SnapshotTooOld | Outcome::Overflow => {
                // A quiet book whose ids have fallen may not take the weight that other books need.
                let doublings = self.books.too_old.min(SNAPSHOT_AGAIN_DOUBLINGS);
                self.books.too_old = self.books.too_old.saturating_add(1);
                self.request_snapshot(SNAPSHOT_AGAIN_MS << doublings, shared);
            }
            Outcome::Joined { healed, reset } => {
                self.changed = (received, time);
                self.books.proved = received;
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
        self.books.joined_id = self.books.book.last_id();
        self.books.too_old = 0;
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

    /// Tells those below the ring how the book is, if that has changed. A refusal stands until a book comes after all.
    fn tell(&mut self, now: Nanos, shared: &mut Shared) {
        let state = match self.books.join.state() {
            State::Live => BookState::Live,
            _ if self.books.is_refused() => return,
            State::Waiting => BookState::Waiting,
            State::Healing => BookState::Healing,
        };
        self.set_state(state, now, shared);
    }

    /// The venue's checksum says that what a connection made of the book is wrong.
    fn disproved(&mut self, connection: ConnectionId, now: Nanos, shared: &mut Shared) {
        shared.metrics[self.venue.0 as usize].checksum_failures.increment(1);
        let symbol = &shared.catalogue.instrument(self.id).symbol;
        tracing::warn!(%symbol, "the book does not have the venue's checksum; it is asked for again");
        if self.books.connection.is_some_and(|followed| followed != connection) {
            // A successor's first book, while the one that we follow is as right as before.
            self.resubscribe(now, shared);
        } else {
            self.distrust(now, shared);
        }
    }

    /// Somebody says that the book is wrong. Without a connection the next one brings a new book anyway.
    pub(super) fn resync(&mut self, now: Nanos, shared: &mut Shared) {
        if self.has_connection() {
            self.distrust(now, shared);
        }
    }

    fn distrust(&mut self, now: Nanos, shared: &mut Shared) {
        self.books.join.distrust();
        match self.books.source {
            BookSource::Rest => self.ask_snapshot(shared),
            BookSource::Socket => self.resubscribe(now, shared),
        }
        self.tell(now, shared);
    }

    /// Has the socket send the whole book again, and looks later whether it did: the venue may refuse that for a while.
    fn resubscribe(&mut self, now: Nanos, shared: &Shared) {
        self.books.ask_at = Some(now.plus(SOCKET_SNAPSHOT_WAIT));
        shared.ask(Request::Resubscribe { instrument: self.id });
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
pub(super) const OTHER_CONNECTION_WAIT: Duration = Duration::from_millis(250);

/// A subscription brings its whole book within this time, messages of many symbols at the venue's pace before it included.
const SOCKET_SNAPSHOT_WAIT: Duration = Duration::from_secs(15);

/// A snapshot that was too old is fetched again after so long.
const SNAPSHOT_AGAIN_MS: u32 = 250;

/// That wait doubles as long as they are too old, so many times at most: to 16 seconds.
const SNAPSHOT_AGAIN_DOUBLINGS: u32 = 6;
