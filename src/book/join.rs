//! Keeping a book in step with a venue: which diffs and snapshots may touch it, and when a snapshot is needed.
//!
//! With [`Join::fetched`] this is Binance's procedure ("How to manage a local order book correctly"): diffs are held back
//! until a snapshot with id `L` comes; those that end at or before `L` are dropped, the next one has to begin at or
//! before `L + 1`, and from then on no id may be missing. A snapshot older than the first diff held is fetched again.
//! One rule makes duplicates, overlaps and a second connection harmless: a diff with `first <= last + 1` and
//! `last` above ours is applied, because its quantities are absolute; nothing else is.
//!
//! With [`Join::socket`] snapshots come on the socket, in order with the diffs, and there are no ids but those the caller makes up.

mod held;

use self::held::{Held, HeldSnapshot};
use super::Book;
use crate::market::{Level, UpdateIds};

/// What a venue says has changed.
#[derive(Clone, Copy, Debug)]
pub struct Diff<'a> {
    /// The updates it covers.
    pub ids: UpdateIds,
    /// Absolute quantities, in the order of the message.
    pub bids: &'a [Level],
    /// Absolute quantities, in the order of the message.
    pub asks: &'a [Level],
}

/// A whole book of a venue.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// The last update contained.
    pub last_id: i64,
    /// In any order.
    pub bids: &'a [Level],
    /// In any order.
    pub asks: &'a [Level],
    /// Levels per side that were asked for; `None`: the venue's window is all there is.
    pub limit: Option<u32>,
}

/// How far the book can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No snapshot has joined yet.
    Waiting,
    /// In step.
    Live,
    /// Something was lost, or may have been: the book is the last good one, and nothing of it may be published.
    Healing,
}

/// What became of a diff or a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a snapshot may have to be asked for"]
pub enum Outcome {
    /// The diff is in the book. While [`State::Healing`] the book is one diff further, but not yet in step.
    Applied,
    /// There was nothing new in it, or (on a socket) no book to apply it to.
    Ignored,
    /// Held until the book can be joined.
    Buffered {
        /// No snapshot is on its way: ask for one now.
        ask_snapshot: bool,
    },
    /// The book is in step (again). What healing has changed counts as touched by [`Book::last_id`].
    Joined {
        /// It was a replacement of an earlier book.
        healed: bool,
        /// The venue's ids have fallen: whoever follows this book has to start over.
        reset: bool,
    },
    /// The snapshot does not reach the diffs that are held: ask for another one, after a while.
    SnapshotTooOld,
    /// More diffs came than may be held; the older ones were dropped. Ask for a snapshot again.
    Overflow,
}

/// Decides what may touch one book. Always pass the same book.
#[derive(Debug)]
pub struct Join {
    source: Source,
    state: State,
    held: Held,
    snapshot: Option<HeldSnapshot>,
    /// A snapshot is on its way.
    asked: bool,
    /// The book may be wrong (a checksum said so): it is not carried on with, only replaced.
    distrusted: bool,
    /// Live, but a newer snapshot was asked for: diffs are applied and held as well.
    refreshing: bool,
    behind: Behind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Fetched,
    Socket,
}

/// Diffs below our last id are late copies, usually. But when they go on and on, nothing newer comes, and they continue each other,
/// then the venue's ids have fallen, and only a snapshot can tell.
#[derive(Clone, Copy, Debug, Default)]
struct Behind {
    diffs: u32,
    last_id: i64,
    /// There were enough of them: they are held now.
    suspected: bool,
}

impl Join {
    /// For venues whose snapshots are fetched and joined with diffs by id. At most `diffs_max` diffs are held.
    pub fn fetched(diffs_max: usize) -> Self {
        Self::new(Source::Fetched, diffs_max)
    }

    /// For venues that send snapshots on the socket. The ids of diffs and snapshots are the caller's own and have to rise.
    pub fn socket() -> Self {
        Self::new(Source::Socket, 0)
    }

    fn new(source: Source, diffs_max: usize) -> Self {
        Self {
            source,
            state: State::Waiting,
            held: Held::new(diffs_max),
            snapshot: None,
            asked: false,
            distrusted: false,
            refreshing: false,
            behind: Behind::default(),
        }
    }

