//! The bytes of one pass, made once, and who gets which of them.

use super::table::Member;
use crate::{session::Form, topic::TopicId};

/// Bytes after which a pass is flushed before it goes on: an arena stays in the cache's reach and within 32 bits.
const ARENA_BYTES_MAX: usize = 4 << 20;

/// Ranges after which it is as well: they take as much memory as the bytes, not more.
const RANGES_MAX: usize = ARENA_BYTES_MAX / size_of::<Range>();

/// Odd, with its bits well spread (the golden ratio's).
const HASH_FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// The end of a list.
const NONE: u32 = u32::MAX;

/// The frames of a pass, one after the other, and per session a list of ranges of them. A delivery is a few stores; no
/// session has a buffer of its own.
#[derive(Debug, Default)]
pub(super) struct Arena {
    bytes: Vec<u8>,
    /// Which of the frames are states or diffs, in order: read only for sessions that are slow.
    marks: Vec<Mark>,
    ranges: Vec<Range>,
    /// By session.
    queues: Vec<Queue>,
    touched: Vec<u32>,
    is_urgent: bool,
}

/// Whole frames, next to each other.
#[derive(Clone, Copy, Debug)]
struct Range {
    start: u32,
    end: u32,
    next: u32,
    class: Class,
}

/// What may overtake what in an outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Updates: in order.
    Data,
    /// Replies, pings, pongs: never stuck behind data.
    Control,
    /// The close frame: nothing may follow it, so data that has not gone by then never will.
    Last,
}

#[derive(Clone, Copy, Debug)]
struct Queue {
    first: u32,
    last: u32,
}

const EMPTY: Queue = Queue { first: NONE, last: NONE };

/// Frames made by [`Arena::make`], to be linked to sessions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made {
    start: u32,
    end: u32,
}

/// Which frames are about the same, for one who gets them.
pub(super) type FrameKey = (TopicId, Form);

/// What may become of a frame that waits when a newer one of its key is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is worth nothing any more.
    State,
    /// Both can be made one, if their ids follow each other.
    Diff,
}

/// A frame that need not wait as it is. What is not marked does.
#[derive(Clone, Copy, Debug)]
struct Mark {
    start: u32,
    end: u32,
    key: FrameKey,
    kind: Kind,
}

/// The list of one session, taken out by [`Arena::take`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending(u32);

/// A part of what is pending for a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    /// Whole frames.
    pub(super) bytes: &'a [u8],
    pub(super) class: Class,
    /// Where they lie in the arena.
    start: u32,
    /// Those of the whole pass.
    marks: &'a [Mark],
}

/// What a list of parts comes to.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    pub(super) parts: usize,
    pub(super) bytes: usize,
    /// Of the places of its parts.
    pub(super) hash: u64,
    first: Made,
}

impl List {
    /// The place of the only part, if there is one only: it can be sent from where it is.
    pub(super) fn only(&self) -> Option<std::ops::Range<u32>> {
        (self.parts == 1).then_some(self.first.start..self.first.end)
    }
}

impl<'a> Part<'a> {
    /// Frames that lie in no arena.
    pub(super) fn alone(bytes: &'a [u8], class: Class) -> Self {
        Self { bytes, class, start: 0, marks: &[] }
    }

    /// What is left behind the first `count` bytes.
    pub(super) fn behind(self, count: usize) -> Self {
        Self { bytes: &self.bytes[count..], start: self.start + count as u32, ..self }
    }

    /// The marked frames in it: where each begins, how long it is, its key and its kind.
    pub(super) fn marks(self) -> impl Iterator<Item = (usize, usize, FrameKey, Kind)> + 'a {
        let (start, end) = (self.start, self.start + self.bytes.len() as u32);
        let first = self.marks.partition_point(|mark| mark.start < start);
        let within = self.marks[first..].iter().take_while(move |mark| mark.start < end);
        within.map(move |mark| ((mark.start - start) as usize, (mark.end - mark.start) as usize, mark.key, mark.kind))
    }
}

impl Arena {
    /// Makes room for the session with this index.
    pub(super) fn cover(&mut self, session: u32) {
        if self.queues.len() <= session as usize {
            self.queues.resize(session as usize + 1, EMPTY);
        }
    }

