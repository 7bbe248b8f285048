//! Typed update to SBE messages of Binance's stream schema 1:0 (binance.md section 9).
//!
//! Little-endian, packed, nothing but what the schema has: header, fixed block, groups, the symbol last. Mantissas are the
//! integers that JSON prints with a point, so both say the same to the last digit.

use crate::{
    market::{Best, Decimals, Instrument, Level, Trade},
    topic::{Batch, Payload, Update},
};

/// The most levels that a group of a book can hold: its count has 16 bits.
pub const LEVELS_MAX: usize = u16::MAX as usize;

/// Hands each message that `update` is in SBE to `send`, made in `buffer`; mostly one.
///
/// A diff with more than [`LEVELS_MAX`] levels on a side is cut into several, whose ranges of ids follow each other: after
/// the last one the book is right. What SBE has no message for sends nothing. A partial depth is cut to 20 levels.
pub fn each_message(
    update: &Update,
    batch: &Batch,
    instrument: &Instrument,
    buffer: &mut Vec<u8>,
    mut send: impl FnMut(&[u8]),
) {
    buffer.clear();
    let mut message = Message {
        out: buffer,
        time: update.time.micros(),
        decimals: instrument.decimals(),
        symbol: &instrument.symbol,
    };
    match update.payload {
        Payload::Trade(trade) => message.trade(&trade),
        Payload::BookTicker(best) => message.best_bid_ask(&best),
        Payload::PartialDepth { last_id, bids, asks, .. } => {
            let cut = |side: &'_ [Level]| side.len().min(PARTIAL_LEVELS);
            let (bids, asks) = (bids.of(&batch.levels), asks.of(&batch.levels));
            message.depth_snapshot(last_id, &bids[..cut(bids)], &asks[..cut(asks)]);
        }
        Payload::DepthDiff { first_id, last_id, bids, asks, .. } => {
            let (bids, asks) = (bids.of(&batch.levels), asks.of(&batch.levels));
            let count = bids.len().max(asks.len()).div_ceil(LEVELS_MAX).max(1);
            for part in 0..count - 1 {
                // Each early part takes one id; should there be fewer ids than parts, the last id is said again.
                let id = (first_id + part as i64).min(last_id);
                message.depth_diff(id, id, nth_part(bids, part), nth_part(asks, part));
                send(message.out);
                message.out.clear();
            }
            let rest = (first_id + count as i64 - 1).min(last_id);
            message.depth_diff(rest, last_id, nth_part(bids, count - 1), nth_part(asks, count - 1));
        }
        _ => return,
    }
    send(buffer);
}

/// The levels of part `part`, counted from 0, of a side.
fn nth_part(side: &[Level], part: usize) -> &[Level] {
    side.chunks(LEVELS_MAX).nth(part).unwrap_or_default()
}

/// Levels per side of `depth20`.
const PARTIAL_LEVELS: usize = 20;

/// The schema: every header says it.
const SCHEMA_ID: u16 = 1;
const SCHEMA_VERSION: u16 = 0;

/// A kind of message: its number and the bytes of its fixed block, groups and symbol not counted.
#[derive(Clone, Copy)]
struct Template {
    id: u16,
    block_bytes: u16,
}

const TRADES: Template = Template { id: 10_000, block_bytes: 18 };
const BEST_BID_ASK: Template = Template { id: 10_001, block_bytes: 50 };
const DEPTH_SNAPSHOT: Template = Template { id: 10_002, block_bytes: 18 };
const DEPTH_DIFF: Template = Template { id: 10_003, block_bytes: 26 };

/// Bytes of one trade in its group. `isBestMatch` is a constant of the schema and takes none.
const TRADE_BYTES: u16 = 25;
/// Bytes of one level in its group.
const LEVEL_BYTES: u16 = 16;

/// A message in the making: each method reads from top to bottom as the bytes that it makes.
struct Message<'a> {
    out: &'a mut Vec<u8>,
    /// The event time in microseconds.
    time: i64,
    decimals: Decimals,
    symbol: &'a str,
}

impl Message<'_> {
    /// One trade per message, which is always legal.
    fn trade(&mut self, trade: &Trade) {
        self.begin(TRADES);
        self.integer(self.time);
        self.integer(trade.time.micros());
        self.exponents();
        self.short(TRADE_BYTES);
        self.out.extend_from_slice(&1_u32.to_le_bytes());
        self.integer(trade.id);
        self.integer(trade.price.0);
        self.integer(trade.quantity.0);
        self.out.push(u8::from(trade.buyer_is_maker));
        self.end();
    }

    fn best_bid_ask(&mut self, best: &Best) {
        self.begin(BEST_BID_ASK);
        self.integer(self.time);
        self.integer(best.update_id);
        self.exponents();
        self.level(best.bid);
        self.level(best.ask);
        self.end();
    }

    fn depth_snapshot(&mut self, last_id: i64, bids: &[Level], asks: &[Level]) {
        self.begin(DEPTH_SNAPSHOT);
        self.integer(self.time);
        self.integer(last_id);
        self.exponents();
        self.levels(bids);
        self.levels(asks);
        self.end();
    }

    fn depth_diff(&mut self, first_id: i64, last_id: i64, bids: &[Level], asks: &[Level]) {
        self.begin(DEPTH_DIFF);
        self.integer(self.time);
        self.integer(first_id);
        self.integer(last_id);
        self.exponents();
        self.levels(bids);
        self.levels(asks);
        self.end();
    }

    fn begin(&mut self, template: Template) {
        for part in [template.block_bytes, template.id, SCHEMA_ID, SCHEMA_VERSION] {
            self.short(part);
        }
    }

    /// Of prices, then of quantities: a mantissa times ten to this power is the number.
    fn exponents(&mut self) {
        for decimals in [self.decimals.price, self.decimals.quantity] {
            self.out.extend_from_slice(&(-(decimals as i8)).to_le_bytes());
        }
    }

    /// At most [`LEVELS_MAX`]; the head of the group is there even if it is empty.
    fn levels(&mut self, side: &[Level]) {
        self.short(LEVEL_BYTES);
        self.short(u16::try_from(side.len()).expect("a diff is cut into parts that fit"));
        self.out.reserve(side.len() * usize::from(LEVEL_BYTES));
        for level in side {
            self.level(*level);
        }
    }

    fn level(&mut self, level: Level) {
        self.integer(level.price.0);
        self.integer(level.quantity.0);
    }

    /// The symbol closes every message. Its length has 8 bits; a name of more bytes (none is near it, binance.md section 2)
    /// would be cut.
    fn end(&mut self) {
        let bytes = self.symbol.len().min(usize::from(u8::MAX));
        self.out.push(bytes as u8);
        self.out.extend_from_slice(&self.symbol.as_bytes()[..bytes]);
    }

    fn integer(&mut self, value: i64) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    fn short(&mut self, value: u16) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests;
