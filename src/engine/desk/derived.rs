//! What one instrument publishes besides its book and trades: candles, statistics, averages. The venue's own values are
//! passed on where it sends them; the others are derived, on timers that follow receive time.

use super::{Desk, trades::as_aggregate};
use crate::{
    derive::{
        Around, Average, Candles, Due, Edition, Moment, Seconds, Statistics, is_other_day, is_other_rolling, longer,
    },
    engine::Shared,
    market::{
        AggTrade, AveragePrice, Kline, MiniTicker, Nanos, Quantity, ReferencePrice, RollingTicker, Series, Ticker,
        Trade,
    },
    topic::{Channel, Payload, Window},
};

/// Derived values of one instrument.
#[derive(Debug)]
pub(in crate::engine) struct Derived {
    candles: Candles,
    seconds: Seconds,
    statistics: Statistics,
    average: Average,
    last_quantity: Quantity,
    has_trades: bool,
    /// The newest of each kind that the venue itself sent; from the first on ours are silent.
    passed: Passed,
    /// Ours are silent until then, so that the venue's come first if it sends any.
    begins: Option<Nanos>,
    is_up: bool,
    next_second: Nanos,
    next_candles: Nanos,
    pub(in crate::engine) published: Published,
    /// What the candles in the making were made of when they were told last.
    told_candles: Option<Edition>,
    told_average: Option<AveragePrice>,
}

/// Event times of what the venue sent last: a second copy of the feed brings it again.
#[derive(Debug, Default)]
struct Passed {
    minute: Option<(Nanos, Nanos)>,
    second: Option<Nanos>,
    mini_ticker: Option<Nanos>,
    ticker: Option<Nanos>,
    average: Option<Nanos>,
    reference: Option<Nanos>,
}

/// The newest tickers with their event time and the pass that published them: arrays are made of them.
#[derive(Debug, Default)]
pub(in crate::engine) struct Published {
    pub(in crate::engine) mini_ticker: Option<Stamped<MiniTicker>>,
    pub(in crate::engine) ticker: Option<Stamped<Ticker>>,
    pub(in crate::engine) rolling: [Option<Stamped<RollingTicker>>; Window::ALL.len()],
}

/// A value as it was published.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Stamped<T> {
    pub(in crate::engine) value: T,
    /// Its event time.
    pub(in crate::engine) time: Nanos,
    /// The beat of the arrays before which it was published.
    pub(in crate::engine) beat: u64,
}

impl Derived {
    pub(super) fn new(asks_klines: bool) -> Self {
        let mut candles = Candles::default();
        if !asks_klines {
            candles.trust_what_is_seen();
        }
        Self {
            candles,
            seconds: Seconds::default(),
            statistics: Statistics::default(),
            average: Average::default(),
            last_quantity: Quantity::ZERO,
            has_trades: false,
            passed: Passed::default(),
            begins: None,
            is_up: false,
            next_second: Nanos(0),
            next_candles: Nanos(0),
            published: Published::default(),
            told_candles: None,
            told_average: None,
        }
    }

    pub(in crate::engine) fn candles(&mut self) -> &mut Candles {
        &mut self.candles
    }

    /// Whether the venue sends each fill, so that aggregates need not be counted.
    pub(super) fn has_trades(&self) -> bool {
        self.has_trades
    }

    /// Nothing was known before the first connection after all.
    pub(in crate::engine) fn forget_history(&mut self, asks_klines: bool) {
        *self = Self::new(asks_klines);
    }

    pub(super) fn renumbered(&mut self) {
        self.candles.renumbered();
    }

    pub(super) fn disconnected(&mut self) {
        self.is_up = false;
        self.candles.disconnected();
        self.seconds.disconnected();
    }

    /// A candle from before the live trades, or from where some were lost.
    pub(in crate::engine) fn past_candle(&mut self, row: &Kline) {
        self.average.minute(row);
        self.average.second(row);
    }

    pub(in crate::engine) fn take_lacking(&mut self, series: Series) -> Option<Nanos> {
        if series == Series::SECOND { self.seconds.take_lacking() } else { self.candles.take_lacking(series) }
    }

    /// The plan of history asks for seconds up to `open`.
    pub(in crate::engine) fn seconds_fetched_to(&mut self, open: Nanos) {
        self.seconds.fetched_to(open);
    }

    /// Until when candles of a series can have ended while the minute that opens at `minute` is in the making.
    pub(in crate::engine) fn ended_until(&self, series: Series, minute: Nanos) -> Nanos {
        let second = self.seconds.open_time().filter(|_| series == Series::SECOND);
        second.unwrap_or(series.open_time(minute))
    }

