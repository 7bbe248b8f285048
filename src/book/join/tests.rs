use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::market::{Price, Quantity};

const NOTHING_MORE: Outcome = Outcome::Buffered { ask_snapshot: false };
const ASK: Outcome = Outcome::Buffered { ask_snapshot: true };
const JOINED: Outcome = Outcome::Joined { healed: false, reset: false };
const HEALED: Outcome = Outcome::Joined { healed: true, reset: false };
const RESET: Outcome = Outcome::Joined { healed: true, reset: true };

/// A venue whose update `id` sets one bid, by rule, so that its book at any id is known.
struct Desk {
    book: Book,
    join: Join,
}

fn bid_of(id: i64) -> Level {
    Level { price: Price(id.rem_euclid(17)), quantity: Quantity(id.rem_euclid(5)) }
}

fn bids_at(last_id: i64) -> Vec<Level> {
    let mut bids = BTreeMap::new();
    for id in (last_id - 200).max(1)..=last_id {
        bids.insert(bid_of(id).price, bid_of(id).quantity);
    }
    bids.into_iter()
        .filter(|(_, quantity)| *quantity > Quantity::ZERO)
        .map(|(price, quantity)| Level { price, quantity })
        .collect()
}

impl Desk {
    fn new(diffs_max: usize) -> Self {
        Self { book: Book::default(), join: Join::fetched(diffs_max) }
    }

    fn live_at(last_id: i64) -> Self {
        let mut desk = Self::new(1000);
        assert_eq!(desk.snapshot(last_id), JOINED);
        desk
    }

    fn diff(&mut self, first: i64, last: i64) -> Outcome {
        let bids: Vec<_> = (first..=last).map(bid_of).collect();
        let ids = UpdateIds { first, last };
        self.join.diff(&mut self.book, Diff { ids, bids: &bids, asks: &[] })
    }

    fn snapshot(&mut self, last_id: i64) -> Outcome {
        let bids = bids_at(last_id);
        self.join.snapshot(&mut self.book, Snapshot { last_id, bids: &bids, asks: &[], limit: Some(1000) })
    }

    fn assert_right_at(&self, last_id: i64) {
        assert_eq!(self.book.last_id(), last_id);
        self.assert_right();
    }

    fn assert_right(&self) {
        let mut bids: Vec<_> = self.book.bids().iter().collect();
        bids.reverse();
        assert_eq!(bids, bids_at(self.book.last_id()), "the book at {}", self.book.last_id());
    }
}

#[test]
fn diffs_wait_for_a_snapshot_that_reaches_them() {
    let mut desk = Desk::new(1000);
    assert_eq!(desk.diff(101, 105), ASK);
    assert_eq!(desk.diff(106, 110), NOTHING_MORE);
    assert_eq!(desk.snapshot(99), Outcome::SnapshotTooOld);
    assert_eq!(desk.join.state(), State::Waiting);
    assert_eq!(desk.diff(111, 115), NOTHING_MORE, "the caller has been told to ask again");
    // Inside the second diff.
    assert_eq!(desk.snapshot(108), JOINED);
    desk.assert_right_at(115);
    assert_eq!((desk.diff(116, 116), desk.join.state()), (Outcome::Applied, State::Live));
}

#[test]
fn a_snapshot_just_before_the_first_diff_reaches_it() {
    let mut desk = Desk::new(1000);
    assert_eq!(desk.diff(101, 105), ASK);
    assert_eq!(desk.snapshot(100), JOINED);
    desk.assert_right_at(105);
}

#[test]
fn a_snapshot_newer_than_all_diffs_joins_at_once_and_the_next_diff_has_to_fit() {
    let mut desk = Desk::new(1000);
    assert_eq!(desk.diff(101, 105), ASK);
    assert_eq!(desk.snapshot(120), JOINED);
    assert_eq!(desk.diff(106, 118), Outcome::Ignored);
    assert_eq!(desk.diff(119, 124), Outcome::Applied);
    desk.assert_right_at(124);

    let mut desk = Desk::live_at(120);
    assert_eq!(desk.diff(122, 124), ASK, "121 is missing");
    assert_eq!(desk.join.state(), State::Healing);
    desk.assert_right_at(120);
}

