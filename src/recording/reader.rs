//! Reading a recording record by record: our own format, or a foreign one found out by its first bytes.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use bytes::Bytes;

use super::{
    Error, Record,
    block::{BLOCK_HEADER, BlockHeader, FILE_HEADER, MAGIC, VERSION, decode},
    foreign::{self, Lines},
    kraken_sdk,
};

/// Decompressed bytes of one document (a file that has to be read whole).
const DOCUMENT_BYTES_MAX: u64 = 1 << 30;

/// The records of one file, in its order.
pub struct Reader {
    path: String,
    source: Source,
    /// Set after an error or the end.
    finished: bool,
    torn: u64,
}

enum Source {
    Own { file: BufReader<File>, left: u64, raw: Bytes },
    Lines(Lines),
    Whole(std::vec::IntoIter<Record>),
}

impl Reader {
    /// Opens a file and finds out what it is.
    ///
    /// # Errors
    /// If it cannot be read or is none of the formats that we understand.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let text = path.as_ref().display().to_string();
        let source = open(path.as_ref(), &text)?;
        Ok(Self { path: text, source, finished: false, torn: 0 })
    }

    /// What the file turned out to be, in a few words.
    pub const fn format(&self) -> &'static str {
        match &self.source {
            Source::Own { .. } => "Tickcast, version 1",
            Source::Lines(lines) => lines.format(),
            Source::Whole(_) => "document of python-kraken-sdk",
        }
    }

    /// Bytes at the end of the file that were left out, once it has been read: a writer had died in the middle of them.
    pub const fn torn_bytes(&self) -> u64 {
        self.torn
    }

    fn next_own(&mut self) -> io::Result<Option<Record>> {
        let Source::Own { file, left, raw } = &mut self.source else { return Ok(None) };
        if raw.is_empty() && *left > 0 {
            match read_block(file, *left)? {
                Some((size, records)) => {
                    *left -= size;
                    *raw = records;
                }
                None => {
                    self.torn = *left;
                    return Ok(None);
                }
            }
        }
        let record = decode(raw);
        if record.is_none() && !raw.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a sound block holds something that is no record"));
        }
        Ok(record)
    }
}

impl Iterator for Reader {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        let next = match &mut self.source {
            Source::Own { .. } => {
                self.next_own().map_err(|source| Error::Io { path: self.path.clone(), source }).transpose()
            }
            Source::Lines(lines) => lines.next_record().map_err(|error| error.at(&self.path)).transpose(),
            Source::Whole(records) => records.next().map(Ok),
        };
        self.finished = !matches!(next, Some(Ok(_)));
        if let (None, Source::Lines(lines)) = (&next, &self.source) {
            self.torn = lines.torn_bytes();
        }
        next
    }
}

/// One block with its size in the file; `None` where no whole block follows.
fn read_block(file: &mut BufReader<File>, left: u64) -> io::Result<Option<(u64, Bytes)>> {
    if left < BLOCK_HEADER as u64 {
        return Ok(None);
    }
    let mut header = [0; BLOCK_HEADER];
    file.read_exact(&mut header)?;
    let Some(header) = BlockHeader::parse(&header) else { return Ok(None) };
    let size = BLOCK_HEADER as u64 + u64::from(header.compressed);
    if size > left {
        return Ok(None);
    }
    let mut payload = vec![0; header.compressed as usize];
    file.read_exact(&mut payload)?;
    Ok(header.unpack(&payload).map(|raw| (size, raw)))
}

fn open(path: &Path, name: &str) -> Result<Source, Error> {
    let at = |source| Error::Io { path: name.to_owned(), source };
    let refuse = |reason: &str| Error::NotARecording { path: name.to_owned(), reason: reason.to_owned() };
    let file = File::open(path).map_err(at)?;
    let size = file.metadata().map_err(at)?.len();
    let mut file = BufReader::new(file);
    let start = file.fill_buf().map_err(at)?;
    if start.starts_with(MAGIC) {
        let mut header = [0; FILE_HEADER];
        file.read_exact(&mut header).map_err(at)?;
        if header[8..] != VERSION.to_le_bytes() {
            return Err(refuse("it is of another version of Tickcast"));
        }
        return Ok(Source::Own { file, left: size - FILE_HEADER as u64, raw: Bytes::new() });
    }
    let mut text: Box<dyn BufRead + Send> = match start {
        [] => return Err(refuse("it is empty")),
        [0x1f, 0x8b, ..] => Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(file))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(BufReader::new(zstd::Decoder::with_buffer(file).map_err(at)?)),
        _ => Box::new(file),
    };
    let start = text.fill_buf().map_err(at)?;
    match foreign::sniff(start) {
        Some(foreign::Shape::Document) => {
            let mut document = Vec::new();
            text.take(DOCUMENT_BYTES_MAX).read_to_end(&mut document).map_err(at)?;
            let records = kraken_sdk::read(&document).map_err(|reason| refuse(&reason))?;
            Ok(Source::Whole(records.into_iter()))
        }
        Some(foreign::Shape::Lines(format)) => Ok(Source::Lines(Lines::new(text, format))),
        None => Err(refuse("it begins like none of the formats that are understood")),
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("path", &self.path).field("finished", &self.finished).finish_non_exhaustive()
    }
}
