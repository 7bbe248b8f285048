//! Candles of every interval: the open minute is the truth, longer candles are sums of minutes.
//!
//! A minute is known whole if it began while trades came without a hole, or if the venue told it: by a push (which may be
//! of a minute in the making: the trades behind its last id are added) or by a row of a REST answer. What is not known whole
//! is not told, unless the venue has nothing that could be asked ([`Candles::trust_what_is_seen`]).

mod history;
mod minute;
mod rows;
mod sums;
mod window;

use crate::market::{AggTrade, DAY, Decimals, Kline, MINUTE, Nanos, Price, Series};

use super::moment::{Due, Moment, RECEIVE_GRACE_NS};
use history::History;
pub(in crate::derive) use minute::count;
use minute::{Minute, Tape};
pub use rows::number;
use sums::Sums;
pub use sums::longer;
pub use window::Since;

/// The candles of one instrument.
#[derive(Debug)]
pub struct Candles {
    tape: Tape,
    open: Option<Minute>,
    /// A minute that has ended, waiting for the venue's last word on it.
    ended: Option<Ended>,
    minutes: History,
    hours: History,
    sums: Sums,
    /// The last price of all closed minutes.
    carry: Option<Price>,
    /// The venue has nothing before this: the instrument is young.
    nothing_before: Option<Nanos>,
    venue_pushes: bool,
    trusting: bool,
    /// Receive time since when a line is up; `None`: there is none.
    connected: Option<Nanos>,
    newest: Nanos,
    /// The last id that closed minutes hold.
    counted_to: i64,
    late: u64,
    revision: u64,
}

#[derive(Debug)]
struct Ended {
    minute: Minute,
    since: Nanos,
    asked: bool,
}

/// What a change brought to be told, cleared and reused by its owner.
#[derive(Debug, Default)]
pub struct Told {
    /// Closed candles in order, shorter before longer; the minute itself only if the venue has not pushed its end.
    pub closed: Vec<Kline>,
    /// Closed candles that are old news: for history only.
    pub past: Vec<Kline>,
}

impl Told {
    /// Forgets the content, keeps the memory.
    pub fn clear(&mut self) {
        self.closed.clear();
        self.past.clear();
    }
}

/// What candles in the making are made of: as long as it is the same, so are they.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edition {
    /// The minute in the making, and one that has ended; whether each is whole.
    open: Option<(Kline, bool)>,
    ended: Option<(Kline, bool)>,
    carry: Option<Price>,
    trusting: bool,
    revision: u64,
}

impl Default for Candles {
    fn default() -> Self {
        Self {
            tape: Tape::new(),
            open: None,
            ended: None,
            minutes: History::new(MINUTE.0, MINUTES_KEPT),
            hours: History::new(60 * MINUTE.0, HOURS_KEPT),
            sums: Sums::default(),
            carry: None,
            nothing_before: None,
            venue_pushes: false,
            trusting: false,
            connected: None,
            newest: Nanos(0),
            counted_to: -1,
            late: 0,
            revision: 0,
        }
    }
}

impl Candles {
    /// There is nothing to ask the venue for: what is seen has to do.
    pub fn trust_what_is_seen(&mut self) {
        self.trusting = true;
    }

    /// A line to the venue is up (again).
    pub fn connected(&mut self, received: Nanos) {
        self.connected.get_or_insert(received);
    }

    /// No line is up any more: what comes next may not continue what came last.
    pub fn disconnected(&mut self) {
        self.connected = None;
        for minute in self.open.iter_mut().chain(self.ended.as_mut().map(|ended| &mut ended.minute)) {
            minute.doubtful = true;
        }
    }

    /// The venue numbers its trades anew.
    pub fn renumbered(&mut self) {
        self.tape.reset();
        self.counted_to = -1;
    }

