//! A shard's sessions with their sockets, by dense index.

use super::outbox::Outbox;
use crate::session::{FrameReader, Session};

/// One session and its socket. Idle and healthy ones own no buffer.
#[derive(Debug)]
pub(super) struct Link<W> {
    pub(super) wire: W,
    pub(super) session: Session,
    pub(super) reader: FrameReader,
    pub(super) outbox: Option<Box<Outbox>>,
    pub(super) stage: Stage,
}

/// How far a session's end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not at all.
    Open,
    /// Our close frame is on its way; what the client says is no longer heard.
    Closing,
    /// The client has closed first: once our answer is out, all is done.
    Answering,
}

/// The name of a session that does not outlive it: its index may be given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkId {
    pub(super) index: u32,
    generation: u32,
}

/// The sessions of a shard.
#[derive(Debug)]
pub(super) struct Links<W> {
    slots: Vec<Slot<W>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot<W> {
    generation: u32,
    link: Option<Link<W>>,
}

impl<W> Default for Links<W> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

impl<W> Links<W> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The index that the next one will get.
    pub(super) fn vacant(&self) -> u32 {
        self.free.last().copied().unwrap_or(self.slots.len() as u32)
    }

    /// Adds a session at [`Links::vacant`].
    pub(super) fn insert(&mut self, link: Link<W>) -> LinkId {
        let index = self.vacant();
        if self.free.pop().is_none() {
            self.slots.push(Slot { generation: 0, link: None });
        }
        let slot = &mut self.slots[index as usize];
        slot.link = Some(link);
        LinkId { index, generation: slot.generation }
    }

    /// The session with this index, to look at.
    pub(super) fn get(&self, index: u32) -> Option<&Link<W>> {
        self.slots.get(index as usize)?.link.as_ref()
    }

    /// The session with this index.
    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Link<W>> {
        self.slots.get_mut(index as usize)?.link.as_mut()
    }

    /// The same session that the name was given to, if it is still there.
    pub(super) fn same(&mut self, id: LinkId) -> Option<&mut Link<W>> {
        self.slots.get_mut(id.index as usize).filter(|slot| slot.generation == id.generation)?.link.as_mut()
    }

    /// Takes a session out; its socket closes when it is dropped.
    pub(super) fn remove(&mut self, index: u32) -> Option<Link<W>> {
        let slot = self.slots.get_mut(index as usize)?;
        let link = slot.link.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
        Some(link)
    }

    /// All sessions.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Link<W>> {
        self.slots.iter().filter_map(|slot| slot.link.as_ref())
    }

    /// The indices of all sessions.
    pub(super) fn indices(&self) -> impl Iterator<Item = u32> {
        self.slots.iter().zip(0..).filter(|(slot, _)| slot.link.is_some()).map(|(_, index)| index)
    }

    /// The name of the session with this index now.
    pub(super) fn id(&self, index: u32) -> LinkId {
        LinkId { index, generation: self.slots[index as usize].generation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::Socket;

    #[test]
    fn an_idle_session_costs_little() {
        // The socket itself is a descriptor of four bytes.
        assert!(size_of::<Slot<i32>>() <= 136, "{} bytes", size_of::<Slot<i32>>());
        // One that may have TLS is a pointer more.
        assert!(size_of::<Slot<Socket>>() <= 152, "{} bytes", size_of::<Slot<Socket>>());
    }
}