    /// How far the book can be trusted now.
    pub const fn state(&self) -> State {
        self.state
    }

    /// A diff has come.
    pub fn diff(&mut self, book: &mut Book, diff: Diff<'_>) -> Outcome {
        match (self.source, self.state) {
            (Source::Socket, State::Live) => apply(book, diff),
            (Source::Socket, _) => Outcome::Ignored,
            (Source::Fetched, State::Waiting) => self.hold(book, diff),
            (Source::Fetched, _) if diff.ids.last <= book.last_id() => self.late(book, diff),
            (Source::Fetched, State::Live) => self.next_while_live(book, diff),
            (Source::Fetched, State::Healing) => self.next_while_healing(book, diff),
        }
    }

    /// A whole book has come.
    pub fn snapshot(&mut self, book: &mut Book, snapshot: Snapshot<'_>) -> Outcome {
        self.asked = false;
        if self.source == Source::Socket {
            return self.snapshot_on_socket(book, snapshot);
        }
        if self.state == State::Live && !self.refreshing {
            // Asked for before a second connection brought what was missing.
            return Outcome::Ignored;
        }
        self.snapshot = Some(HeldSnapshot::of(snapshot));
        self.try_to_join(book)
    }

    /// The connection was lost, and with it perhaps diffs. If the next one shows that none were, nothing has happened.
    pub fn lost(&mut self) {
        if self.state == State::Live {
            self.heal();
        }
    }

    /// The book is wrong (its checksum, or it is crossed for long): it has to be replaced, not carried on with.
    pub fn distrust(&mut self) {
        if self.state != State::Waiting {
            self.heal();
            self.distrusted = true;
        }
    }

    /// A newer (deeper) snapshot is wanted for a book that is in step, which it stays until the snapshot replaces it.
    /// Ask for one if [`Join::ask_snapshot`] says so.
    pub fn refresh(&mut self) {
        if self.state == State::Live && self.source == Source::Fetched && !self.refreshing {
            self.refreshing = true;
            self.held.clear();
        }
    }

    /// Whether a snapshot has to be asked for now: the book needs one, and none is on its way. Counts as asking.
    pub fn ask_snapshot(&mut self) -> bool {
        let needed = self.state != State::Live || self.refreshing;
        needed && self.snapshot.is_none() && !std::mem::replace(&mut self.asked, true)
    }

    fn next_while_live(&mut self, book: &mut Book, diff: Diff<'_>) -> Outcome {
        if !continues(book, diff) {
            self.heal();
            return self.hold(book, diff);
        }
        self.behind = Behind::default();
        if self.refreshing {
            return self.next_while_refreshing(book, diff);
        }
        apply(book, diff)
    }

    /// Diffs are held besides being applied, because the snapshot that is on its way will be older than they are.
    fn next_while_refreshing(&mut self, book: &mut Book, diff: Diff<'_>) -> Outcome {
        if self.snapshot.is_some() {
            // It was no newer than the book; this diff brings the new id that the replacement needs.
            self.held.insert_last(diff);
            return self.try_to_join(book);
        }
        if !self.held.insert(diff) {
            // Only copies are lost, the book stays in step. A snapshot that needed them will be found too old.
            self.held.restart_with(diff);
        }
        apply(book, diff)
    }

    fn next_while_healing(&mut self, book: &mut Book, diff: Diff<'_>) -> Outcome {
        if self.behind.suspected {
            // Newer than ours after all: those below were late, and the ids have not fallen.
            self.held.clear();
        }
        self.behind = Behind::default();
        if self.distrusted || !continues(book, diff) {
            return self.hold(book, diff);
        }
        let outcome = apply(book, diff);
        while let Some(next) = self.held.take_continuing(book.last_id()) {
            book.apply(next.ids.last, &next.bids, &next.asks);
        }
        if self.held.is_empty() {
            self.live();
        }
        outcome
    }

