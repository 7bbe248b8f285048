//! One instrument in the ingest loop: its gates, its cadences, its last word on each stream.

mod derived;
mod trades;

use std::time::Duration;

use super::{
    Shared,
    backfill::{Backfill, Offers},
    books::Books,
    watch::Stream,
};
use crate::{
    book::Runs,
    config,
    derive::{BestGate, Demand, DepthCadence, Due, Tick, TradeGate},
    intake::ConnectionId,
    market::{AggTrade, Best, Event, EventKind, Instrument, InstrumentId, Level, Nanos, Trade, VenueId},
    topic::{BookState, Cadence, Channel, Payload, TopicId, Update},
    venue::Traits,
};

use derived::Derived;
use trades::Heard;

/// Everything the engine keeps for one instrument.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) id: InstrumentId,
    pub(super) venue: VenueId,
    pub(super) books: Books,
    pub(super) cadences: [DepthCadence; Cadence::ALL.len()],
    pub(super) best: BestGate,
    trades: TradeGate<Heard<Trade>>,
    aggregates: TradeGate<Heard<AggTrade>>,
    /// How long trades wait for lost ones that are fetched; `None`: the venue has nothing to fetch.
    refill_wait: Option<Duration>,
    /// The same of aggregates.
    aggregates_refill_wait: Option<Duration>,
    /// The first ids that were published.
    first_trade: Option<i64>,
    first_aggregate: Option<i64>,
    /// Aggregates have ids of their own without holes; else `a` is that of the last fill, and skips by nature.
    aggregates_numbered: bool,
    pub(super) derived: Derived,
    pub(super) backfill: Backfill,
    /// When the last frame that changed the book was received, and the time the venue gave it.
    pub(super) changed: (Nanos, Nanos),
    connections: Vec<ConnectionId>,
}

impl Desk {
    pub(super) fn new(instrument: &Instrument, traits: &Traits, offers: Offers, settings: &config::Engine) -> Self {
        let wait = Duration::from_millis(settings.trade_refill_wait_ms);
        let refill_wait = offers.trades.then_some(wait);
        Self {
            id: instrument.id,
            venue: instrument.venue,
            books: Books::new(traits, settings),
            cadences: Cadence::ALL.map(DepthCadence::new),
            best: BestGate::default(),
            trades: TradeGate::new(refill_wait),
            aggregates: TradeGate::new(None),
            refill_wait,
            aggregates_refill_wait: offers.agg_trades.then_some(wait),
            first_trade: None,
            first_aggregate: None,
            aggregates_numbered: traits.aggregates_numbered,
            derived: Derived::new(offers.klines),
            backfill: Backfill::new(offers),
            changed: (Nanos::default(), Nanos::default()),
            connections: Vec::new(),
        }
    }

    /// A connection carries this instrument from now on.
    pub(super) fn opened(&mut self, connection: ConnectionId, now: Nanos, shared: &mut Shared) {
        self.connections.push(connection);
        self.books_opened(now, shared);
        self.derived_opened(now, shared);
        self.wait_for_other_connections();
    }

    /// Whether any connection carries the instrument.
    pub(super) fn has_connection(&self) -> bool {
        !self.connections.is_empty()
    }

    /// Whether a trade was published.
    pub(super) fn has_traded(&self) -> bool {
        self.first_trade.is_some() || self.first_aggregate.is_some()
    }

    /// Whether a diff that one connection lost may come over another one.
    pub(super) fn has_other_connections(&self) -> bool {
        self.connections.len() > 1
    }

    /// Whether one that was opened later than `connection` carries the instrument.
    pub(super) fn has_newer_connection(&self, connection: ConnectionId) -> bool {
        self.connections.iter().any(|&other| other > connection)
    }

    /// A connection is gone. While another one carries the instrument nothing is lost.
    pub(super) fn closed(&mut self, connection: ConnectionId, now: Nanos, shared: &mut Shared) {
        let before = self.connections.len();
        self.connections.retain(|&other| other != connection);
        if self.connections.len() == before {
            return;
        }
        if self.connections.is_empty() {
            self.books_lost(now, shared);
            self.derived.disconnected();
        } else {
            self.books_closed(connection, now, shared);
        }
        self.wait_for_other_connections();
    }

    /// Takes what a frame said.
    pub(super) fn event(
        &mut self,
        event: &Event,
        levels: &[Level],
        connection: ConnectionId,
        received: Nanos,
        shared: &mut Shared,
    ) {
        let time = event.time.unwrap_or(received);
        match event.kind {
            EventKind::Trade(trade) => {
                shared.watch.heard(self.id, Stream::Trades, received);
                self.trade(Heard { trade, time, received }, shared);
            }
            EventKind::AggTrade(trade) => self.aggregate(Heard { trade, time, received }, shared),
            EventKind::Best(best) => {
                shared.watch.heard(self.id, Stream::Best, received);
                if self.books.is_live() {
                    self.publish_best(best, time, received, shared);
                }
            }
            EventKind::BookDiff(diff) => {
                shared.watch.heard(self.id, Stream::Book, received);
                self.book_diff(&diff, levels, connection, time, received, shared);
            }
            EventKind::BookSnapshot(snapshot) => {
                shared.watch.heard(self.id, Stream::Book, received);
                self.socket_snapshot(&snapshot, levels, connection, time, received, shared);
            }
            EventKind::BookWindow(window) => self.books.set_window(connection, window),
            EventKind::Kline(kline) => self.venue_kline(&kline, time, received, shared),
            EventKind::MiniTicker(ticker) => self.venue_mini_ticker(ticker, time, received, shared),
            EventKind::Ticker(ticker) => self.venue_ticker(ticker, time, received, shared),
            EventKind::BlockTrade(trade) => self.push(Payload::BlockTrade(trade), time, received, shared),
            EventKind::AveragePrice(average) => self.venue_average(average, time, received, shared),
            EventKind::ReferencePrice(reference) => self.venue_reference(reference, time, received, shared),
            // A refusal of something else leaves a book that is in step alone.
            EventKind::Refused if self.books.is_live() => {}
            EventKind::Refused => self.set_state(BookState::Refused, received, shared),
        }
    }