    /// Counts the next trade, in the order of ids.
    pub fn trade(&mut self, trade: &AggTrade, received: Nanos, decimals: Decimals, told: &mut Told) {
        let had_one = self.tape.last_id.is_some();
        let Some(continues) = self.tape.take(trade) else { return };
        self.newest = self.newest.max(received);
        for minute in self.open.iter_mut().chain(self.ended.as_mut().map(|ended| &mut ended.minute)) {
            if continues {
                minute.doubtful = false;
            } else if had_one && minute.kline.last_id + 1 != trade.first_id {
                minute.whole = false;
            }
        }
        let open = Series::MINUTE.open_time(trade.time);
        self.advance(open, received, told);
        if let Some(minute) = self.open.as_mut().filter(|minute| minute.kline.open_time == open) {
            minute.add(trade, decimals);
        } else if let Some(ended) = self.ended.as_mut().filter(|ended| ended.minute.holds(trade.time)) {
            ended.minute.add(trade, decimals);
        } else if trade.last_id > self.counted_to {
            self.late += 1;
        }
    }

    /// Takes the venue's own candle of a minute. Returns whether it is news; a closed one is so once.
    pub fn push(&mut self, push: &Kline, received: Nanos, decimals: Decimals, told: &mut Told) -> bool {
        self.venue_pushes = true;
        self.newest = self.newest.max(received);
        self.advance(push.open_time, received, told);
        let ended = self.ended.as_ref().is_some_and(|ended| ended.minute.kline.open_time == push.open_time);
        let open = self.open.as_ref().is_some_and(|minute| minute.kline.open_time == push.open_time);
        if push.trades == 0 && (ended || open) {
            // After a hole the venue knows the price before better than we do.
            self.carry = Some(push.close);
        }
        if push.closed {
            if ended {
                self.ended = None;
                self.close(*push, false, told);
            } else if open {
                // One before it that still waits goes first.
                self.give_up_ended(told);
                let was_whole = self.open.take().is_some_and(|minute| minute.is_whole());
                self.close(*push, false, told);
                self.begin_after(was_whole, push.end());
            } else if self.adopt_row(push) {
                self.recover();
            } else {
                return false;
            }
            self.tape.pushed(push.last_id);
            return true;
        }
        let minute = match (&mut self.ended, &mut self.open) {
            (Some(waiting), _) if ended => &mut waiting.minute,
            (_, Some(minute)) if open => minute,
            _ => return false,
        };
        minute.rebase(push, &self.tape, decimals);
        if open && self.ended.is_none() {
            self.tape.pushed(push.last_id);
        }
        true
    }

    /// What time brings: closed minutes, and those whose row has to be fetched, by their opening time.
    pub fn due(&mut self, moment: &Moment, told: &mut Told) -> Option<Nanos> {
        self.newest = self.newest.max(moment.now);
        let mut ask = None;
        if self.connected.is_some() {
            if self.open.is_none() && moment.venue > Nanos(0) {
                self.begin(Series::MINUTE.open_time(moment.venue));
            }
            while let Some(minute) = &self.open {
                let end = minute.kline.end();
                let waits = moment.held && moment.now.0 < end.0 + HELD_GRACE_NS;
                if !moment.is_past(end) || waits {
                    break;
                }
                let present = moment.venue.max(Nanos(moment.now.0 - RECEIVE_GRACE_NS));
                if present.0 - end.0 > JUMP_MAX * MINUTE.0 {
                    self.jump(Series::MINUTE.open_time(present), told);
                    break;
                }
                self.end_open(moment.now, told);
            }
        }
        if let Some(ended) = &mut self.ended {
            let waited = moment.now.0 - ended.since.0;
            if waited >= PATIENCE_NS && (ended.minute.is_whole() || self.trusting) || waited >= ANSWER_NS {
                self.give_up_ended(told);
            } else if waited >= PATIENCE_NS && !ended.asked {
                ended.asked = true;
                ask = Some(ended.minute.kline.open_time);
            }
        }
        ask
    }

    /// When [`Candles::due`] has something to do next, if nothing comes in between.
    pub fn next_due(&self) -> Due {
        let open = self.open.as_ref().map_or(Due::by_venue(Nanos(1)), |minute| Due::past(minute.kline.end()));
        let open = if self.connected.is_some() { open } else { Due::NEVER };
        let ended = self.ended.as_ref().map_or(Due::NEVER, |ended| {
            let is_told = ended.minute.is_whole() || self.trusting;
            Due::at(Nanos(ended.since.0 + if ended.asked && !is_told { ANSWER_NS } else { PATIENCE_NS }))
        });
        open.or(ended)
    }

