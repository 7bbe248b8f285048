//! Rows of candles: which there are, what stands in each, and where nothing is known.

use super::{Candles, History, Source};
use crate::market::{Kline, Nanos, Series};

/// Most stretches without any candle that one request looks behind.
const GAPS_MOST: usize = 16;

/// A candle of any zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Row {
    /// What happened, with the row's own opening time.
    pub(in super::super) kline: Kline,
    /// First instant behind it.
    pub(in super::super) end: Nanos,
}

impl<S: Source> History<'_, S> {
    /// Up to `limit` rows that open in `from..=to`: the oldest if `from` is given, else the newest.
    ///
    /// A row without a trade carries the price before it. A row of which a part is not known is left out, but for the
    /// one that is open now.
    pub(in super::super) fn rows(
        &self,
        candles: Candles,
        from: Option<Nanos>,
        to: Option<Nanos>,
        limit: usize,
    ) -> Vec<Row> {
        let sources = candles.sources();
        let Some((oldest, newest)) = self.extent(&sources) else { return Vec::new() };
        let first = candles.open_time(oldest);
        let last = self.last_open(candles, newest, &sources);
        let last = to.map_or(last, |to| last.min(candles.open_time(to)));
        match from {
            Some(from) => self.rows_from(candles, &sources, candles.first_from(from).max(first), last, limit),
            None => self.rows_until(candles, &sources, first, last, limit),
        }
    }

    /// The newest row there can be: the one of the newest candle, or an empty one behind it that is open now.
    fn last_open(&self, candles: Candles, newest: Nanos, sources: &[Series]) -> Nanos {
        let known = candles.open_time(newest);
        let next = candles.next_open(known);
        let is_open_now = candles.open_time(self.now) == next;
        if is_open_now && self.last_before(next, sources).is_some_and(|last| last.end() == next) { next } else { known }
    }

    fn rows_from(&self, candles: Candles, sources: &[Series], from: Nanos, last: Nanos, limit: usize) -> Vec<Row> {
        let (mut rows, mut at) = (Vec::new(), from);
        for _ in 0..GAPS_MOST {
            let mut end = at;
            for _ in rows.len()..limit {
                if end > last {
                    break;
                }
                end = candles.next_open(end);
            }
            if end == at {
                break;
            }
            let before = rows.len();
            self.push_rows(candles, sources, at, end, &mut rows);
            at = end;
            if rows.len() == before {
                let Some(next) = self.first_from(end, sources) else { break };
                at = candles.open_time(next.open_time).max(end);
            }
        }
        rows
    }

    fn rows_until(&self, candles: Candles, sources: &[Series], first: Nanos, last: Nanos, limit: usize) -> Vec<Row> {
        let (mut chunks, mut count, mut last) = (Vec::new(), 0, last);
        for _ in 0..GAPS_MOST {
            if count >= limit || last < first {
                break;
            }
            let mut at = last;
            for _ in count + 1..limit {
                if at <= first {
                    break;
                }
                at = candles.open_time(Nanos(at.0 - 1));
            }
            let mut rows = Vec::new();
            self.push_rows(candles, sources, at, candles.next_open(last), &mut rows);
            last = candles.open_time(Nanos(at.0 - 1));
            if rows.is_empty() {
                let Some(before) = self.last_before(at, sources) else { break };
                last = candles.open_time(before.open_time);
            }
            count += rows.len();
            chunks.push(rows);
        }
        chunks.into_iter().rev().flatten().collect()
    }

    /// Appends the rows of `from..to`, which are opening times.
    fn push_rows(&self, candles: Candles, sources: &[Series], from: Nanos, to: Nanos, rows: &mut Vec<Row>) {
        let mut parts = Vec::new();
        self.cover(from, to, sources, &mut parts);
        let mut before = match parts.first() {
            Some(first) if first.open_time == from => None,
            _ => self.last_before(from, sources),
        };
        let behind = match parts.last() {
            Some(last) if last.end() >= to => None,
            _ => self.first_from(to, sources),
        };
        let (mut open, mut rest) = (from, &parts[..]);
        while open < to {
            let end = candles.next_open(open);
            let inside;
            (inside, rest) = rest.split_at(rest.partition_point(|part| part.open_time < end));
            let is_open_now = (open..end).contains(&self.now);
            let slot =
                Slot { open, end, before: before.as_ref(), behind: rest.first().or(behind.as_ref()), is_open_now };
            rows.extend(slot.row(inside));
            before = inside.last().copied().or(before);
            open = end;
        }
    }
}

/// The place of one row, with the candles next to it.
struct Slot<'a> {
    open: Nanos,
    end: Nanos,
    before: Option<&'a Kline>,
    behind: Option<&'a Kline>,
    is_open_now: bool,
}

impl Slot<'_> {
    /// The row that `parts`, all that is known inside, make.
    fn row(&self, parts: &[Kline]) -> Option<Row> {
        if let [only] = parts
            && only.open_time == self.open
            && only.end() == self.end
        {
            return Some(Row { kline: *only, end: self.end });
        }
        if !self.is_known(parts) {
            return None;
        }
        let carried = self.before.map(|before| before.close).or_else(|| parts.first().map(|first| first.open))?;
        let mut kline = Kline::empty(Series::MINUTE, self.open, carried);
        parts.iter().for_each(|part| kline.absorb(part));
        Some(Row { kline, end: self.end })
    }

    /// Whether nothing happened where no candle is.
    fn is_known(&self, parts: &[Kline]) -> bool {
        let Some((first, last)) = parts.first().zip(parts.last()) else {
            return match (self.before, self.behind) {
                (Some(before), Some(behind)) => follows(before, behind),
                (Some(before), None) => self.is_open_now && before.end() == self.open,
                (None, _) => false,
            };
        };
        let is_begun = first.open_time == self.open || self.before.is_some_and(|before| follows(before, first));
        let is_ended = last.end() >= self.end || self.behind.is_some_and(|behind| follows(last, behind));
        let is_whole = is_begun && is_ended && parts.windows(2).all(|pair| follows(&pair[0], &pair[1]));
        is_whole || self.is_open_now
    }
}

/// Whether no trade can be missing between two candles. Ids tell; without ids nobody can.
fn follows(before: &Kline, behind: &Kline) -> bool {
    before.end() == behind.open_time
        || before.last_id < 0
        || behind.first_id < 0
        || behind.first_id == before.last_id + 1
}
