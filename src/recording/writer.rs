//! Appending records so that a killed process loses the last block at most.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Error, Record,
    block::{BLOCK_HEADER, BLOCK_RAW_MAX, BlockHeader, FILE_HEADER, MAGIC, VERSION, encode},
};
use crate::market::Nanos;

/// Raw bytes after which a block is closed.
const BLOCK_BYTES: usize = 256 << 10;
/// Time after which a block is closed, counted from its first record: what a killed process may lose.
const BLOCK_LASTS: Duration = Duration::from_millis(500);
/// Frames differ little from each other: a low level has most of the gain.
const ZSTD_LEVEL: i32 = 3;

/// Appends records to one file. It keeps no thread and reads no clock: the time comes with the records, and
/// [`Writer::flush_if_due`] is for quiet times. Dropping it writes what is pending.
#[derive(Debug)]
pub struct Writer {
    file: File,
    path: PathBuf,
    raw: Vec<u8>,
    /// Time of the first record of the block in the making.
    since: Option<Nanos>,
    truncated: u64,
}

impl Writer {
    /// Begins a new file.
    ///
    /// # Errors
    /// If it exists already, so that no recording is ever overwritten, or cannot be made.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let at = |source| io_error(path, source);
        Self::begin(OpenOptions::new().write(true).create_new(true).open(path).map_err(at)?, path)
    }

    /// Goes on with a file, or begins it if there is none. A torn tail is cut off: see [`Writer::truncated_bytes`].
    ///
    /// # Errors
    /// If it is no recording of ours or cannot be written.
    pub fn append(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let at = |source| io_error(path, source);
        let mut file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::create(path),
            file => file.map_err(at)?,
        };
        let size = file.metadata().map_err(at)?.len();
        if size == 0 {
            // Made by `mktemp`, or by a writer that died before its first byte.
            return Self::begin(file, path);
        }
        let good = sound_bytes(&mut file).map_err(at)?.ok_or_else(|| Error::NotARecording {
            path: path.display().to_string(),
            reason: format!("it does not begin like a file of version {VERSION} of ours"),
        })?;
        file.set_len(good).map_err(at)?;
        file.seek(SeekFrom::Start(good)).map_err(at)?;
        Ok(Self { file, path: path.to_owned(), raw: Vec::new(), since: None, truncated: size - good })
    }

    fn begin(mut file: File, path: &Path) -> Result<Self, Error> {
        let mut header = MAGIC.to_vec();
        header.extend(VERSION.to_le_bytes());
        file.write_all(&header).map_err(|source| io_error(path, source))?;
        Ok(Self { file, path: path.to_owned(), raw: Vec::new(), since: None, truncated: 0 })
    }

    /// How many bytes of a torn tail [`Writer::append`] cut off.
    pub const fn truncated_bytes(&self) -> u64 {
        self.truncated
    }

    /// Takes in a record; when its block is full or old enough, the block is written.
    ///
    /// # Errors
    /// If the disk refuses, or one record is larger than a block may be.
    pub fn record(&mut self, record: &Record) -> Result<(), Error> {
        if record.bytes.len() >= BLOCK_RAW_MAX - BLOCK_BYTES {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "a record of more than 255 MiB");
            return Err(io_error(&self.path, source));
        }
        encode(record, &mut self.raw);
        self.since.get_or_insert(record.time);
        if self.raw.len() >= BLOCK_BYTES {
            return self.flush();
        }
        self.flush_if_due(record.time)
    }

    /// Writes the block in the making if it is old enough at `now`.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn flush_if_due(&mut self, now: Nanos) -> Result<(), Error> {
        match self.since {
            Some(since) if now.since(since) >= BLOCK_LASTS => self.flush(),
            _ => Ok(()),
        }
    }

    /// Hands the block in the making to the operating system: from here on it outlives this process.
    ///
    /// # Errors
    /// If the disk refuses. What it took of the block is overwritten by the next try.
    pub fn flush(&mut self) -> Result<(), Error> {
        if self.raw.is_empty() {
            return Ok(());
        }
        self.write_block().map_err(|source| io_error(&self.path, source))?;
        self.raw.clear();
        self.since = None;
        Ok(())
    }

    fn write_block(&mut self) -> io::Result<()> {
        let payload = zstd::bulk::compress(&self.raw, ZSTD_LEVEL)?;
        let crc = crc32fast::hash(&payload);
        let header = BlockHeader { compressed: payload.len() as u32, raw: self.raw.len() as u32, crc };
        let start = self.file.stream_position()?;
        let mut block = header.to_bytes().to_vec();
        block.extend(payload);
        self.file.write_all(&block).inspect_err(|_| {
            // Half a block must not stay in front of the next one; if this fails too, the reader stops there.
            let _ = self.file.set_len(start).and_then(|()| self.file.seek(SeekFrom::Start(start)));
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Err(error) = self.flush() {
            tracing::error!(%error, "the end of a recording is lost");
        }
    }
}

/// Up to where the file consists of whole blocks; `None` if it is no file of ours.
fn sound_bytes(file: &mut File) -> io::Result<Option<u64>> {
    let size = file.metadata()?.len();
    let mut header = [0; FILE_HEADER];
    if size < FILE_HEADER as u64 {
        return Ok(None);
    }
    file.read_exact(&mut header)?;
    if header[..8] != *MAGIC || header[8..] != VERSION.to_le_bytes() {
        return Ok(None);
    }
    let mut good = FILE_HEADER as u64;
    let mut payload = Vec::new();
    while size - good >= BLOCK_HEADER as u64 {
        let mut bytes = [0; BLOCK_HEADER];
        file.read_exact(&mut bytes)?;
        let Some(header) = BlockHeader::parse(&bytes) else { break };
        let end = good + BLOCK_HEADER as u64 + u64::from(header.compressed);
        if end > size {
            break;
        }
        payload.resize(header.compressed as usize, 0);
        file.read_exact(&mut payload)?;
        if header.unpack(&payload).is_none() {
            break;
        }
        good = end;
    }
    Ok(Some(good))
}

fn io_error(path: &Path, source: io::Error) -> Error {
    Error::Io { path: path.display().to_string(), source }
}
