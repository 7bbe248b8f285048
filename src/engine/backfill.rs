//! History that a cold start, an outage or a hole lacks, fetched from the venue: minutes first, then hours, then the rest.
//!
//! Of each instrument one request is on its way at a time; intake puts them in a row by their weight. Rows are asked for from
//! the newest backwards, so that trade ids, which REST does not tell, can be counted back from the live ones.

mod progress;

use std::collections::VecDeque;

use super::{Shared, desk::Desk};
use crate::{
    derive::{Due, longer, number},
    intake::{Request, Wanted},
    market::{DAY, Decimals, Event, EventKind, Interval, Kline, MINUTE, Nanos, Series, Zone},
};

pub(super) use progress::Progress;

/// What a venue can be asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Offers {
    pub(super) klines: bool,
    pub(super) trades: bool,
    pub(super) recent_trades: bool,
    pub(super) agg_trades: bool,
}

/// The history of one instrument.
#[derive(Debug)]
pub(super) struct Backfill {
    offers: Offers,
    plan: Plan,
    jobs: VecDeque<Job>,
    flight: Option<Flight>,
    /// Nothing is asked before.
    not_before: Nanos,
    /// What a store has kept without a hole, by series: first and last instant.
    kept: [Option<(Nanos, Nanos)>; Series::COUNT],
    /// With which decimals that was written.
    kept_decimals: Option<Decimals>,
    /// The oldest minute or hour that an answer began with although older ones were asked for, and the oldest day.
    oldest: Option<Nanos>,
    oldest_day: Option<Nanos>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    /// Nothing is connected yet.
    Waiting,
    /// The first connection is open; trade ids are waited for until then.
    Until(Nanos),
    Made,
}

/// Candles to be asked for, those that open from one time to before another.
#[derive(Clone, Copy, Debug)]
struct Job {
    series: Series,
    from: Nanos,
    to: Nanos,
    /// The id of the first trade behind it, if the request before this one told.
    next_id: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    job: Job,
    /// From where this request asks.
    from: Nanos,
    /// The venue's clock at that time: candles that had ended by then are final in the answer.
    venue: Nanos,
    asked: Nanos,
}

impl Job {
    /// Where a request of the newest part begins.
    fn last_part(&self) -> Nanos {
        match self.series.interval().length() {
            Some(length) => self.from.max(Nanos(self.to.0 - ROWS_MAX * length)),
            // Months: there are not so many.
            None => self.from,
        }
    }

    fn requests(&self) -> i64 {
        let length = self.series.interval().length().unwrap_or(i64::MAX / ROWS_MAX);
        (self.to.0 - self.from.0).max(0).div_euclid(length * ROWS_MAX) + 1
    }
}

impl Backfill {
    pub(super) fn new(offers: Offers) -> Self {
        Self {
            offers,
            plan: Plan::Waiting,
            jobs: VecDeque::new(),
            flight: None,
            not_before: Nanos(0),
            kept: [None; Series::COUNT],
            kept_decimals: None,
            oldest: None,
            oldest_day: None,
        }
    }

    /// When [`Desk::backfill_due`] has something to do.
    pub(super) fn next_due(&self) -> Due {
        if !self.offers.klines {
            return Due::NEVER;
        }
        match (&self.plan, self.flight) {
            (Plan::Until(_), _) => Due::NOW,
            (_, Some(flight)) => Due::at(Nanos(flight.asked.0 + ANSWER_MAX_NS)),
            (_, None) if self.jobs.is_empty() => Due::NEVER,
            (_, None) => Due::at(self.not_before),
        }
    }

    /// Puts down what lacks of `series` between two times; what was kept is left out.
    fn want(&mut self, series: Series, from: Nanos, to: Nanos, progress: &mut Progress) {
        let kept = self.kept[series.index()].filter(|(start, end)| *start < to && *end > from);
        let parts = match kept {
            Some((start, end)) => [(end, to), (from, start)],
            None => [(from, to), (to, to)],
        };
        for (from, to) in parts.into_iter().filter(|(from, to)| from < to) {
            self.put(Job { series, from, to, next_id: None }, false, progress);
        }
    }

    fn put(&mut self, job: Job, first: bool, progress: &mut Progress) {
        if self.jobs.len() >= JOBS_MAX {
            return;
        }
        progress.wanted(job.requests());
        if first {
            self.jobs.push_front(job);
        } else {
            self.jobs.push_back(job);
        }
    }