#[test]
fn a_gap_heals_with_a_snapshot_and_touches_what_it_changed() {
    let mut desk = Desk::live_at(100);
    assert_eq!(desk.diff(103, 104), ASK);
    assert_eq!(desk.diff(105, 106), NOTHING_MORE);
    desk.assert_right_at(100);
    assert_eq!(desk.snapshot(101), Outcome::SnapshotTooOld);
    assert_eq!(desk.snapshot(102), HEALED);
    desk.assert_right_at(106);
    let mut pool = Vec::new();
    let changes = desk.book.changes_since(100, &mut pool).expect("healing restarts no journal");
    let (before, after) = (bids_at(100), bids_at(106));
    for level in changes.bids.of(&pool) {
        let now = after.iter().find(|now| now.price == level.price);
        assert_eq!(now.map_or(Quantity::ZERO, |now| now.quantity), level.quantity);
        assert!(!before.contains(level), "an equal level is not touched");
    }
    assert!(desk.book.changes_since(106, &mut pool).is_some_and(|none| none.bids.len == 0));
}

#[test]
fn the_other_connection_fills_a_gap_without_a_snapshot() {
    let mut desk = Desk::live_at(100);
    assert_eq!(desk.diff(103, 104), ASK);
    assert_eq!(desk.diff(107, 108), NOTHING_MORE);
    assert_eq!((desk.diff(101, 102), desk.join.state()), (Outcome::Applied, State::Healing));
    desk.assert_right_at(104);
    assert_eq!(desk.diff(103, 104), Outcome::Ignored);
    assert_eq!((desk.diff(105, 107), desk.join.state()), (Outcome::Applied, State::Live));
    desk.assert_right_at(108);
    assert_eq!(desk.snapshot(110), Outcome::Ignored, "it is no longer needed");
}

#[test]
fn a_lost_connection_is_nothing_if_the_next_diff_continues() {
    let mut desk = Desk::live_at(100);
    desk.join.lost();
    assert_eq!(desk.join.state(), State::Healing);
    assert_eq!(desk.diff(95, 100), Outcome::Ignored);
    assert_eq!((desk.diff(99, 101), desk.join.state()), (Outcome::Applied, State::Live));
    desk.join.lost();
    assert_eq!(desk.diff(103, 103), ASK);
    assert_eq!(desk.snapshot(100), Outcome::SnapshotTooOld);
    assert_eq!(desk.snapshot(103), HEALED);
    desk.assert_right_at(103);
    desk.join.lost();
    assert!(desk.join.ask_snapshot(), "the symbol may be silent for hours");
    assert!(!desk.join.ask_snapshot());
    assert_eq!(desk.snapshot(102), Outcome::SnapshotTooOld);
    assert_eq!(desk.snapshot(103), HEALED);
    assert!(!desk.join.ask_snapshot());
}

#[test]
fn fallen_ids_start_the_book_over() {
    let mut desk = Desk::live_at(1_000_000);
    let mut id = 500;
    while desk.diff(id + 1, id + 2) == Outcome::Ignored {
        id += 2;
        assert!(id < 600, "noticed at last");
    }
    assert_eq!(desk.join.state(), State::Healing);
    assert_eq!(desk.diff(id + 1, id + 2), NOTHING_MORE, "a copy over the other connection");
    assert_eq!(desk.diff(id + 3, id + 4), NOTHING_MORE);
    assert_eq!(desk.snapshot(510), Outcome::SnapshotTooOld);
    assert_eq!(desk.snapshot(id + 3), RESET);
    desk.assert_right_at(id + 4);
    assert_eq!(desk.book.changes_since(499, &mut Vec::new()), None, "nothing is known of before");
    assert_eq!(desk.diff(id + 5, id + 5), Outcome::Applied);
}

#[test]
fn late_copies_are_no_fall() {
    let mut desk = Desk::live_at(1000);
    for last in 800..990 {
        let outcome = desk.diff(last, last);
        assert!(matches!(outcome, Outcome::Ignored | Outcome::Buffered { .. }));
    }
    assert_eq!(desk.join.state(), State::Healing, "suspected");
    assert_eq!((desk.diff(1001, 1001), desk.join.state()), (Outcome::Applied, State::Live));
    desk.assert_right_at(1001);

    let mut desk = Desk::live_at(1000);
    for last in 800..990 {
        let _ = desk.diff(last, last);
    }
    assert_eq!(desk.snapshot(1010), HEALED);
    desk.assert_right_at(1010);

    let mut desk = Desk::live_at(1000);
    for round in 0..200 {
        assert_eq!(desk.diff(900, 905), Outcome::Ignored, "in round {round}: copies do not continue each other");
    }
}

