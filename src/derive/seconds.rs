//! Candles of a second from trades, each told once, just after it has ended.

use super::{
    candles::count,
    moment::{Due, Moment},
};
use crate::market::{AggTrade, Decimals, Kline, Nanos, Price, Series};

/// The candles of a second of one instrument.
#[derive(Debug, Default)]
pub struct Seconds {
    open: Option<Kline>,
    whole: bool,
    last_id: Option<i64>,
    carry: Option<Price>,
    doubt: Doubt,
    lacking: Option<Nanos>,
    /// The end of the last second that was told.
    told_to: Nanos,
    late: u64,
}

/// Whether what comes next may not continue what came last. The next trade tells; until then nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Doubt {
    /// Nobody has interrupted anything.
    #[default]
    None,
    /// The line is down.
    Down,
    /// It is up again since the venue's clock stood there: as long as it does, the venue has not said when it goes on.
    Back(Nanos),
    /// The venue's first word since then was of this time.
    Speaks(Nanos),
}

impl Seconds {
    /// No line is up any more: nothing is told until one is.
    pub fn disconnected(&mut self) {
        self.doubt = Doubt::Down;
    }

    /// A line is up again, at that moment of the venue's clock. If the next trade continues the last one, nothing was missed,
    /// and the seconds in between are told behind time; else, or if none comes for a while, they lack.
    pub fn connected(&mut self, venue: Nanos) {
        if self.doubt != Doubt::None {
            self.doubt = Doubt::Back(venue);
        }
    }

    /// Counts the next trade, in the order of ids. A second that was told before its last trade came is lacking: what was
    /// told stays, and history gets the venue's own.
    pub fn trade(&mut self, trade: &AggTrade, decimals: Decimals, closed: &mut Vec<Kline>) {
        let continues = self.last_id.is_none_or(|last| trade.first_id == last + 1);
        self.last_id = Some(trade.last_id);
        self.doubt = Doubt::None;
        let open = Series::SECOND.open_time(trade.time);
        if !continues {
            self.miss_to(open);
        }
        if open < self.open.map_or(self.told_to, |kline| kline.open_time) {
            self.late += 1;
            self.lacking = Some(self.lacking.map_or(open, |lacking| lacking.min(open)));
        }
        self.close_to(open, closed);
        if let Some(kline) = self.open.as_mut().filter(|kline| kline.open_time == open) {
            count(kline, trade, decimals);
            self.carry = Some(trade.price);
        }
    }

    /// Closes what has ended by the clock.
    pub fn due(&mut self, moment: &Moment, closed: &mut Vec<Kline>) {
        match self.doubt {
            Doubt::None => {}
            Doubt::Back(venue) if moment.venue > venue => self.doubt = Doubt::Speaks(moment.venue),
            Doubt::Speaks(since) if !moment.held && moment.venue.0 >= since.0 + DOUBT_NS => {
                self.doubt = Doubt::None;
                self.miss_to(Series::SECOND.open_time(moment.venue));
            }
            Doubt::Down | Doubt::Back(_) | Doubt::Speaks(_) => {}
        }
        let Some(kline) = &self.open else {
            if self.doubt == Doubt::None && moment.venue > Nanos(0) {
                self.close_to(Series::SECOND.open_time(moment.venue), closed);
            }
            return;
        };
        if moment.held || self.doubt != Doubt::None || !moment.is_past(kline.end()) {
            return;
        }
        let mut end = kline.end();
        while moment.is_past(Series::SECOND.next_open(end)) && end.0 - kline.open_time.0 < BEHIND_MAX_NS {
            end = Series::SECOND.next_open(end);
        }
        self.close_to(end, closed);
    }

    /// When [`Seconds::due`] has something to do next, if nothing comes in between.
    pub fn next_due(&self) -> Due {
        match self.doubt {
            Doubt::None => self.open.map_or(Due::by_venue(Nanos(1)), |kline| Due::past(kline.end())),
            Doubt::Down => Due::NEVER,
            Doubt::Back(venue) => Due::by_venue(Nanos(venue.0 + 1)),
            Doubt::Speaks(since) => Due::by_venue(Nanos(since.0 + DOUBT_NS)),
        }
    }