    /// The venue gives none of `series` at all.
    fn refuse(&mut self, series: Series, progress: &mut Progress) {
        self.jobs.retain(|job| {
            let stays = job.series != series;
            if !stays {
                progress.done(job.requests());
            }
            stays
        });
    }
}

impl Desk {
    /// Takes candles of one series that a store has kept.
    pub(super) fn kept(&mut self, decimals: Decimals, klines: &[Kline], now: Nanos, shared: &mut Shared) {
        let Some(last) = klines.last() else { return };
        // What stands before a hole is asked for again with the hole.
        let holes = klines.windows(2).rposition(|pair| pair[0].end() != pair[1].open_time);
        let first = klines[holes.map_or(0, |hole| hole + 1)];
        // A mix of two scales is of no use: what comes second is fetched again.
        if self.backfill.kept_decimals.is_some_and(|others| !others.is_same_scale(decimals)) {
            return;
        }
        self.backfill.kept_decimals = Some(decimals);
        self.backfill.kept[last.series.index()] = Some((first.open_time, last.end()));
        klines.iter().for_each(|row| self.derived.past_candle(row));
        self.derived.candles().rows(klines, &mut shared.told);
        self.tell_closed(now, shared);
    }

    pub(super) fn backfill_opened(&mut self, now: Nanos, shared: &mut Shared) {
        if self.backfill.plan != Plan::Waiting {
            return;
        }
        self.backfill.plan = Plan::Until(Nanos(now.0 + IDS_WAIT_NS));
        let instrument = self.id;
        if self.backfill.offers.recent_trades {
            shared.ask(Request::RecentTrades { instrument });
        }
        if self.backfill.offers.agg_trades {
            shared.ask(Request::AggTrades { instrument, from_id: None, count: ROWS_MAX as u32 });
        }
    }

    /// The venue's list is known by now. If its decimals are not those of what was kept, that is fetched again.
    pub(super) fn forget_other_decimals(&mut self, shared: &Shared) {
        let instrument = shared.catalogue.instrument(self.id);
        let Some(kept) = self.backfill.kept_decimals.take() else { return };
        if !kept.is_same_scale(instrument.decimals()) {
            tracing::warn!(symbol = %instrument.symbol, "the venue's decimals changed: kept candles are fetched again");
            self.backfill.kept = [None; Series::COUNT];
            self.derived.forget_history(self.backfill.offers.klines);
        }
    }

    /// Plans once, then keeps one request on its way.
    pub(super) fn backfill_due(&mut self, now: Nanos, shared: &mut Shared) {
        if !self.backfill.offers.klines {
            return;
        }
        if let Plan::Until(latest) = self.backfill.plan {
            let open = self.derived.candles().open_time();
            let numbered = open.is_some_and(|open| self.derived.candles().next_id_at(open).is_some());
            if numbered || now >= latest {
                self.plan_history(now, shared);
            }
        }
        if let Some(flight) = self.backfill.flight
            && now.0 - flight.asked.0 >= ANSWER_MAX_NS
        {
            self.backfill.flight = None;
            self.backfill.jobs.push_front(flight.job);
        }
        if self.backfill.flight.is_none() && now >= self.backfill.not_before {
            self.ask_next(now, shared);
        }
    }

    /// The venue did not tell how this minute ended.
    pub(super) fn ask_minute(&mut self, open: Option<Nanos>, shared: &mut Shared) {
        let Some(open) = open.filter(|_| self.backfill.offers.klines) else { return };
        let job = Job { series: Series::MINUTE, from: open, to: Nanos(open.0 + MINUTE.0), next_id: None };
        self.backfill.put(job, true, &mut shared.history[self.venue.0 as usize]);
    }

    /// Asks for candles that ended without being known.
    pub(super) fn ask_lacking(&mut self, shared: &mut Shared) {
        if !self.backfill.offers.klines || self.backfill.plan != Plan::Made {
            return;
        }
        let Some(open) = self.derived.candles().open_time() else { return };
        for series in Series::ALL {
            let Some(from) = self.derived.take_lacking(series) else { continue };
            let from = from.max(Nanos(open.0 - HISTORY_NS));
            let to = self.derived.ended_until(series, open);
            if from < to {
                let job = Job { series, from, to, next_id: None };
                self.backfill.put(job, series == Series::MINUTE, &mut shared.history[self.venue.0 as usize]);
            }
        }
    }

