//! Our own format, byte by byte: a header, then blocks of compressed records.
//!
//! ```text
//! file   = "TICKCAST" version:u32 block*
//! block  = compressed:u32 raw:u32 crc32(payload):u32 payload      payload is zstd, `compressed` bytes long
//! record = time:i64 connection:u32 kind:u8 [status:u16] url_len:u32 url bytes_len:u32 bytes
//! ```
//!
//! Integers are little-endian; `status` is there for responses only. A block is complete or it is nothing.

use std::sync::Arc;

use bytes::Bytes;

use super::{Kind, Record};
use crate::market::Nanos;

/// How every file begins.
pub(super) const MAGIC: &[u8; 8] = b"TICKCAST";
/// The version of all the rest.
pub(super) const VERSION: u32 = 1;
/// Bytes of magic and version.
pub(super) const FILE_HEADER: usize = 12;
/// Bytes before a block's payload.
pub(super) const BLOCK_HEADER: usize = 12;
/// No block holds more than this raw; a header that says so is damage. One record may fill a block of its own.
pub(super) const BLOCK_RAW_MAX: usize = 256 << 20;

/// The sizes and the checksum in front of a payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockHeader {
    pub(super) compressed: u32,
    pub(super) raw: u32,
    pub(super) crc: u32,
}

impl BlockHeader {
    pub(super) fn to_bytes(self) -> [u8; BLOCK_HEADER] {
        let mut bytes = [0; BLOCK_HEADER];
        for (slot, value) in bytes.chunks_exact_mut(4).zip([self.compressed, self.raw, self.crc]) {
            slot.copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    /// `None` if no block begins like that.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Cursor(bytes);
        let header = Self { compressed: bytes.u32()?, raw: bytes.u32()?, crc: bytes.u32()? };
        let fits = |size: u32| size > 0 && size as usize <= BLOCK_RAW_MAX + BLOCK_RAW_MAX / 128;
        (fits(header.compressed) && fits(header.raw)).then_some(header)
    }

    /// The records of the payload; `None` if it is damaged.
    pub(super) fn unpack(self, payload: &[u8]) -> Option<Bytes> {
        if crc32fast::hash(payload) != self.crc {
            return None;
        }
        let raw = zstd::bulk::decompress(payload, self.raw as usize).ok()?;
        (raw.len() == self.raw as usize).then(|| raw.into())
    }
}

/// Appends a record to the raw bytes of a block.
pub(super) fn encode(record: &Record, out: &mut Vec<u8>) {
    let (kind, url, status): (u8, &str, Option<u16>) = match &record.kind {
        Kind::Opened { url } => (0, url, None),
        Kind::Sent => (1, "", None),
        Kind::Received => (2, "", None),
        Kind::Response { url, status } => (3, url, Some(*status)),
        Kind::Closed => (4, "", None),
    };
    out.extend(record.time.0.to_le_bytes());
    out.extend(record.connection.to_le_bytes());
    out.push(kind);
    out.extend(status.map(u16::to_le_bytes).iter().flatten());
    out.extend((url.len() as u32).to_le_bytes());
    out.extend(url.as_bytes());
    out.extend((record.bytes.len() as u32).to_le_bytes());
    out.extend(&record.bytes);
}

/// Takes one record off the front of `raw`; `None` if it does not hold one, which the checksum rules out.
pub(super) fn decode(raw: &mut Bytes) -> Option<Record> {
    let whole = raw.clone();
    let mut rest = Cursor(&whole);
    let time = Nanos(i64::from_le_bytes(rest.take(8)?.try_into().ok()?));
    let connection = rest.u32()?;
    let kind = rest.take(1)?[0];
    let status = if kind == 3 { u16::from_le_bytes(rest.take(2)?.try_into().ok()?) } else { 0 };
    let url_len = rest.u32()? as usize;
    let url: Arc<str> = std::str::from_utf8(rest.take(url_len)?).ok()?.into();
    let len = rest.u32()? as usize;
    let start = whole.len() - rest.0.len();
    rest.take(len)?;
    let kind = match kind {
        0 => Kind::Opened { url },
        1 => Kind::Sent,
        2 => Kind::Received,
        3 => Kind::Response { url, status },
        4 => Kind::Closed,
        _ => return None,
    };
    *raw = whole.slice(start + len..);
    Some(Record { time, connection, kind, bytes: whole.slice(start..start + len) })
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }
}
