//! What is fetched: rows of REST answers, candles that were kept, trades from before the live ones.

use super::{Candles, Minute, Told, minute::count};
use crate::market::{AggTrade, Decimals, Kline, Nanos, Series};

/// Gives rows without trade ids theirs, backwards from the id of the first trade behind the last of them: ids rise by one.
/// Returns the first id inside (of the next one behind, if nothing was traded), for the rows before.
pub fn number(rows: &mut [Kline], next_id: Option<i64>) -> Option<i64> {
    let mut next_id = next_id;
    for row in rows.iter_mut().rev().filter(|row| row.trades > 0) {
        if row.first_id < 0 {
            let next = next_id?;
            (row.first_id, row.last_id) = (next - row.trades, next - 1);
        }
        next_id = Some(row.first_id);
    }
    next_id
}

impl Candles {
    /// Takes closed candles of minutes or hours, in order; others are not needed here.
    pub fn rows(&mut self, rows: &[Kline], told: &mut Told) {
        for row in rows {
            if row.series == Series::HOUR {
                self.hours.put(&Kline { closed: true, ..*row });
            } else if row.series == Series::MINUTE {
                let is_awaited = self.ended.as_ref().is_some_and(|ended| ended.minute.kline.open_time == row.open_time);
                if is_awaited {
                    self.ended = None;
                    self.close(*row, true, told);
                } else {
                    self.adopt_row(row);
                }
            }
        }
        self.recover();
    }

    /// The venue has no candles before this time: the instrument is young.
    pub fn nothing_before(&mut self, at: Nanos) {
        self.nothing_before = Some(at);
        self.revision += 1;
        self.recover();
    }

    /// The id of the first trade at or after `boundary`, at which a minute opens; `None` if that is not known.
    pub fn next_id_at(&self, boundary: Nanos) -> Option<i64> {
        let minutes_start = self.minutes.start().or(self.open_time())?;
        let mut at = boundary;
        // Trades of candles that have no ids: the ids behind them tell theirs.
        let mut unnumbered = 0;
        let mut first = |kline: &Kline| {
            if kline.trades > 0 && kline.first_id < 0 {
                unnumbered += kline.trades;
            }
            (kline.first_id >= 0).then_some(kline.first_id - unnumbered)
        };
        // Hours lead to where minutes begin.
        while at < minutes_start {
            let hour = self.hours.get(at)?;
            if let Some(id) = first(hour) {
                return Some(id);
            }
            at = hour.end();
        }
        for kline in self.minutes.since(at) {
            if let Some(id) = first(kline?) {
                return Some(id);
            }
        }
        let open = self.ended.iter().map(|ended| &ended.minute).chain(&self.open);
        for minute in open.filter(|minute| minute.kline.open_time >= at) {
            if !minute.is_whole() {
                return None;
            }
            if let Some(id) = first(&minute.kline) {
                return Some(id);
            }
        }
        self.tape.last_id.map(|last| last.max(self.counted_to) + 1 - unnumbered)
    }

    /// Takes trades from before the first live one, in the order of ids: they may hold the beginning of the minute.
    pub fn past_trades(&mut self, trades: &[AggTrade], decimals: Decimals) {
        let (Some(first), Some(last)) = (trades.first(), trades.last()) else { return };
        if self.carry.is_none() {
            self.carry = Some(last.price);
        }
        let Some(first_live) = self.tape.first_id else {
            // What is live will continue these: all of them since the minute of the last one is known.
            if self.tape.last_id.is_none() {
                self.tape.last_id = Some(last.last_id);
                self.begin_from(trades, decimals);
            }
            return;
        };
        let Some(open) = &mut self.open else { return };
        let begins_live = open.kline.first_id == first_live;
        let reaches = first.time < open.kline.open_time && last.last_id + 1 >= first_live;
        if open.whole || !begins_live || !reaches {
            return;
        }
        let mut minute = Minute::new(open.kline.open_time, true);
        let missed = trades.iter().filter(|trade| trade.last_id < first_live && minute.holds(trade.time));
        let mut kline = minute.kline;
        missed.for_each(|trade| count(&mut kline, trade, decimals));
        kline.absorb(&open.kline);
        minute.kline = kline;
        *open = minute;
    }

    /// No live trade has come yet: the minute in the making begins with the trades before.
    fn begin_from(&mut self, trades: &[AggTrade], decimals: Decimals) {
        let (Some(first), Some(last)) = (trades.first(), trades.last()) else { return };
        let open = Series::MINUTE.open_time(last.time);
        match &mut self.open {
            Some(minute) if minute.kline.open_time > open => minute.whole = true,
            Some(minute) if minute.kline.open_time < open || minute.whole => {}
            _ if first.time >= open => {}
            _ => {
                let mut minute = Minute::new(open, true);
                let inside = trades.iter().filter(|trade| trade.time >= open);
                inside.for_each(|trade| count(&mut minute.kline, trade, decimals));
                self.open = Some(minute);
                self.sums.reach(open);
            }
        }
    }
}