    fn has_begun(&self, now: Nanos) -> bool {
        self.begins.is_some_and(|begins| now >= begins)
    }
}

impl Desk {
    pub(super) fn derived_opened(&mut self, now: Nanos, shared: &mut Shared) {
        let phase = self.phase();
        let clock = shared.clocks[self.venue.0 as usize];
        self.forget_other_decimals(shared);
        let derived = &mut self.derived;
        derived.is_up = true;
        derived.candles.connected(now);
        derived.seconds.connected(clock);
        if derived.begins.is_none() {
            let begins = Nanos(now.0 + FIRST_WAIT_NS);
            derived.begins = Some(begins);
            derived.next_second = next(begins, SECOND_NS, phase);
            derived.next_candles = next(begins, CANDLES_NS, phase);
        }
        self.backfill_opened(now, shared);
    }

    /// Symbols speak one after another, not all at the same instant.
    fn phase(&self) -> i64 {
        i64::from(self.id.0 % PHASES) * PHASE_NS
    }

    pub(super) fn derive_trade(&mut self, trade: &Trade, received: Nanos, shared: &mut Shared) {
        self.derived.has_trades = true;
        self.derive_fills(&as_aggregate(trade), received, shared);
    }

    /// In a feed without single trades aggregates have to do.
    pub(super) fn derive_aggregate(&mut self, trade: &AggTrade, received: Nanos, shared: &mut Shared) {
        if !self.derived.has_trades {
            self.derive_fills(trade, received, shared);
        }
    }

    pub(super) fn derive_past_trades(&mut self, shared: &Shared) {
        let Some(last) = shared.past.last() else { return };
        let decimals = shared.catalogue.instrument(self.id).decimals();
        self.derived.candles.past_trades(&shared.past, decimals);
        if self.derived.last_quantity == Quantity::ZERO {
            self.derived.last_quantity = last.quantity;
        }
    }

    fn derive_fills(&mut self, trade: &AggTrade, received: Nanos, shared: &mut Shared) {
        let decimals = shared.catalogue.instrument(self.id).decimals();
        let derived = &mut self.derived;
        derived.candles.trade(trade, received, decimals, &mut shared.told);
        if derived.passed.second.is_none() {
            derived.seconds.trade(trade, decimals, &mut shared.told.closed);
        }
        derived.average.trade(trade, decimals);
        derived.last_quantity = trade.quantity;
        self.tell_closed(received, shared);
    }

    /// Publishes what was closed: for everybody, or where it is old news for history only.
    pub(in crate::engine) fn tell_closed(&mut self, now: Nanos, shared: &mut Shared) {
        self.tell_closed_with(None, now, shared);
    }

    /// The same around the venue's own candle: what had to be closed before it goes first, what ends with it afterwards.
    fn tell_closed_with(&mut self, own: Option<(&Kline, Nanos)>, now: Nanos, shared: &mut Shared) {
        let mut told = std::mem::take(&mut shared.told);
        for kline in &told.past {
            self.push_past(kline, now, shared);
        }
        let mut own = own;
        for kline in &told.closed {
            if let Some((candle, time)) = own.take_if(|(candle, _)| kline.end() >= candle.end()) {
                self.push_kline(candle, time, now, shared);
            }
            if self.derived.has_begun(now) {
                self.push_kline(kline, now.max(kline.end()), now, shared);
            } else {
                self.push_past(kline, now, shared);
            }
        }
        if let Some((candle, time)) = own {
            self.push_kline(candle, time, now, shared);
        }
        told.clear();
        shared.told = told;
    }

    pub(in crate::engine) fn push_past(&self, kline: &Kline, now: Nanos, shared: &mut Shared) {
        let payload = Payload::PastKline(shared.batch.klines.len() as u32);
        shared.batch.klines.push(*kline);
        self.push(payload, kline.end(), now, shared);
    }

    fn push_kline(&self, kline: &Kline, time: Nanos, received: Nanos, shared: &mut Shared) {
        let payload = Payload::Kline(shared.batch.klines.len() as u32);
        shared.batch.klines.push(*kline);
        self.push(payload, time, received, shared);
    }

