//! A database that lies in memory, in pieces that exist once something has been written there.
//!
//! redb doubles the length of its storage as it grows. Its own backend is one `Vec` of that length, which is moved each
//! time: the default market took 256 MB, and 384 MB while it moved, for 125 MB of rows.

use std::{
    io::{Error, ErrorKind},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use redb::StorageBackend;

/// Bytes of a piece: large against its place in the list, small against a database.
const PIECE_BYTES: usize = 64 << 10;

/// Storage in memory.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pieces: RwLock<Pieces>,
}

#[derive(Debug, Default)]
struct Pieces {
    length: u64,
    /// `None`: all zeros.
    list: Vec<Option<Box<[u8]>>>,
}

impl Memory {
    fn read_pieces(&self) -> RwLockReadGuard<'_, Pieces> {
        self.pieces.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_pieces(&self) -> RwLockWriteGuard<'_, Pieces> {
        self.pieces.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pieces {
    fn check(&self, offset: u64, length: usize) -> Result<(), Error> {
        let end = offset.checked_add(length as u64);
        if end.is_some_and(|end| end <= self.length) { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }
}

/// The parts of `length` bytes from `offset` on: which piece, from where in it, how many.
fn parts(offset: u64, length: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let mut at = offset as usize;
    let end = at + length;
    std::iter::from_fn(move || {
        let (piece, from) = (at / PIECE_BYTES, at % PIECE_BYTES);
        let count = (end - at).min(PIECE_BYTES - from);
        at += count;
        (count > 0).then_some((piece, from, count))
    })
}

impl StorageBackend for Memory {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.read_pieces().length)
    }

    fn read(&self, offset: u64, mut out: &mut [u8]) -> Result<(), Error> {
        let pieces = self.read_pieces();
        pieces.check(offset, out.len())?;
        for (piece, from, count) in parts(offset, out.len()) {
            let (part, rest) = out.split_at_mut(count);
            match &pieces.list[piece] {
                Some(bytes) => part.copy_from_slice(&bytes[from..from + count]),
                None => part.fill(0),
            }
            out = rest;
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), Error> {
        let mut pieces = self.write_pieces();
        pieces.list.resize((length as usize).div_ceil(PIECE_BYTES), None);
        // What is cut off in the middle of a piece has to be zeros if the length grows again.
        let kept = length as usize % PIECE_BYTES;
        if length < pieces.length
            && kept > 0
            && let Some(Some(last)) = pieces.list.last_mut()
        {
            last[kept..].fill(0);
        }
        pieces.length = length;
        Ok(())
    }

    fn sync_data(&self) -> Result<(), Error> {
        Ok(())
    }

    fn write(&self, offset: u64, mut data: &[u8]) -> Result<(), Error> {
        let mut pieces = self.write_pieces();
        pieces.check(offset, data.len())?;
        for (piece, from, count) in parts(offset, data.len()) {
            let (part, rest) = data.split_at(count);
            let bytes = pieces.list[piece].get_or_insert_with(|| vec![0; PIECE_BYTES].into_boxed_slice());
            bytes[from..from + count].copy_from_slice(part);
            data = rest;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_like_one_vec_of_bytes() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let (memory, mut oracle) = (Memory::default(), Vec::new());
        for _ in 0..2_000 {
            if random.u32(..20) == 0 {
                let length = random.usize(..5 * PIECE_BYTES);
                memory.set_len(length as u64).expect("a length");
                oracle.resize(length, 0);
            }
            let (offset, length) = (random.usize(..5 * PIECE_BYTES), random.usize(..2 * PIECE_BYTES));
            let fits = offset + length <= oracle.len();
            let data: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
            assert_eq!(memory.write(offset as u64, &data).is_ok(), fits);
            if fits {
                oracle[offset..offset + length].copy_from_slice(&data);
            }
            let (offset, length) = (random.usize(..5 * PIECE_BYTES), random.usize(..2 * PIECE_BYTES));
            let mut read = vec![1; length];
            let fits = offset + length <= oracle.len();
            assert_eq!(memory.read(offset as u64, &mut read).is_ok(), fits);
            assert!(!fits || read == oracle[offset..offset + length]);
            assert_eq!(memory.len().expect("a length"), oracle.len() as u64);
        }
    }

    #[test]
    fn what_was_never_written_takes_nothing() {
        let memory = Memory::default();
        memory.set_len(1 << 32).expect("a length");
        memory.write(1 << 30, b"here").expect("inside");
        assert_eq!(memory.read_pieces().list.iter().flatten().count(), 1);
        assert!(memory.write(u64::MAX, b"there").is_err());
    }
}
