//! Raw venue frames with receive times on disk: written, read again, and the foreign formats we understand.
//!
//! [`Writer`] appends [`Record`]s to a file of compressed, checksummed blocks; [`Reader`] reads such a file, or a capture in
//! one of the formats that public projects use, record by record; [`Recording`] holds several files merged by time.

mod block;
mod foreign;
mod kraken_sdk;
mod plain;
mod reader;
mod summary;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::Reader;
pub use summary::{Summary, stream_of};
pub use writer::Writer;

use std::{io, path::Path, sync::Arc};

use bytes::Bytes;
use thiserror::Error;

use crate::market::Nanos;

/// One thing that passed between us and a venue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When, on our clock.
    pub time: Nanos,
    /// Over which connection; REST has a number of its own.
    pub connection: u32,
    /// What it was.
    pub kind: Kind,
    /// The payload as it was on the wire, after decompression by the transport; empty for `Opened` and `Closed`.
    pub bytes: Bytes,
}

/// What a [`Record`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A connection was opened.
    Opened {
        /// Where to.
        url: Arc<str>,
    },
    /// We sent a message.
    Sent,
    /// We received a message.
    Received,
    /// We received the answer to a REST request.
    Response {
        /// What was asked for.
        url: Arc<str>,
        /// The HTTP status.
        status: u16,
    },
    /// A connection was closed.
    Closed,
}

/// Why a recording cannot be read or written.
#[derive(Debug, Error)]
pub enum Error {
    /// The file system said no.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: String,
        /// What it said.
        source: io::Error,
    },
    /// The file is none of the formats that we understand.
    #[error("not a recording: {path}: {reason}")]
    NotARecording {
        /// Which file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The file is of a known format, but broken at one place.
    #[error("{path}: {place}: {reason}")]
    Broken {
        /// Which file.
        path: String,
        /// Line or byte.
        place: String,
        /// What is wrong there.
        reason: String,
    },
    /// More than may be held in memory.
    #[error("{path}: more than {limit} bytes of records; replay a part of it")]
    TooLarge {
        /// Which file.
        path: String,
        /// The limit in bytes.
        limit: usize,
    },
}

/// Bytes of records that a [`Recording`] holds at most.
pub const RECORDING_BYTES_MAX: usize = 4 << 30;

/// One or more files as one recording in memory, merged by time; the order within each file is kept.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    records: Vec<Record>,
    torn_bytes: u64,
}

impl Recording {
    /// Reads `paths`. Connections of different files get different numbers.
    ///
    /// # Errors
    /// If a file cannot be read, is no recording, or is broken in its middle; a torn end is none (see
    /// [`Recording::torn_bytes`]).
    pub fn open(paths: &[impl AsRef<Path>]) -> Result<Self, Error> {
        let mut recording = Self::default();
        let mut size = 0_usize;
        let mut first_connection = 0_u32;
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            let mut reader = Reader::open(path)?;
            let mut records = Vec::new();
            let mut next_connection = first_connection;
            for record in reader.by_ref() {
                let mut record = record?;
                size += record.bytes.len() + size_of::<Record>();
                if size > RECORDING_BYTES_MAX {
                    let path = path.as_ref().display().to_string();
                    return Err(Error::TooLarge { path, limit: RECORDING_BYTES_MAX });
                }
                record.connection = first_connection.saturating_add(record.connection);
                next_connection = next_connection.max(record.connection.saturating_add(1));
                records.push(record);
            }
            first_connection = next_connection;
            recording.torn_bytes += reader.torn_bytes();
            files.push(records);
        }
        recording.records = merge(files);
        Ok(recording)
    }

    /// A recording of these records, which are in order.
    pub fn from_records(records: Vec<Record>) -> Self {
        Self { records, torn_bytes: 0 }
    }

    /// What was recorded, in order.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Bytes at the ends of the files that were left out because a writer had died in the middle of them.
    pub const fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    /// What is in it.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for record in &self.records {
            summary.count(record);
        }
        summary
    }
}

/// Takes the earliest head among `files` until all are empty; the first file wins a tie.
fn merge(mut files: Vec<Vec<Record>>) -> Vec<Record> {
    if files.len() == 1 {
        return files.pop().unwrap_or_default();
    }
    let mut merged = Vec::with_capacity(files.iter().map(Vec::len).sum());
    let mut heads: Vec<_> = files.into_iter().map(|records| records.into_iter().peekable()).collect();
    loop {
        let mut earliest: Option<(Nanos, usize)> = None;
        for (index, head) in heads.iter_mut().enumerate() {
            if let Some(record) = head.peek()
                && earliest.is_none_or(|(time, _)| record.time < time)
            {
                earliest = Some((record.time, index));
            }
        }
        let Some((_, index)) = earliest else { return merged };
        merged.extend(heads[index].next());
    }
}