    pub(super) fn venue_kline(&mut self, kline: &Kline, time: Nanos, received: Nanos, shared: &mut Shared) {
        if kline.series == Series::SECOND {
            if is_news(&mut self.derived.passed.second, kline.open_time) {
                self.derived.seconds.passed(kline);
                self.push_kline(kline, time, received, shared);
            }
            return;
        }
        if kline.series != Series::MINUTE {
            return;
        }
        // The end of a minute is news even behind the beginning of the next: another connection may have brought that.
        if !is_news(&mut self.derived.passed.minute, (kline.open_time, time)) && !kline.closed {
            return;
        }
        let decimals = shared.catalogue.instrument(self.id).decimals();
        let is_news = self.derived.candles.push(kline, received, decimals, &mut shared.told);
        self.tell_closed_with(is_news.then_some((kline, time)), received, shared);
    }

    pub(super) fn venue_mini_ticker(&mut self, ticker: MiniTicker, time: Nanos, received: Nanos, shared: &mut Shared) {
        if is_news(&mut self.derived.passed.mini_ticker, time) {
            self.push_mini_ticker(ticker, time, received, shared);
        }
    }

    pub(super) fn venue_ticker(&mut self, ticker: Ticker, time: Nanos, received: Nanos, shared: &mut Shared) {
        if is_news(&mut self.derived.passed.ticker, time) {
            self.push_ticker(ticker, time, received, shared);
        }
    }

    pub(super) fn venue_average(&mut self, average: AveragePrice, time: Nanos, received: Nanos, shared: &mut Shared) {
        if is_news(&mut self.derived.passed.average, time) {
            self.push(Payload::AveragePrice(average), time, received, shared);
        }
    }

    pub(super) fn venue_reference(
        &mut self,
        reference: ReferencePrice,
        time: Nanos,
        received: Nanos,
        shared: &mut Shared,
    ) {
        if is_news(&mut self.derived.passed.reference, reference.time) {
            self.push(Payload::ReferencePrice(reference), time, received, shared);
        }
    }

    fn push_mini_ticker(&mut self, value: MiniTicker, time: Nanos, made: Nanos, shared: &mut Shared) {
        self.derived.published.mini_ticker = Some(Stamped { value, time, beat: shared.array_beat });
        let payload = shared.batch.mini_ticker(value);
        self.push(payload, time, made, shared);
    }

    fn push_ticker(&mut self, value: Ticker, time: Nanos, made: Nanos, shared: &mut Shared) {
        self.derived.published.ticker = Some(Stamped { value, time, beat: shared.array_beat });
        let payload = shared.batch.ticker(value);
        self.push(payload, time, made, shared);
    }

    /// Publishes the newest values once more, with their own event times: a reader has missed what only comes again when it
    /// changes. Their cause is that somebody asked, or their age would pass for latency.
    pub(super) fn say_again(&mut self, now: Nanos, shared: &mut Shared) {
        let Published { mini_ticker, ticker, rolling } = self.derived.published;
        if let Some(Stamped { value, time, .. }) = mini_ticker {
            let payload = shared.batch.mini_ticker(value);
            self.push(payload, time, now, shared);
        }
        if let Some(Stamped { value, time, .. }) = ticker {
            let payload = shared.batch.ticker(value);
            self.push(payload, time, now, shared);
        }
        for (window, it) in Window::ALL.into_iter().zip(rolling) {
            let Some(Stamped { value, time, .. }) = it else { continue };
            let payload = shared.batch.rolling(window, value);
            self.push(payload, time, now, shared);
        }
        // These come with their next timer.
        self.derived.told_candles = None;
        self.derived.told_average = None;
    }

    /// What time brings. Called by the engine's pulse.
    pub(in crate::engine) fn derive_due(&mut self, now: Nanos, shared: &mut Shared) {
        let moment = Moment { now, venue: shared.clocks[self.venue.0 as usize], held: self.holds_trades() };
        let ask = self.derived.candles.due(&moment, &mut shared.told);
        if self.derived.passed.second.is_none() {
            self.derived.seconds.due(&moment, &mut shared.told.closed);
        }
        self.tell_closed(now, shared);
        self.ask_minute(ask, shared);
        let is_second = now >= self.derived.next_second && self.derived.begins.is_some();
        if self.derived.is_up && self.derived.has_begun(now) {
            if now >= self.derived.next_candles {
                self.derived.next_candles = next(now, CANDLES_NS, self.phase());
                self.push_candles(now, shared);
            }
            if is_second {
                self.push_day(now, shared);
                self.push_rolling(now, shared);
                self.push_average(now, shared);
            }
        }
        if is_second {
            self.derived.next_second = next(now, SECOND_NS, self.phase());
            self.ask_lacking(shared);
            let late = self.derived.candles.take_late() + self.derived.seconds.take_late();
            if late > 0 {
                shared.metrics[self.venue.0 as usize].trades_late.increment(late);
            }
        }
        self.backfill_due(now, shared);
    }

