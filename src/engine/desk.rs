//! One instrument in the ingest loop: its gates, its cadences, its last word on each stream.

use std::time::Duration;

use super::{
    Shared,
    books::{Books, OTHER_CONNECTION_WAIT},
    watch::Stream,
};
use crate::{
    book::Runs,
    config,
    derive::{BestGate, Demand, DepthCadence, Identified, Offer, Tick, TradeGate},
    intake::{ConnectionId, Request},
    market::{AggTrade, Best, Event, EventKind, Instrument, InstrumentId, Level, Nanos, Trade, VenueId},
    topic::{BookState, Cadence, Channel, Payload, TopicId, Update},
    venue::Traits,
};

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
    /// Aggregates have ids of their own without holes; else `a` is that of the last fill, and skips by nature.
    aggregates_numbered: bool,
    /// Event times of the newest candle and tickers: a second copy of the feed brings them again.
    newest: [Nanos; 3],
    /// When the last frame that changed the book was received, and the time the venue gave it.
    pub(super) changed: (Nanos, Nanos),
    connections: Vec<ConnectionId>,
}

/// A trade with the times that its update will carry.
#[derive(Clone, Copy, Debug)]
struct Heard<T> {
    trade: T,
    time: Nanos,
    received: Nanos,
}

impl<T: Identified> Identified for Heard<T> {
    fn id(&self) -> i64 {
        self.trade.id()
    }

    fn time(&self) -> Nanos {
        self.trade.time()
    }
}

impl Desk {
    pub(super) fn new(instrument: &Instrument, traits: &Traits, refills: bool, settings: &config::Engine) -> Self {
        let refill_wait = refills.then(|| Duration::from_millis(settings.trade_refill_wait_ms));
        Self {
            id: instrument.id,
            venue: instrument.venue,
            books: Books::new(traits, settings),
            cadences: Cadence::ALL.map(DepthCadence::new),
            best: BestGate::default(),
            trades: TradeGate::new(refill_wait),
            aggregates: TradeGate::new(None),
            refill_wait,
            aggregates_numbered: traits.aggregates_numbered,
            newest: [Nanos::default(); 3],
            changed: (Nanos::default(), Nanos::default()),
            connections: Vec::new(),
        }
    }