    /// The venue told a second itself: those between the last one and this were lost on the way.
    pub fn passed(&mut self, row: &Kline) {
        if let Some(open) = self.open.filter(|open| open.open_time < row.open_time) {
            self.lacking.get_or_insert(open.open_time);
        }
        self.open = Some(Kline::empty(Series::SECOND, row.end(), Price(0)));
        self.whole = false;
    }

    /// History is fetched up to `open`; if no second is in the making yet, those from there to the first one lack.
    pub fn fetched_to(&mut self, open: Nanos) {
        if self.open.is_none() {
            self.lacking.get_or_insert(open);
        }
    }

    /// The opening time of the first second that was not told, since the last call. What lacks ends before
    /// [`Seconds::open_time`].
    pub fn take_lacking(&mut self) -> Option<Nanos> {
        let open = self.open_time()?;
        self.lacking.take_if(|from| *from < open)
    }

    /// How many trades came after their second had been told, since the last call.
    pub fn take_late(&mut self) -> u64 {
        std::mem::take(&mut self.late)
    }

    /// When the second in the making opens.
    pub fn open_time(&self) -> Option<Nanos> {
        self.open.map(|kline| kline.open_time)
    }

    /// Trades were lost: nobody knows what the seconds before `open` held, nor all of what that one does.
    fn miss_to(&mut self, open: Nanos) {
        self.whole = false;
        if let Some(kline) = self.open.take_if(|kline| kline.open_time < open) {
            self.lacking.get_or_insert(kline.open_time);
            self.open = Some(Kline::empty(Series::SECOND, open, Price(0)));
        }
    }

    /// Closes all before the second that opens at `open`, which is opened; after a long time only that.
    fn close_to(&mut self, open: Nanos, closed: &mut Vec<Kline>) {
        let Some(mut kline) = self.open else {
            self.open = Some(Kline::empty(Series::SECOND, open.max(self.told_to), Price(0)));
            self.whole = false;
            return;
        };
        if open.0 - kline.open_time.0 > BEHIND_MAX_NS {
            self.lacking.get_or_insert(kline.open_time);
            self.open = Some(Kline::empty(Series::SECOND, open, Price(0)));
            self.whole = false;
            return;
        }
        while kline.open_time < open {
            let next = Kline::empty(Series::SECOND, kline.end(), Price(0));
            match self.carry.filter(|_| self.whole) {
                Some(price) => {
                    if kline.trades == 0 {
                        (kline.open, kline.high, kline.low, kline.close) = (price, price, price, price);
                    }
                    kline.closed = true;
                    self.told_to = kline.end();
                    closed.push(kline);
                }
                None => {
                    self.lacking.get_or_insert(kline.open_time);
                }
            }
            kline = next;
            self.whole = true;
        }
        self.open = Some(kline);
    }
}

/// Empty seconds in a row are told one by one up to so many; beyond that the line was down or the program asleep.
const BEHIND_MAX_NS: i64 = 10_000_000_000;