#[test]
fn what_is_held_has_a_limit() {
    let mut desk = Desk::new(3);
    assert_eq!(desk.diff(1, 1), ASK);
    assert_eq!(desk.diff(2, 2), NOTHING_MORE);
    assert_eq!(desk.diff(2, 2), NOTHING_MORE, "a copy takes no room");
    assert_eq!(desk.diff(3, 3), NOTHING_MORE);
    assert_eq!(desk.diff(4, 4), Outcome::Overflow);
    assert_eq!(desk.diff(5, 5), NOTHING_MORE);
    assert_eq!(desk.snapshot(2), Outcome::SnapshotTooOld);
    assert_eq!(desk.snapshot(3), JOINED);
    desk.assert_right_at(5);
}

#[test]
fn a_refresh_keeps_the_book_in_step_and_replaces_it_under_a_new_id() {
    let mut desk = Desk::live_at(100);
    assert!(!desk.join.ask_snapshot(), "live and content");
    desk.join.refresh();
    assert!(desk.join.ask_snapshot());
    assert_eq!(desk.diff(101, 102), Outcome::Applied);
    assert_eq!(desk.diff(103, 104), Outcome::Applied);
    desk.assert_right_at(104);
    assert_eq!(desk.snapshot(99), Outcome::SnapshotTooOld);
    assert_eq!(desk.snapshot(101), NOTHING_MORE, "104 may have been published already");
    assert_eq!(desk.join.state(), State::Live);
    assert_eq!(desk.diff(105, 106), HEALED);
    desk.assert_right_at(106);
    assert_eq!(desk.diff(107, 107), Outcome::Applied);

    // A snapshot that is ahead replaces at once.
    desk.join.refresh();
    assert_eq!(desk.snapshot(110), HEALED);
    assert_eq!(desk.diff(108, 110), Outcome::Ignored);
    assert_eq!(desk.diff(110, 111), Outcome::Applied);
    desk.assert_right_at(111);
}

#[test]
fn a_refresh_survives_its_limit_and_a_gap() {
    let mut desk = Desk::new(3);
    assert_eq!(desk.snapshot(100), JOINED);
    desk.join.refresh();
    for id in 101..=105 {
        assert_eq!(desk.diff(id, id), Outcome::Applied);
    }
    desk.assert_right_at(105);
    assert_eq!(desk.snapshot(101), Outcome::SnapshotTooOld, "its diffs were dropped");
    assert_eq!(desk.diff(106, 106), Outcome::Applied);
    assert_eq!(desk.snapshot(103), NOTHING_MORE);
    assert_eq!(desk.diff(107, 107), HEALED, "room or not");
    desk.assert_right_at(107);

    desk.join.refresh();
    assert_eq!(desk.diff(109, 109), ASK);
    assert_eq!(desk.join.state(), State::Healing);
    assert_eq!(desk.snapshot(108), HEALED);
    desk.assert_right_at(109);
}

#[test]
fn a_distrusted_book_is_replaced_and_not_carried_on_with() {
    let mut desk = Desk::live_at(100);
    desk.join.distrust();
    assert_eq!(desk.diff(101, 102), ASK);
    assert_eq!(desk.book.last_id(), 100);
    assert_eq!(desk.snapshot(99), Outcome::SnapshotTooOld);
    assert_eq!(desk.snapshot(101), HEALED);
    desk.assert_right_at(102);

    desk.join.distrust();
    assert_eq!(desk.snapshot(102), NOTHING_MORE, "102 may have been published already");
    assert_eq!(desk.diff(103, 103), HEALED);
    desk.assert_right_at(103);
}

#[test]
fn on_a_socket_snapshots_join_and_diffs_follow() {
    let (mut book, mut join) = (Book::default(), Join::socket());
    let bids = bids_at(50);
    let diff = |id: i64| Diff { ids: UpdateIds { first: id, last: id }, bids: &[], asks: &[] };
    let snapshot = |last_id| Snapshot { last_id, bids: &bids, asks: &[], limit: None };
    assert_eq!(join.diff(&mut book, diff(1)), Outcome::Ignored);
    assert!(join.ask_snapshot());
    assert_eq!(join.snapshot(&mut book, snapshot(2)), JOINED);
    assert_eq!(join.diff(&mut book, diff(7)), Outcome::Applied);
    join.lost();
    assert_eq!(join.diff(&mut book, diff(8)), Outcome::Ignored);
    assert_eq!(join.snapshot(&mut book, snapshot(9)), HEALED);
    join.distrust();
    assert_eq!((join.state(), join.diff(&mut book, diff(10))), (State::Healing, Outcome::Ignored));
    assert_eq!(join.snapshot(&mut book, snapshot(11)), HEALED);
    assert_eq!(book.last_id(), 11);
}