    /// Everything that candles in the making are made of.
    pub fn edition(&self) -> Edition {
        let seen = |minute: &Minute| (minute.kline, minute.is_whole());
        Edition {
            open: self.open.as_ref().map(seen),
            ended: self.ended.as_ref().map(|ended| seen(&ended.minute)),
            carry: self.carry,
            trusting: self.trusting,
            revision: self.revision,
        }
    }

    /// The candle of `series` in the making, if all of it is known and it has not ended at `now`.
    pub fn current(&self, series: Series, now: Nanos) -> Option<Kline> {
        let open = self.open.as_ref()?;
        let mut kline = if series == Series::MINUTE {
            if !(open.is_whole() || self.trusting) {
                return None;
            }
            open.kline
        } else {
            let (mut kline, whole) = self.sums.get(series)?;
            let mut known = whole && open.is_whole();
            if let Some(ended) = &self.ended {
                if ended.minute.kline.end() == kline.end() {
                    return None;
                }
                known &= ended.minute.is_whole();
                kline.absorb(&ended.minute.kline);
            }
            if !(known || self.trusting) {
                return None;
            }
            kline.absorb(&open.kline);
            kline
        };
        if now >= kline.end() {
            return None;
        }
        self.carry_into(&mut kline)?;
        Some(kline)
    }

    /// The price of the last trade, where any is known.
    pub fn last_price(&self) -> Option<Price> {
        let open = self.open.iter().chain(self.ended.as_ref().map(|ended| &ended.minute));
        open.map(|minute| &minute.kline).find(|kline| kline.trades > 0).map(|kline| kline.close).or(self.carry)
    }

    /// The minute that has ended and for which the venue's row is awaited.
    pub fn awaited(&self) -> Option<Nanos> {
        self.ended.as_ref().map(|ended| ended.minute.kline.open_time)
    }

    /// The first trade of the live stream, since it continued last.
    pub fn first_live_id(&self) -> Option<i64> {
        self.tape.first_id
    }

    /// When the minute in the making opens.
    pub fn open_time(&self) -> Option<Nanos> {
        self.open.as_ref().map(|minute| minute.kline.open_time)
    }

    /// Rises whenever closed minutes change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Trades that came after the end of their minute, since the last call.
    pub fn take_late(&mut self) -> u64 {
        std::mem::take(&mut self.late)
    }

    /// The opening time of the first candle of a series that ended without being known, since the last call.
    pub fn take_lacking(&mut self, series: Series) -> Option<Nanos> {
        self.sums.take_lacking(series)
    }

    fn carry_into(&self, kline: &mut Kline) -> Option<()> {
        if kline.trades == 0 {
            let price = self.last_price()?;
            (kline.open, kline.high, kline.low, kline.close) = (price, price, price, price);
        }
        Some(())
    }

    fn begin(&mut self, open: Nanos) {
        let seen = self.connected.is_some_and(|since| open.0 >= since.0 + RECEIVE_GRACE_NS);
        let mut minute = Minute::new(open, seen);
        minute.doubtful = self.connected.is_none();
        self.open = Some(minute);
        self.sums.reach(open);
    }

    /// Begins the minute behind another: while the line is up, one behind a whole one is whole.
    fn begin_after(&mut self, was_whole: bool, open: Nanos) {
        self.begin(open);
        if let Some(minute) = &mut self.open {
            minute.whole |= was_whole;
        }
    }

    /// A trade or push of the minute that opens at `open` is here: those before it have ended.
    fn advance(&mut self, open: Nanos, received: Nanos, told: &mut Told) {
        let Some(minute) = &self.open else { return self.begin(open) };
        if open.0 - minute.kline.open_time.0 > JUMP_MAX * MINUTE.0 {
            return self.jump(open, told);
        }
        while self.open.as_ref().is_some_and(|minute| minute.kline.open_time < open) {
            self.end_open(received, told);
        }
    }