    /// A connection carries this instrument from now on.
    pub(super) fn opened(&mut self, connection: ConnectionId, now: Nanos, shared: &mut Shared) {
        self.connections.push(connection);
        self.books_opened(now, shared);
        self.wait_for_other_connections();
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
            EventKind::Kline(kline) => {
                if self.is_newest(0, time) {
                    let payload = Payload::Kline(shared.batch.klines.len() as u32);
                    shared.batch.klines.push(kline);
                    self.push(payload, time, received, shared);
                }
            }
            EventKind::MiniTicker(ticker) => {
                if self.is_newest(1, time) {
                    let payload = Payload::MiniTicker(shared.batch.mini_tickers.len() as u32);
                    shared.batch.mini_tickers.push(ticker);
                    self.push(payload, time, received, shared);
                }
            }
            EventKind::Ticker(ticker) => {
                if self.is_newest(2, time) {
                    let payload = Payload::Ticker(shared.batch.tickers.len() as u32);
                    shared.batch.tickers.push(ticker);
                    self.push(payload, time, received, shared);
                }
            }
            EventKind::BlockTrade(trade) => self.push(Payload::BlockTrade(trade), time, received, shared),
            EventKind::AveragePrice(average) => self.push(Payload::AveragePrice(average), time, received, shared),
            EventKind::ReferencePrice(reference) => {
                self.push(Payload::ReferencePrice(reference), time, received, shared)
            }
            // A refusal of something else leaves a book that is in step alone.
            EventKind::Refused if self.books.is_live() => {}
            EventKind::Refused => self.set_state(BookState::Refused, received, shared),
        }
    }

    /// The venue's ids have fallen: trades are numbered anew as well.
    pub(super) fn reset_trades(&mut self) {
        self.trades.reset();
        self.aggregates.reset();
    }

    /// Takes trades that were fetched to fill a hole.
    pub(super) fn refilled(&mut self, events: &[Event], received: Nanos, shared: &mut Shared) {
        for event in events {
            let EventKind::Trade(trade) = event.kind else { continue };
            let heard = Heard { trade, time: event.time.unwrap_or(trade.time), received };
            if self.trades.offer(heard, received) == Offer::Next {
                shared.metrics[self.venue.0 as usize].trades_refilled.increment(1);
                self.publish_trade(&heard, shared);
                self.publish_ready(shared);
            }
        }
        let newest = events.iter().filter_map(|event| match event.kind {
            EventKind::Trade(trade) => Some(trade.id),
            _ => None,
        });
        // An answer that goes beyond the hole and leaves it open says that there is nothing in it.
        if newest.max().zip(self.trades.first_held()).is_some_and(|(newest, held)| newest >= held) {
            self.give_up_trades(received, shared);
            return;
        }
        let missing = self.trades.after_refill(received);
        self.ask_trades(missing, shared);
    }

    /// The venue refuses to give the trades that are missing; if `for_good`, it never will.
    pub(super) fn not_refilled(&mut self, for_good: bool, now: Nanos, shared: &mut Shared) {
        if for_good {
            self.refill_wait = None;
            self.wait_for_other_connections();
        }
        self.give_up_trades(now, shared);
    }

    fn give_up_trades(&mut self, now: Nanos, shared: &mut Shared) {
        let lost = self.trades.give_up_now(now);
        self.count_lost("trades", lost, shared);
        self.publish_ready(shared);
        let missing = self.trades.after_refill(now);
        self.ask_trades(missing, shared);
    }

    /// Gives up holes whose time is over; asks for those behind them.
    pub(super) fn give_up(&mut self, now: Nanos, shared: &mut Shared) {
        if self.trades.deadline().is_some_and(|deadline| deadline <= now) {
            self.give_up_trades(now, shared);
        }
        if self.aggregates.deadline().is_some_and(|deadline| deadline <= now) {
            let lost = self.aggregates.give_up(now);
            self.count_lost("aggregate trades", lost, shared);
            self.publish_ready_aggregates(shared);
        }
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

    /// Someone new below the ring: a cadence wakes, a partial book goes out although nothing may have changed.
    pub(super) fn look_at_interest(&mut self, shared: &mut Shared) {
        for cadence in Cadence::ALL {
            self.notice_demand(cadence, shared);
        }
        self.schedule(shared);
        if shared.interest.take_snapshot(self.id) && self.books.is_live() {
            self.publish_snapshot(false, shared);
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

    fn trade(&mut self, heard: Heard<Trade>, shared: &mut Shared) {
        let metrics = &shared.metrics[self.venue.0 as usize];
        match self.trades.offer(heard, heard.received) {
            Offer::Next => {
                self.publish_trade(&heard, shared);
                self.publish_ready(shared);
            }
            Offer::Duplicate => {}
            Offer::Held { ask } => {
                metrics.trade_holes.increment(u64::from(ask.is_some()));
                self.ask_trades(ask, shared);
            }
            Offer::Skipped { lost } => {
                metrics.trade_holes.increment(1);
                self.count_lost("trades", lost, shared);
                self.publish_trade(&heard, shared);
            }
        }
    }

    /// Aggregates go out in order, each once; what is missing is waited for only while another connection may bring it.
    fn aggregate(&mut self, heard: Heard<AggTrade>, shared: &mut Shared) {
        let metrics = &shared.metrics[self.venue.0 as usize];
        if self.sums_fills_again(&heard.trade) {
            return;
        }
        match self.aggregates.offer(heard, heard.received) {
            Offer::Next => {
                self.publish_aggregate(&heard, shared);
                self.publish_ready_aggregates(shared);
            }
            Offer::Duplicate => {}
            Offer::Held { ask } => metrics.trade_holes.increment(u64::from(ask.is_some())),
            Offer::Skipped { lost } => {
                if self.aggregates_numbered {
                    metrics.trade_holes.increment(1);
                    self.count_lost("aggregate trades", lost, shared);
                }
                self.publish_aggregate(&heard, shared);
            }
        }
    }

    /// Where we sum the fills of one message ourselves, another connection may have cut its messages otherwise.
    fn sums_fills_again(&self, trade: &AggTrade) -> bool {
        !self.aggregates_numbered
            && self.aggregates.last_id().is_some_and(|last| trade.first_id <= last && trade.last_id > last)
    }

    /// Two connections are not equally fast: behind a hole that the slower one may fill, a moment is waited.
    fn wait_for_other_connections(&mut self) {
        let other = self.has_other_connections().then_some(OTHER_CONNECTION_WAIT);
        self.trades.wait_for(self.refill_wait.or(other));
        self.aggregates.wait_for(other.filter(|_| self.aggregates_numbered));
    }

    fn ask_trades(&self, missing: Option<(i64, u32)>, shared: &Shared) {
        if let Some((from_id, count)) = missing.filter(|_| self.refill_wait.is_some()) {
            shared.ask(Request::Trades { instrument: self.id, from_id, count });
        }
    }

    fn publish_aggregate(&self, heard: &Heard<AggTrade>, shared: &mut Shared) {
        self.push(Payload::AggTrade(heard.trade), heard.time, heard.received, shared);
    }

    fn publish_ready_aggregates(&mut self, shared: &mut Shared) {
        while let Some(heard) = self.aggregates.ready() {
            self.publish_aggregate(&heard, shared);
        }
    }

    fn publish_trade(&self, heard: &Heard<Trade>, shared: &mut Shared) {
        self.push(Payload::Trade(heard.trade), heard.time, heard.received, shared);
    }

    fn publish_ready(&mut self, shared: &mut Shared) {
        while let Some(heard) = self.trades.ready() {
            self.publish_trade(&heard, shared);
        }
    }

    fn count_lost(&self, what: &str, lost: u64, shared: &mut Shared) {
        if lost == 0 {
            return;
        }
        let venue = self.venue.0 as usize;
        shared.metrics[venue].trades_lost.increment(lost);
        shared.lost[venue] += lost;
        let symbol = &shared.catalogue.instrument(self.id).symbol;
        tracing::debug!(%symbol, what, lost, "stayed lost");
    }

    fn is_newest(&mut self, kind: usize, time: Nanos) -> bool {
        let newest = &mut self.newest[kind];
        let is = time > *newest;
        *newest = time.max(*newest);
        is
    }

    /// Whether a first book is on its way. One that nobody sends (a symbol that is not listed, a venue out of reach) is not.
    pub(super) fn waits_for_a_book(&self) -> bool {
        self.books.is_waiting() && !self.connections.is_empty()
    }

    /// Whether anyone follows this instrument's depth.
    pub(super) fn is_wanted(&self, shared: &Shared) -> bool {
        let mut channels = Channel::ALL.into_iter();
        channels.any(|channel| {
            matches!(channel, Channel::Depth(_) | Channel::PartialDepth(..))
                && shared.interest.any(TopicId::new(self.id, channel))
        })
    }

    /// Tells a cadence what is wanted of it; whoever is the first to want partial books gets one with the next tick, once.
    fn notice_demand(&mut self, cadence: Cadence, shared: &Shared) {
        let any = |channel| shared.interest.any(TopicId::new(self.id, channel));
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