    /// Appends frames with `write`.
    pub(super) fn make(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Made {
        let start = self.bytes.len() as u32;
        write(&mut self.bytes);
        Made { start, end: self.bytes.len() as u32 }
    }

    /// Says that `made`, the newest there is, is of this kind: one frame, unless it is a diff that had to be cut.
    pub(super) fn mark(&mut self, made: Made, key: FrameKey, kind: Kind) {
        self.marks.push(Mark { start: made.start, end: made.end, key, kind });
    }

    /// Puts `made` behind what is pending for each of `members`.
    pub(super) fn link_all(&mut self, made: Made, members: &[Member]) {
        for member in members {
            self.link(made, member.session, Class::Data);
        }
    }

    /// Puts `made` behind what is pending for `session`.
    #[inline]
    pub(super) fn link(&mut self, made: Made, session: u32, class: Class) {
        self.is_urgent |= class != Class::Data;
        let new = self.ranges.len() as u32;
        let queue = &mut self.queues[session as usize];
        if queue.first == NONE {
            queue.first = new;
            self.touched.push(session);
        } else {
            let last = &mut self.ranges[queue.last as usize];
            // Frames of one stream made one after the other become one range, and so one write without a copy.
            if last.end == made.start && last.class == class {
                last.end = made.end;
                return;
            }
            last.next = new;
        }
        queue.last = new;
        self.ranges.push(Range { start: made.start, end: made.end, next: NONE, class });
    }

    /// Forgets what is pending for `session`: it is gone, and its index may be another's in this same pass.
    pub(super) fn forget(&mut self, session: u32) {
        self.queues[session as usize] = EMPTY;
    }

    /// Whether anything is pending for a session.
    pub(super) fn is_pending(&self, session: u32) -> bool {
        self.queues[session as usize].first != NONE
    }

    /// Whether anything is pending.
    pub(super) fn is_empty(&self) -> bool {
        self.touched.is_empty()
    }

    /// Whether a reply, a ping, a pong or a close frame is pending, which no delay may hold up.
    pub(super) fn is_urgent(&self) -> bool {
        self.is_urgent
    }

    /// Whether it is time to flush, whatever else there is to do.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= ARENA_BYTES_MAX || self.ranges.len() >= RANGES_MAX
    }

    /// The sessions for which something may be pending; to be given back to [`Arena::clear`].
    pub(super) fn take_touched(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.touched)
    }

    /// Takes out what is pending for `session`.
    pub(super) fn take(&mut self, session: u32) -> Option<Pending> {
        let queue = std::mem::replace(&mut self.queues[session as usize], EMPTY);
        (queue.first != NONE).then_some(Pending(queue.first))
    }

    /// All bytes of the pass, of which parts are ranges.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What a list comes to.
    pub(super) fn measure(&self, pending: Pending) -> List {
        let first = &self.ranges[pending.0 as usize];
        let mut list = List { parts: 0, bytes: 0, hash: 0, first: Made { start: first.start, end: first.end } };
        for range in self.ranges(pending) {
            list.parts += 1;
            list.bytes += (range.end - range.start) as usize;
            list.hash = (list.hash ^ u64::from(range.start)).wrapping_mul(HASH_FACTOR);
        }
        list
    }

    /// Whether two lists have the same parts.
    pub(super) fn is_same(&self, a: Pending, b: Pending) -> bool {
        let places = |list| self.ranges(list).map(|range| (range.start, range.end));
        places(a).eq(places(b))
    }

    fn ranges(&self, pending: Pending) -> impl Iterator<Item = &Range> + Clone {
        let mut next = pending.0;
        std::iter::from_fn(move || {
            let range = self.ranges.get(next as usize)?;
            next = range.next;
            Some(range)
        })
    }

    /// The parts of a list, in order; there is at least one.
    pub(super) fn parts(&self, pending: Pending) -> impl Iterator<Item = Part<'_>> + Clone {
        self.ranges(pending).map(|range| {
            let bytes = &self.bytes[range.start as usize..range.end as usize];
            Part { bytes, class: range.class, start: range.start, marks: &self.marks }
        })
    }

    /// Begins the next pass; all lists have been taken. Memory stays, unless one pass was far out of the ordinary.
    pub(super) fn clear(&mut self, mut touched: Vec<u32>) {
        touched.clear();
        self.touched = touched;
        self.ranges.clear();
        self.ranges.shrink_to(2 * RANGES_MAX);
        self.marks.clear();
        self.marks.shrink_to(RANGES_MAX);
        self.bytes.clear();
        self.bytes.shrink_to(2 * ARENA_BYTES_MAX);
        self.is_urgent = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(arena: &mut Arena, session: u32) -> Vec<(Vec<u8>, Class)> {
        let Some(list) = arena.take(session) else { return Vec::new() };
        arena.parts(list).map(|part| (part.bytes.to_vec(), part.class)).collect()
    }

    #[test]
    fn adjacent_frames_of_one_class_become_one_range() {
        let mut arena = Arena::default();
        arena.cover(2);
        let a = arena.make(|out| out.extend(b"aa"));
        let b = arena.make(|out| out.extend(b"b"));
        let c = arena.make(|out| out.extend(b"ccc"));
        for (made, session, class) in
            [(a, 0, Class::Data), (b, 0, Class::Data), (c, 0, Class::Control), (a, 2, Class::Data), (c, 2, Class::Data)]
        {
            arena.link(made, session, class);
        }
        assert!(arena.is_urgent());
        assert_eq!(pending(&mut arena, 0), [(b"aab".to_vec(), Class::Data), (b"ccc".to_vec(), Class::Control)]);
        assert_eq!(pending(&mut arena, 1), []);
        assert_eq!(pending(&mut arena, 2), [(b"aa".to_vec(), Class::Data), (b"ccc".to_vec(), Class::Data)]);
        assert_eq!(arena.take_touched(), [0, 2]);
    }

    #[test]
    fn an_index_that_is_used_again_starts_empty() {
        let mut arena = Arena::default();
        arena.cover(0);
        let made = arena.make(|out| out.extend(b"old"));
        arena.link(made, 0, Class::Data);
        arena.forget(0);
        let made = arena.make(|out| out.extend(b"new"));
        arena.link(made, 0, Class::Data);
        assert_eq!(pending(&mut arena, 0), [(b"new".to_vec(), Class::Data)]);
    }
}