/// What a network and a venue's cache can do to a feed.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    Drop,
    Duplicate,
    /// Comes after the next one.
    Delay,
    /// An older one comes again.
    Repeat(usize),
    Lost,
    Refresh,
    Distrust,
    /// Snapshots of this many updates ago arrive, if one was asked for.
    Snapshot(i64),
}

fn faults() -> impl Strategy<Value = Vec<(i64, Fault)>> {
    let fault = prop_oneof![
        12 => Just(Fault::None),
        1 => Just(Fault::Drop),
        1 => Just(Fault::Duplicate),
        1 => Just(Fault::Delay),
        1 => (1_usize..20).prop_map(Fault::Repeat),
        1 => Just(Fault::Lost),
        1 => Just(Fault::Refresh),
        1 => Just(Fault::Distrust),
        4 => (-3_i64..30).prop_map(Fault::Snapshot),
    ];
    vec((1_i64..5, fault), 1..120)
}

proptest! {
    #[test]
    fn whatever_happens_the_book_is_right_at_its_id(faults in faults(), diffs_max in 2_usize..40) {
        let mut desk = Desk::new(diffs_max);
        let mut asked = desk.join.ask_snapshot();
        let mut sent: Vec<(i64, i64)> = Vec::new();
        let mut delayed = None;
        let (mut head, mut published) = (300, None::<i64>);
        for (width, fault) in faults {
            let ids = (head + 1, head + width);
            head = ids.1;
            sent.push(ids);
            let mut outcomes = Vec::new();
            match fault {
                Fault::Drop => {}
                Fault::Delay if delayed.is_none() => delayed = Some(ids),
                _ => outcomes.push(desk.diff(ids.0, ids.1)),
            }
            match fault {
                Fault::Duplicate => outcomes.push(desk.diff(ids.0, ids.1)),
                Fault::Repeat(back) => {
                    let (first, last) = sent[sent.len().saturating_sub(back + 1)];
                    outcomes.push(desk.diff(first, last));
                }
                Fault::Lost => desk.join.lost(),
                Fault::Refresh => desk.join.refresh(),
                Fault::Distrust => desk.join.distrust(),
                Fault::Snapshot(age) if asked => {
                    asked = false;
                    outcomes.push(desk.snapshot(head - age));
                }
                _ => {}
            }
            if let Some((first, last)) = delayed.take_if(|delayed| *delayed != ids) {
                outcomes.push(desk.diff(first, last));
            }
            asked |= outcomes.iter().any(|outcome| {
                matches!(*outcome, ASK | Outcome::SnapshotTooOld | Outcome::Overflow)
            });
            prop_assert!(!outcomes.contains(&RESET), "ids never fell");
            asked |= desk.join.ask_snapshot();
            if desk.join.state() != State::Waiting {
                desk.assert_right();
            }
            if desk.join.state() == State::Live {
                follow(&desk.book, &mut published);
            }
        }
        // The network is quiet again, and snapshots are fresh.
        for _ in 0..3 {
            head += 1;
            let outcome = desk.diff(head, head);
            if desk.join.state() != State::Live || matches!(outcome, Outcome::Overflow) {
                let _ = desk.snapshot(head);
            }
        }
        prop_assert_eq!(desk.join.state(), State::Live);
        desk.assert_right_at(head);
        follow(&desk.book, &mut published);
    }
}

/// Publishes what changed since the last time, and checks it against the venue: ids have risen, and levels that a client
/// is told nothing about are those that did not change.
fn follow(book: &Book, published: &mut Option<i64>) {
    let id = book.last_id();
    if let Some(before) = published.filter(|before| *before != id) {
        assert!(id > before);
        let mut client: BTreeMap<_, _> = bids_at(before).iter().map(|level| (level.price, level.quantity)).collect();
        let mut pool = Vec::new();
        let changes = book.changes_since(before, &mut pool).expect("remembered");
        for level in changes.bids.of(&pool) {
            client.insert(level.price, level.quantity);
        }
        client.retain(|_, quantity| *quantity > Quantity::ZERO);
        let client: Vec<_> = client.into_iter().map(|(price, quantity)| Level { price, quantity }).collect();
        assert_eq!(client, bids_at(id), "a client from {before} to {id}");
    }
    *published = Some(id);
}