    /// The venue's ids have fallen: trades are numbered anew as well.
    pub(super) fn reset_trades(&mut self) {
        self.trades.reset();
        self.aggregates.reset();
        self.derived.renumbered();
    }

    /// Publishes what is due at this cadence.
    pub(super) fn tick(&mut self, cadence: Cadence, now: Nanos, shared: &mut Shared) {
        if !self.books.is_live() || self.is_crossed(now, shared) {
            return;
        }
        let (received, time) = self.changed;
        self.notice_demand(cadence, shared);
        let tick = Tick { instrument: self.id, received, time };
        let told = self.cadences[cadence.index()].tick(self.books.book(), now, &tick, &mut shared.batch);
        if !told {
            // The book forgot what that cadence published last: its followers have to start over.
            self.publish_snapshot(true, shared);
        }
        self.schedule(shared);
    }

    /// Does what is due by itself, and says when something will be again. What happens to the desk in between may bring
    /// that forward, so it is looked at after it, too.
    pub(super) fn look(&mut self, now: Nanos, shared: &mut Shared) -> Due {
        self.give_up(now, shared);
        self.ask_if_due(now, shared);
        self.look_at_interest(now, shared);
        self.derive_due(now, shared);
        // A tick that found the book crossed comes again with each look.
        if self.books.is_held_crossed() {
            return Due::NOW;
        }
        let deadlines = [self.trades.deadline(), self.aggregates.deadline(), self.books.ask_at()];
        let deadlines = deadlines.into_iter().flatten().map(Due::at);
        deadlines.fold(self.derived_next_due().or(self.backfill.next_due()), Due::or)
    }

    /// Someone new below the ring: a cadence wakes, a partial book goes out although nothing may have changed.
    fn look_at_interest(&mut self, now: Nanos, shared: &mut Shared) {
        for cadence in Cadence::ALL {
            self.notice_demand(cadence, shared);
        }
        self.schedule(shared);
        let asked = shared.interest.take_asked(self.id);
        if asked.book && self.books.is_live() {
            self.publish_snapshot(false, shared);
        }
        if asked.values {
            self.say_again(now, shared);
        }
    }

    /// Puts down the next tick of each cadence that has something to say.
    pub(super) fn schedule(&self, shared: &mut Shared) {
        if !self.books.is_live() {
            return;
        }
        for (cadence, state) in Cadence::ALL.into_iter().zip(&self.cadences) {
            if state.has_news(self.books.book()) {
                shared.schedule.put(self.id, cadence, state.due());
            }
        }
    }

    pub(super) fn publish_best(&mut self, best: Best, time: Nanos, received: Nanos, shared: &mut Shared) {
        if self.best.offer(best) {
            self.push(Payload::BookTicker(best), time, received, shared);
        }
    }

    /// Publishes the whole book for mirrors. With `reset`, whoever follows the diffs is told to start over.
    pub(super) fn publish_snapshot(&mut self, reset: bool, shared: &mut Shared) {
        let book = self.books.book();
        let Runs { bids, asks } = book.top(usize::MAX, &mut shared.batch.levels);
        let last_id = book.last_id();
        if reset {
            self.cadences.iter_mut().for_each(|cadence| cadence.begin(last_id));
        }
        let (received, time) = self.changed;
        self.push(Payload::BookSnapshot { last_id, bids, asks, reset }, time, received, shared);
    }

    pub(super) fn push(&self, payload: Payload, time: Nanos, received: Nanos, shared: &mut Shared) {
        shared.batch.updates.push(Update { instrument: self.id, received, time, payload });
    }

    /// Whether a first book is on its way. One that nobody sends (a symbol that is not listed, a venue out of reach) is not.
    pub(super) fn waits_for_a_book(&self) -> bool {
        self.books.is_waiting() && self.has_connection()
    }

    /// Whether anyone follows this instrument's depth.
    pub(super) fn is_wanted(&self, shared: &Shared) -> bool {
        let mut channels = Channel::ALL.into_iter();
        channels.any(|channel| {
            matches!(channel, Channel::Depth(_) | Channel::PartialDepth(..)) && self.is_heard(channel, shared)
        })
    }

    /// Whether anyone subscribes to a channel of this instrument.
    fn is_heard(&self, channel: Channel, shared: &Shared) -> bool {
        shared.interest.any(TopicId::new(self.id, channel))
    }

    /// Tells a cadence what is wanted of it; whoever is the first to want partial books gets one with the next tick, once.
    fn notice_demand(&mut self, cadence: Cadence, shared: &Shared) {
        let any = |channel| self.is_heard(channel, shared);
        let demand = match cadence {
            Cadence::Swift => Demand { diffs: any(Channel::Depth(cadence)), partial: false },
            Cadence::Brisk => Demand { diffs: false, partial: any(Channel::PartialDepth(20, cadence)) },
            Cadence::Fast | Cadence::Slow => {
                let partial = [5, 10, 20].into_iter().any(|levels| any(Channel::PartialDepth(levels, cadence)));
                Demand { diffs: true, partial }
            }
        };
        self.cadences[cadence.index()].want(demand, self.books.book());
    }
}
