//! Our own diffs, read back from their frames and made one.
//!
//! Only slow sessions ever need it, so nothing is kept for it: the text of a level is the level, and equal prices of one
//! instrument have equal text.

use std::cmp::Reverse;

use crate::encode::frame::{self, Opcode};

/// A frame of a diff in its parts, levels not yet read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Diff<'a> {
    encoding: Encoding,
    /// The first id that it covers.
    pub(super) first_id: i64,
    /// The last one.
    pub(super) last_id: i64,
    /// All before the first id: the wrapper, the event time, the symbol.
    head: &'a [u8],
    first: &'a [u8],
    /// From there to the levels: the last id.
    middle: &'a [u8],
    /// The levels, and what is behind them.
    sides: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Json,
    Sbe,
}

impl<'a> Diff<'a> {
    /// Reads the frame; `None` if it is not one frame of a diff as we make them.
    pub(super) fn read(frame: &'a [u8]) -> Option<Self> {
        if frame::length(frame) != frame.len() {
            return None;
        }
        let header = match frame[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        let payload = &frame[header..];
        if frame[0] & 0xF == Opcode::Binary as u8 { Self::read_sbe(payload) } else { Self::read_json(payload) }
    }

    /// Stream names and symbols hold no quotation mark, so what is looked for is not in them.
    fn read_json(payload: &'a [u8]) -> Option<Self> {
        let (head, rest) = payload.split_at(memchr::memmem::find(payload, br#","U":"#)? + br#","U":"#.len());
        let (first, rest) = rest.split_at(memchr::memchr(b',', rest)?);
        let (middle, sides) = rest.split_at(memchr::memchr(b'[', rest)?);
        let last = middle.strip_prefix(br#","u":"#)?.strip_suffix(br#","b":"#)?;
        let id = |text| str::from_utf8(text).ok()?.parse().ok();
        let (first_id, last_id) = (id(first)?, id(last)?);
        Some(Self { encoding: Encoding::Json, first_id, last_id, head, first, middle, sides })
    }

    /// binance.md section 9: a header of 8 bytes, the event time, both ids, both exponents, the levels, the symbol.
    fn read_sbe(payload: &'a [u8]) -> Option<Self> {
        let (head, rest) = payload.split_at_checked(16)?;
        let (&first, _) = rest.split_first_chunk::<8>()?;
        let (first_text, rest) = rest.split_at(8);
        let (&last, _) = rest.split_first_chunk::<8>()?;
        let (middle, sides) = rest.split_at_checked(10)?;
        let (first_id, last_id) = (i64::from_le_bytes(first), i64::from_le_bytes(last));
        Some(Self { encoding: Encoding::Sbe, first_id, last_id, head, first: first_text, middle, sides })
    }

    fn opcode(&self) -> Opcode {
        match self.encoding {
            Encoding::Json => Opcode::Text,
            Encoding::Sbe => Opcode::Binary,
        }
    }

    /// Appends its levels to both sides and returns what is behind them.
    fn levels(&self, levels: &mut Levels<'a>) -> Option<&'a [u8]> {
        let Levels { bids, asks, places, .. } = levels;
        match self.encoding {
            Encoding::Json => {
                let rest = json_side(self.sides, bids, places)?;
                json_side(rest.strip_prefix(br#","a":"#)?, asks, places)
            }
            Encoding::Sbe => {
                // The exponents stand for the places behind the point.
                let exponent = *self.middle.get(8)?;
                if *places.get_or_insert(exponent) != exponent {
                    return None;
                }
                sbe_side(sbe_side(self.sides, bids)?, asks)
            }
        }
    }
}

/// Levels of both sides; memory that is used again.
#[derive(Debug, Default)]
pub(super) struct Levels<'a> {
    bids: Vec<Level<'a>>,
    asks: Vec<Level<'a>>,
    /// How many digits all prices have behind the point; the same mantissa is the same price only then.
    places: Option<u8>,
    payload: Vec<u8>,
}

/// A level as it stands in a frame.
#[derive(Clone, Copy, Debug)]
struct Level<'a> {
    /// The mantissa.
    price: i64,
    bytes: &'a [u8],
}

impl<'a> Levels<'a> {
    /// Appends to `out` the frame of the one diff that does what `diffs` do one after the other: from the first id of the
    /// first to the last id of the last, at the time of the last, of each price the last quantity.
    ///
    /// It is shorter than they are together. `false`, and nothing is appended: they cannot be one.
    pub(super) fn merge(&mut self, diffs: impl Iterator<Item = Diff<'a>>, out: &mut Vec<u8>) -> bool {
        self.bids.clear();
        self.asks.clear();
        self.places = None;
        let mut ends: Option<(Diff<'_>, Diff<'_>, &[u8])> = None;
        for diff in diffs {
            let Some(tail) = diff.levels(self) else { return false };
            let first = ends.map_or(diff, |(first, ..)| first);
            ends = Some((first, diff, tail));
        }
        let Some((first, last, tail)) = ends else { return false };
        // Stable, so that of each price the newest level is the last; mostly it is merging runs that are sorted.
        self.bids.sort_by_key(|level| Reverse(level.price));
        self.asks.sort_by_key(|level| level.price);
        self.payload.clear();
        self.payload.extend_from_slice(last.head);
        self.payload.extend_from_slice(first.first);
        self.payload.extend_from_slice(last.middle);
        match last.encoding {
            Encoding::Json => {
                write_json_side(&mut self.bids, &mut self.payload);
                self.payload.extend_from_slice(br#","a":"#);
                write_json_side(&mut self.asks, &mut self.payload);
            }
            Encoding::Sbe => {
                if !write_sbe_side(&mut self.bids, &mut self.payload)
                    || !write_sbe_side(&mut self.asks, &mut self.payload)
                {
                    return false;
                }
            }
        }
        self.payload.extend_from_slice(tail);
        frame::frame(out, last.opcode(), &self.payload);
        true
    }
}

/// Leaves of each price the last level.
fn keep_newest(side: &mut Vec<Level<'_>>) {
    side.dedup_by(|later, kept| {
        let is_same = later.price == kept.price;
        if is_same {
            *kept = *later;
        }
        is_same
    });
}

/// Reads `[["price","quantity"],...]` and returns what is behind it.
fn json_side<'a>(text: &'a [u8], side: &mut Vec<Level<'a>>, places: &mut Option<u8>) -> Option<&'a [u8]> {
    let mut rest = text.strip_prefix(b"[")?;
    if let Some(behind) = rest.strip_prefix(b"]") {
        return Some(behind);
    }
    loop {
        let (price, digits, price_length) = mantissa(rest.strip_prefix(b"[\"")?)?;
        if *places.get_or_insert(digits) != digits {
            return None;
        }
        let quantity_from = 2 + price_length + 3;
        let quantity_length = rest.get(quantity_from..)?.iter().position(|&byte| byte == b'"')?;
        let (bytes, behind) = rest.split_at_checked(quantity_from + quantity_length + 2)?;
        side.push(Level { price, bytes });
        match behind.split_first()? {
            (b',', next) => rest = next,
            (b']', behind) => return Some(behind),
            _ => return None,
        }
    }
}

/// The scaled integer whose text ends at a quotation mark, its digits behind the point, and the length of the text.
fn mantissa(text: &[u8]) -> Option<(i64, u8, usize)> {
    let is_negative = text.first() == Some(&b'-');
    let mut value = 0_i64;
    let mut point = None;
    for (at, &byte) in text.iter().enumerate().skip(usize::from(is_negative)) {
        match byte {
            // It was printed from one of 64 bits, the lowest of which wraps to itself.
            b'0'..=b'9' => value = value.wrapping_mul(10).wrapping_add(i64::from(byte - b'0')),
            b'.' => point = Some(at),
            b'"' => {
                let digits = point.map_or(0, |point| at - point - 1);
                return Some((if is_negative { value.wrapping_neg() } else { value }, digits as u8, at));
            }
            _ => return None,
        }
    }
    None
}

fn write_json_side(side: &mut Vec<Level<'_>>, out: &mut Vec<u8>) {
    keep_newest(side);
    out.push(b'[');
    for (index, level) in side.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(level.bytes);
    }
    out.push(b']');
}

/// Bytes of a level in a group: price and quantity.
const SBE_LEVEL_BYTES: usize = 16;

/// Reads a group of levels and returns what is behind it.
fn sbe_side<'a>(group: &'a [u8], side: &mut Vec<Level<'a>>) -> Option<&'a [u8]> {
    let (head, rest) = group.split_first_chunk::<4>()?;
    let count = usize::from(u16::from_le_bytes([head[2], head[3]]));
    let (levels, behind) = rest.split_at_checked(count * SBE_LEVEL_BYTES)?;
    side.extend(levels.chunks_exact(SBE_LEVEL_BYTES).filter_map(|bytes| {
        let (&price, _) = bytes.split_first_chunk::<8>()?;
        Some(Level { price: i64::from_le_bytes(price), bytes })
    }));
    Some(behind)
}

/// `false`: they are more than a group can hold.
fn write_sbe_side(side: &mut Vec<Level<'_>>, out: &mut Vec<u8>) -> bool {
    keep_newest(side);
    let Ok(count) = u16::try_from(side.len()) else { return false };
    out.extend_from_slice(&(SBE_LEVEL_BYTES as u16).to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    side.iter().for_each(|level| out.extend_from_slice(level.bytes));
    true
}