    fn plan_history(&mut self, now: Nanos, shared: &mut Shared) {
        let venue = self.venue.0 as usize;
        let at = self.derived.candles().open_time().unwrap_or(shared.clocks[venue].max(now));
        let progress = &mut shared.history[venue];
        let backfill = &mut self.backfill;
        backfill.plan = Plan::Made;
        // The plan covers all up to now.
        for series in Series::ALL {
            self.derived.take_lacking(series);
        }
        let minute = Series::MINUTE.open_time(at);
        let day = Nanos(minute.0 - DAY.0 - 2 * MINUTE.0);
        backfill.want(Series::MINUTE, day, minute, progress);
        for series in [Series::HOUR, Series::SECOND].into_iter().chain(longer()) {
            let to = self.derived.ended_until(series, at);
            if series == Series::SECOND {
                self.derived.seconds_fetched_to(to);
            }
            let length = series.interval().length().unwrap_or(31 * DAY.0);
            let from = series.open_time(Nanos(to.0 - ROWS_MAX * length).max(FIRST_CANDLE));
            // Hours come first of all that is longer, and once.
            if series != Series::HOUR || !backfill.jobs.iter().any(|job| job.series == series) {
                backfill.want(series, from, to, progress);
            }
        }
        backfill.want(Series::MINUTE, Nanos(minute.0 - HISTORY_NS), day, progress);
        progress.log(&shared.catalogue.venues()[venue].name);
    }

    fn ask_next(&mut self, now: Nanos, shared: &Shared) {
        let Some(job) = self.backfill.jobs.pop_front() else { return };
        let from = job.last_part();
        let venue = shared.clocks[self.venue.0 as usize];
        let length = job.series.interval().length().unwrap_or(28 * DAY.0);
        let count = ((job.to.0 - from.0) / length).clamp(1, ROWS_MAX) as u32;
        self.backfill.flight = Some(Flight { job, from, venue, asked: now });
        shared.ask(Request::Klines { instrument: self.id, series: job.series, from, count });
    }

    /// Takes the answer to a request for candles.
    pub(super) fn klines(
        &mut self,
        series: Series,
        from: Nanos,
        events: &[Event],
        received: Nanos,
        shared: &mut Shared,
    ) {
        let matches = |flight: &mut Flight| flight.job.series == series && flight.from == from;
        let Some(flight) = self.backfill.flight.take_if(matches) else { return };
        let Flight { mut job, venue, asked, .. } = flight;
        let is_final = |row: &Kline| row.end() <= venue || row.end().0 + CLOCKS_APART_NS <= asked.0;
        let rows = &mut shared.rows;
        rows.clear();
        rows.extend(events.iter().filter_map(|event| match event.kind {
            EventKind::Kline(row) => Some(Kline { closed: true, ..row }),
            _ => None,
        }));
        // The oldest row says how far the venue goes back, even if it is not one of those wanted.
        let second = series.next_open(series.open_time(from));
        let reaches = rows.first().is_some_and(|row| row.open_time <= second);
        let oldest = rows.first().map_or(job.to, |row| row.open_time);
        rows.retain(|row| row.series == series && (from..job.to).contains(&row.open_time));
        // What was still in the making by the venue's clock is asked for again, once it is final by any clock.
        let unfinished = rows.iter().find(|row| !is_final(row)).map(|row| Job { from: row.open_time, ..job });
        rows.retain(is_final);
        let (end, known) = unfinished.map_or((job.to, job.next_id), |unfinished| (unfinished.from, None));
        let next_id = known.or_else(|| self.derived.candles().next_id_at(end));
        job.next_id = number(rows, next_id);
        let mut rows = std::mem::take(&mut shared.rows);
        let awaited = self.derived.candles().awaited().filter(|_| series == Series::MINUTE);
        for row in &rows {
            if awaited != Some(row.open_time) {
                self.push_past(row, received, shared);
            }
            self.derived.past_candle(row);
        }
        if series == Series::MINUTE || series == Series::HOUR {
            fill_holes(&mut rows);
            self.derived.candles().rows(&rows, &mut shared.told);
            self.tell_closed(received, shared);
        }
        shared.rows = rows;
        if !reaches {
            self.reached_the_oldest(series, oldest);
        }
        let progress = &mut shared.history[self.venue.0 as usize];
        let left = if reaches && from > job.from { Some(Job { to: from, ..job }) } else { None };
        progress.done(job.requests() - left.map_or(0, |left| left.requests()));
        if let Some(left) = left {
            self.backfill.jobs.push_front(left);
        }
        if let Some(unfinished) = unfinished {
            if self.backfill.jobs.is_empty() {
                self.backfill.not_before = Nanos(received.0 + CLOCKS_APART_NS);
            }
            self.backfill.put(unfinished, false, progress);
        }
        progress.log(&shared.catalogue.venues()[self.venue.0 as usize].name);
    }