    /// When [`Desk::derive_due`] has something to do next, if nothing comes in between; history apart.
    pub(super) fn derived_next_due(&self) -> Due {
        let Derived { candles, seconds, passed, begins, next_second, next_candles, .. } = &self.derived;
        let seconds = if passed.second.is_none() { seconds.next_due() } else { Due::NEVER };
        let timers = if begins.is_some() { Due::at(*next_second.min(next_candles)) } else { Due::NEVER };
        candles.next_due().or(seconds).or(timers)
    }

    /// Candles in the making, every two seconds from their opening (binance.md section 5). They open at whole minutes. One
    /// that is what it was is said again only to those who listen: mirrors have it.
    fn push_candles(&mut self, now: Nanos, shared: &mut Shared) {
        let edition = Some(self.derived.candles.edition());
        let is_same = std::mem::replace(&mut self.derived.told_candles, edition) == edition;
        let minute = Some(Series::MINUTE).filter(|_| self.derived.passed.minute.is_none());
        for series in minute.into_iter().chain(longer()) {
            if is_same && !self.is_heard(Channel::Kline(series), shared) {
                continue;
            }
            if let Some(kline) = self.derived.candles.current(series, now) {
                self.push_kline(&kline, now, now, shared);
            }
        }
    }

    fn push_day(&mut self, now: Nanos, shared: &mut Shared) {
        let Derived { candles, statistics, passed, last_quantity, .. } = &mut self.derived;
        if passed.ticker.is_some() && passed.mini_ticker.is_some() {
            return;
        }
        let decimals = shared.catalogue.instrument(self.id).decimals();
        let best = self.best.last().unwrap_or_default();
        let around = Around { last_quantity: *last_quantity, bid: best.bid, ask: best.ask };
        let Some(ticker) = statistics.day(candles, &around, now, decimals) else { return };
        let Published { mini_ticker, ticker: day, .. } = &self.derived.published;
        let is_other_mini = mini_ticker.is_none_or(|before| before.value != ticker.mini);
        let is_other = day.is_none_or(|before| is_other_day(&before.value, &ticker));
        if self.derived.passed.mini_ticker.is_none() && is_other_mini {
            self.push_mini_ticker(ticker.mini, now, now, shared);
        }
        if self.derived.passed.ticker.is_none() && is_other {
            self.push_ticker(ticker, now, now, shared);
        }
    }

    fn push_rolling(&mut self, now: Nanos, shared: &mut Shared) {
        let decimals = shared.catalogue.instrument(self.id).decimals();
        for window in Window::ALL {
            let Derived { candles, statistics, published, .. } = &mut self.derived;
            let Some(value) = statistics.rolling(window, candles, now, decimals) else { continue };
            let before = &mut published.rolling[window as usize];
            if before.is_some_and(|before| !is_other_rolling(&before.value, &value)) {
                continue;
            }
            *before = Some(Stamped { value, time: now, beat: shared.array_beat });
            let payload = shared.batch.rolling(window, value);
            self.push(payload, now, now, shared);
        }
    }

    fn push_average(&mut self, now: Nanos, shared: &mut Shared) {
        if self.derived.passed.average.is_some() {
            return;
        }
        let decimals = shared.catalogue.instrument(self.id).decimals();
        if let Some(average) = self.derived.average.at(now, decimals) {
            let is_same = self.derived.told_average.replace(average) == Some(average);
            if is_same && !self.is_heard(Channel::AveragePrice, shared) {
                return;
            }
            self.push(Payload::AveragePrice(average), now, now, shared);
        }
    }
}

/// Whether something of the venue is newer than what came before, which it then replaces.
fn is_news<T: PartialOrd + Copy>(newest: &mut Option<T>, this: T) -> bool {
    let is = newest.is_none_or(|newest| this > newest);
    if is {
        *newest = Some(this);
    }
    is
}

/// The first instant behind `now` on the grid of `period` that is moved by `phase`.
fn next(now: Nanos, period: i64, phase: i64) -> Nanos {
    Nanos((now.0 - phase).div_euclid(period) * period + period + phase)
}

/// After the first connection opened, the venue gets so long to send its own values first.
const FIRST_WAIT_NS: i64 = 5_000_000_000;

const SECOND_NS: i64 = 1_000_000_000;

/// The period of candles in the making.
const CANDLES_NS: i64 = 2 * SECOND_NS;

/// Timers of symbols are spread over half a second.
const PHASES: u32 = 50;
const PHASE_NS: i64 = 10_000_000;
