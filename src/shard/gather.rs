//! Small frames copied together for one write; sessions that get the same ones share the copy.

use super::arena::{Arena, List, Pending};

/// Bytes of all blocks together: what stays in the first two caches.
pub(super) const GATHERED_BYTES_MAX: usize = 128 << 10;

/// Blocks that are remembered: as many as fit the bytes at some hundred each.
const BLOCKS: usize = 256;

/// The blocks of a flush so far.
#[derive(Debug)]
pub(super) struct Gather {
    bytes: Vec<u8>,
    /// By the lists' hashes; a newer list takes the place of an older.
    blocks: Box<[Option<Block>]>,
    /// Those of `blocks` that are taken.
    used: Vec<u8>,
}

/// The bytes of one list of parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    list: Pending,
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Default for Gather {
    fn default() -> Self {
        Self { bytes: Vec::new(), blocks: vec![None; BLOCKS].into(), used: Vec::new() }
    }
}

impl Gather {
    /// What blocks are ranges of.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether a list of so many bytes can become a block before the next [`Gather::clear`].
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.bytes.len() + bytes <= GATHERED_BYTES_MAX
    }

    /// The bytes of a list, which were copied now or when another session had the same.
    pub(super) fn block(&mut self, arena: &Arena, pending: Pending, list: &List) -> Block {
        let slot = (list.hash >> (64 - BLOCKS.ilog2())) as u8;
        if let Some(block) = self.blocks[usize::from(slot)]
            && (block.end - block.start) as usize == list.bytes
            && arena.is_same(block.list, pending)
        {
            return block;
        }
        let start = self.bytes.len() as u32;
        for part in arena.parts(pending) {
            self.bytes.extend_from_slice(part.bytes);
        }
        let block = Block { list: pending, start, end: self.bytes.len() as u32 };
        if self.blocks[usize::from(slot)].replace(block).is_none() {
            self.used.push(slot);
        }
        block
    }

    /// Forgets all blocks.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        for slot in self.used.drain(..) {
            self.blocks[usize::from(slot)] = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::arena::Class;

    #[test]
    fn the_same_list_is_copied_once_and_another_is_not_taken_for_it() {
        let mut arena = Arena::default();
        arena.cover(300);
        let made: Vec<_> = (0..8).map(|number| arena.make(|out| out.extend([number; 3]))).collect();
        // Every second frame, so that none are neighbours; of equal length, so that only their places tell them apart.
        let wants =
            |session: u32| [0, 2, 4, 6].into_iter().filter(move |at| session % 7 != 0 || *at != session as usize % 8);
        for session in 0..300 {
            wants(session).for_each(|at| arena.link(made[at], session, Class::Data));
        }
        let mut gather = Gather::default();
        for session in 0..300 {
            let pending = arena.take(session).unwrap();
            let block = gather.block(&arena, pending, &arena.measure(pending));
            let expected: Vec<u8> = wants(session).flat_map(|at| [at as u8; 3]).collect();
            assert_eq!(gather.bytes()[block.start as usize..block.end as usize], expected);
        }
        let lists: std::collections::BTreeSet<Vec<usize>> = (0..300).map(|session| wants(session).collect()).collect();
        let once: usize = lists.iter().map(|list| 3 * list.len()).sum();
        assert!(gather.bytes().len() <= 2 * once, "{} bytes of {once}", gather.bytes().len());
        gather.clear();
        assert!(gather.bytes().is_empty() && gather.blocks.iter().all(Option::is_none));
    }
}