    /// A diff that ends at or below the book's id.
    fn late(&mut self, book: &mut Book, diff: Diff<'_>) -> Outcome {
        if self.behind.suspected {
            return self.hold(book, diff);
        }
        let continued = self.behind.diffs > 0 && diff.ids.first <= self.behind.last_id.saturating_add(1);
        if continued && diff.ids.last <= self.behind.last_id {
            return Outcome::Ignored;
        }
        self.behind.diffs = if continued { self.behind.diffs + 1 } else { 1 };
        self.behind.last_id = diff.ids.last;
        if self.behind.diffs < LATE_DIFFS_MAX {
            return Outcome::Ignored;
        }
        let distrusted = self.distrusted;
        self.heal();
        self.distrusted = distrusted;
        self.behind.suspected = true;
        self.hold(book, diff)
    }

    fn hold(&mut self, book: &mut Book, diff: Diff<'_>) -> Outcome {
        if !self.held.insert(diff) {
            self.held.restart_with(diff);
            self.snapshot = None;
            self.asked = true;
            return Outcome::Overflow;
        }
        if self.snapshot.is_some() {
            return self.try_to_join(book);
        }
        Outcome::Buffered { ask_snapshot: self.ask_snapshot() }
    }

    /// Joins the snapshot with the diffs held, if they belong together.
    fn try_to_join(&mut self, book: &mut Book) -> Outcome {
        let Some(snapshot) = self.snapshot.take() else {
            return Outcome::Buffered { ask_snapshot: self.ask_snapshot() };
        };
        let Some(end) = self.held.end_of_chain_from(snapshot.last_id) else {
            return self.too_old();
        };
        let healed = self.state != State::Waiting;
        let fallen = healed && end < book.last_id();
        if fallen && !self.behind.suspected {
            return self.too_old();
        }
        if healed && end == book.last_id() {
            return self.join_at_our_id(snapshot);
        }
        if healed && !fallen {
            let mut newer = Book::new(0);
            self.build(&mut newer, &snapshot);
            book.replace_by(&newer);
        } else {
            self.build(book, &snapshot);
        }
        self.live();
        Outcome::Joined { healed, reset: fallen }
    }

    /// The snapshot brings us where we are: either nothing was lost, or we wait for an id under which
    /// the replacement can be published.
    fn join_at_our_id(&mut self, snapshot: HeldSnapshot) -> Outcome {
        if self.refreshing || self.distrusted {
            self.snapshot = Some(snapshot);
            return Outcome::Buffered { ask_snapshot: false };
        }
        self.live();
        Outcome::Joined { healed: true, reset: false }
    }

    fn too_old(&mut self) -> Outcome {
        self.asked = true;
        Outcome::SnapshotTooOld
    }

    /// Makes `book` the snapshot with the diffs held after it.
    fn build(&mut self, book: &mut Book, snapshot: &HeldSnapshot) {
        book.reset(snapshot.last_id, &snapshot.bids, &snapshot.asks, snapshot.limit);
        while let Some(next) = self.held.take_continuing(book.last_id()) {
            book.apply(next.ids.last, &next.bids, &next.asks);
        }
    }

    fn snapshot_on_socket(&mut self, book: &mut Book, snapshot: Snapshot<'_>) -> Outcome {
        let Snapshot { last_id, bids, asks, limit } = snapshot;
        let healed = self.state != State::Waiting;
        if healed {
            book.replace(last_id, bids, asks, limit);
        } else {
            book.reset(last_id, bids, asks, limit);
        }
        self.live();
        Outcome::Joined { healed, reset: false }
    }

    fn live(&mut self) {
        self.state = State::Live;
        self.forget();
    }

    fn heal(&mut self) {
        self.state = State::Healing;
        self.forget();
    }

    fn forget(&mut self) {
        self.held.clear();
        self.snapshot = None;
        self.asked = false;
        self.distrusted = false;
        self.refreshing = false;
        self.behind = Behind::default();
    }
}

/// Whether nothing is missing between the book and `diff`.
fn continues(book: &Book, diff: Diff<'_>) -> bool {
    diff.ids.first <= book.last_id().saturating_add(1)
}

fn apply(book: &mut Book, diff: Diff<'_>) -> Outcome {
    book.apply(diff.ids.last, diff.bids, diff.asks);
    Outcome::Applied
}

/// Late diffs in a row, each continuing the one before, after which the venue's ids are suspected to have fallen.
/// At ten diffs a second this is three seconds; a second connection that is as late as that costs a snapshot, no more.
const LATE_DIFFS_MAX: u32 = 32;

#[cfg(test)]
mod tests;