/// After an interruption the next trade is waited for so long by the venue's clock, then the instrument is a quiet one.
const DOUBT_NS: i64 = 5_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const fn second(number: i64) -> Nanos {
        Nanos(number * 1_000_000_000)
    }

    fn trade(id: i64, at: i64) -> AggTrade {
        let (price, quantity) = (Price(1), crate::market::Quantity(1));
        AggTrade { id, price, quantity, first_id: id, last_id: id, time: second(at), buyer_is_maker: false }
    }

    #[test]
    fn what_lacks_is_told_when_its_end_is_known() {
        let (mut seconds, mut closed) = (Seconds::default(), Vec::new());
        seconds.trade(&trade(1, 5), Decimals::EIGHT, &mut closed);
        assert_eq!(seconds.take_lacking(), None, "the second that was met half-way still goes on");
        seconds.trade(&trade(2, 7), Decimals::EIGHT, &mut closed);
        assert_eq!((seconds.take_lacking(), seconds.open_time()), (Some(second(5)), Some(second(7))));
        assert_eq!(closed.len(), 1, "the empty one behind it is known");
        seconds.disconnected();
        seconds.connected(second(7));
        assert_eq!(seconds.take_lacking(), None);
        seconds.trade(&trade(9, 12), Decimals::EIGHT, &mut closed);
        assert_eq!((seconds.take_lacking(), seconds.open_time()), (Some(second(7)), Some(second(12))));
        assert_eq!(seconds.take_lacking(), None);
        seconds.trade(&trade(10, 10), Decimals::EIGHT, &mut closed);
        assert_eq!(seconds.take_lacking(), Some(second(10)), "a late trade");
        assert_eq!(seconds.take_late(), 1);
    }

    #[test]
    fn seconds_that_the_venue_told_leave_no_hole_unnoticed() {
        let mut seconds = Seconds::default();
        let row = |at: i64| Kline::empty(Series::SECOND, second(at), Price(1));
        seconds.passed(&row(3));
        seconds.passed(&row(4));
        assert_eq!(seconds.take_lacking(), None);
        seconds.passed(&row(7));
        assert_eq!((seconds.take_lacking(), seconds.open_time()), (Some(second(5)), Some(second(8))));
    }

    #[test]
    fn no_second_is_told_again_after_a_reconnect() {
        let (mut seconds, mut closed) = (Seconds::default(), Vec::new());
        let moment = |now: i64, venue: i64| Moment { now: second(now), venue: second(venue), held: false };
        seconds.trade(&trade(1, 5), Decimals::EIGHT, &mut closed);
        seconds.trade(&trade(2, 7), Decimals::EIGHT, &mut closed);
        seconds.due(&moment(12, 7), &mut closed);
        let told: Vec<_> = closed.drain(..).map(|kline| kline.open_time).collect();
        assert_eq!((told, seconds.take_lacking()), (vec![second(6), second(7), second(8), second(9)], Some(second(5))));
        seconds.disconnected();
        seconds.connected(second(7));
        // The venue has not said a word since: nobody knows what happened meanwhile, and its clock is an old one.
        for now in 13..30 {
            seconds.due(&moment(now, 7), &mut closed);
        }
        assert_eq!(closed, []);
        // It speaks, but nothing is traded: after a while what was in between is given up.
        for now in 30..35 {
            seconds.due(&moment(now, now), &mut closed);
        }
        assert_eq!((&closed[..], seconds.take_lacking()), (&[][..], None));
        seconds.due(&moment(35, 35), &mut closed);
        seconds.due(&moment(38, 38), &mut closed);
        assert_eq!(closed.iter().map(|kline| kline.open_time).collect::<Vec<_>>(), [second(36)]);
        assert_eq!(seconds.take_lacking(), Some(second(10)));
    }

    #[test]
    fn an_interruption_that_cost_no_trade_costs_no_second() {
        let (mut seconds, mut closed) = (Seconds::default(), Vec::new());
        seconds.trade(&trade(1, 5), Decimals::EIGHT, &mut closed);
        seconds.trade(&trade(2, 6), Decimals::EIGHT, &mut closed);
        seconds.disconnected();
        seconds.due(&Moment { now: second(9), venue: second(6), held: false }, &mut closed);
        seconds.connected(second(6));
        seconds.due(&Moment { now: second(10), venue: second(10), held: true }, &mut closed);
        assert_eq!(closed, []);
        // What was lost with the line is fetched, and comes in order before what is live.
        seconds.trade(&trade(3, 6), Decimals::EIGHT, &mut closed);
        seconds.trade(&trade(4, 8), Decimals::EIGHT, &mut closed);
        seconds.trade(&trade(5, 10), Decimals::EIGHT, &mut closed);
        let told: Vec<_> = closed.iter().map(|kline| (kline.open_time, kline.trades)).collect();
        assert_eq!(told, [(second(6), 2), (second(7), 0), (second(8), 1), (second(9), 0)]);
        assert_eq!((seconds.take_lacking(), seconds.take_late()), (Some(second(5)), 0));
    }

    #[test]
    fn seconds_in_which_trades_may_have_been_lost_are_not_told() {
        let (mut seconds, mut closed) = (Seconds::default(), Vec::new());
        seconds.trade(&trade(1, 5), Decimals::EIGHT, &mut closed);
        seconds.trade(&trade(2, 6), Decimals::EIGHT, &mut closed);
        seconds.trade(&trade(7, 9), Decimals::EIGHT, &mut closed);
        seconds.trade(&trade(8, 11), Decimals::EIGHT, &mut closed);
        let told: Vec<_> = closed.iter().map(|kline| kline.open_time).collect();
        assert_eq!(told, [second(10)], "nobody knows what the lost ones were part of");
        assert_eq!(seconds.take_lacking(), Some(second(5)));
    }
}