    /// A request for candles was refused, or its answer could not be read.
    pub(super) fn no_klines(&mut self, series: Series, for_good: bool, now: Nanos, shared: &mut Shared) {
        let Some(flight) = self.backfill.flight.take_if(|flight| flight.job.series == series) else { return };
        if !for_good {
            self.backfill.jobs.push_front(flight.job);
            self.backfill.not_before = Nanos(now.0 + AGAIN_NS);
            return;
        }
        let progress = &mut shared.history[self.venue.0 as usize];
        progress.done(flight.job.requests());
        self.backfill.refuse(series, progress);
        if series == Series::MINUTE {
            self.derived.candles().trust_what_is_seen();
        }
        progress.log(&shared.catalogue.venues()[self.venue.0 as usize].name);
    }

    /// The venue gave no older candles of this series. It may give only some of them, or the instrument is young: then its
    /// days begin with the same candle.
    fn reached_the_oldest(&mut self, series: Series, oldest: Nanos) {
        let day = Series::new(Interval::Day1, Zone::Utc);
        let backfill = &mut self.backfill;
        if series == day {
            backfill.oldest_day = Some(oldest);
        } else if series == Series::MINUTE || series == Series::HOUR {
            backfill.oldest = Some(backfill.oldest.map_or(oldest, |known| known.min(oldest)));
        }
        if let (Some(first), Some(first_day)) = (backfill.oldest, backfill.oldest_day)
            && day.open_time(first) <= first_day
        {
            self.derived.candles().nothing_before(first);
        }
    }

    /// Trades or candles were refused.
    pub(super) fn refused(&mut self, what: Wanted, for_good: bool, now: Nanos, shared: &mut Shared) {
        match what {
            Wanted::Trades => self.not_refilled(for_good, now, shared),
            Wanted::AggTrades => self.aggregates_not_refilled(for_good, now, shared),
            Wanted::Klines(series) => self.no_klines(series, for_good, now, shared),
            Wanted::RecentTrades => {}
        }
    }
}

/// Where the venue has no row between two others nothing was traded: the candle before goes on.
fn fill_holes(rows: &mut Vec<Kline>) {
    let mut at = 1;
    while at < rows.len() && rows.len() <= ROWS_MAX as usize {
        let before = rows[at - 1];
        if before.end() < rows[at].open_time {
            rows.insert(at, Kline { closed: true, ..Kline::empty(before.series, before.end(), before.close) });
        }
        at += 1;
    }
}

/// Most candles of one answer (binance.md section 10.2).
const ROWS_MAX: i64 = 1_000;

/// The longest rolling window of REST.
const HISTORY_NS: i64 = 7 * DAY.0;

/// No venue of ours has older ones: 2009-01-01.
const FIRST_CANDLE: Nanos = Nanos::from_millis(1_230_768_000_000);

/// Trade ids of the minute in the making are usually known within this time: the venue pushes it every two seconds.
const IDS_WAIT_NS: i64 = 10_000_000_000;

/// Behind a busy venue's weights an answer takes its time; then it is asked for again.
const ANSWER_MAX_NS: i64 = 300_000_000_000;

/// A request that failed is sent again after so long.
const AGAIN_NS: i64 = 30_000_000_000;

/// Our clock and a venue's are not further apart.
const CLOCKS_APART_NS: i64 = 5_000_000_000;

/// Most requests that wait for one instrument: holes that come faster than they are filled are given up.
const JOBS_MAX: usize = 100;