    fn end_open(&mut self, now: Nanos, told: &mut Told) {
        let Some(minute) = self.open.take() else { return };
        self.give_up_ended(told);
        let (end, was_whole) = (minute.kline.end(), minute.is_whole());
        if !self.venue_pushes && (minute.is_whole() || self.trusting) {
            self.close(minute.kline, true, told);
        } else {
            self.ended = Some(Ended { minute, since: now, asked: false });
        }
        self.begin_after(was_whole, end);
        let doubtful = self.ended.as_ref().is_some_and(|ended| ended.minute.doubtful);
        if let Some(open) = self.open.as_mut().filter(|open| !open.whole && doubtful) {
            // It may have been missed as well; if not, the next trade says so.
            open.whole = true;
            open.doubtful = true;
        }
    }

    /// Nobody says how the ended minute ended: it is closed as it was seen, or remains unknown.
    fn give_up_ended(&mut self, told: &mut Told) {
        let Some(Ended { minute, .. }) = self.ended.take() else { return };
        if minute.is_whole() || self.trusting {
            self.close(minute.kline, true, told);
        } else {
            self.minutes.extend_to(minute.kline.open_time);
            self.revision += 1;
            self.sums.miss(minute.kline.open_time, &mut self.hours);
        }
    }

    /// So much time has gone by that minutes are not gone through one by one.
    fn jump(&mut self, open: Nanos, told: &mut Told) {
        self.give_up_ended(told);
        if let Some(minute) = self.open.take() {
            self.minutes.extend_to(Nanos(open.0 - MINUTE.0));
            self.revision += 1;
            self.sums.jump(minute.kline.open_time, open);
        }
        self.begin(open);
        if let Some(minute) = &mut self.open {
            minute.whole = false;
        }
    }

    /// Closes a minute for good, and what ends with it.
    fn close(&mut self, mut minute: Kline, tell: bool, told: &mut Told) {
        let has_price = minute.trades > 0 || minute.close != Price(0);
        if !has_price && self.carry_into(&mut minute).is_none() {
            // Nothing was ever traded, as far as anybody knows.
            self.minutes.extend_to(minute.open_time);
            self.sums.miss(minute.open_time, &mut self.hours);
            return;
        }
        minute.closed = true;
        self.carry = Some(minute.close);
        self.counted_to = self.counted_to.max(minute.last_id);
        self.minutes.put(&minute);
        self.revision += 1;
        let Told { closed, past } = told;
        let list = if self.newest.0 - minute.end().0 > OLD_NS { past } else { closed };
        if tell {
            list.push(minute);
        }
        self.sums.add(&minute, self.trusting, &mut self.hours, list);
    }

    fn adopt_row(&mut self, row: &Kline) -> bool {
        let mut row = *row;
        row.closed = true;
        let is_closed = self.open.as_ref().is_none_or(|open| row.open_time < open.kline.open_time);
        let is_new = is_closed && self.minutes.put(&row);
        if is_new {
            self.revision += 1;
            if self.minutes.end() == Some(row.end()) || self.carry.is_none() {
                self.carry = Some(row.close);
            }
        }
        is_new
    }

    /// Adds up anew what could not be known before.
    fn recover(&mut self) {
        if let Some(open) = &self.open {
            let end = self.ended.as_ref().map_or(open, |ended| &ended.minute).kline.open_time;
            self.sums.recover(end, &self.minutes, &self.hours, self.nothing_before);
        }
    }
}

/// A day and the minute that rolling windows begin with, the one before for its price, and some air.
const MINUTES_KEPT: usize = (DAY.0 / MINUTE.0) as usize + 5;

/// The longest month in either zone.
const HOURS_KEPT: usize = 32 * 24;

/// Trades behind a hole are waited for so long.
const HELD_GRACE_NS: i64 = 5_000_000_000;

/// So long is waited for the venue's own close.
const PATIENCE_NS: i64 = 3_000_000_000;

/// And so long for a fetched row.
const ANSWER_NS: i64 = 20_000_000_000;

/// More minutes at once are not gone through one by one.
const JUMP_MAX: i64 = 60;

/// What ended earlier is no news for streams.
const OLD_NS: i64 = 120_000_000_000;
