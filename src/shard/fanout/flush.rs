//! One write per session and pass.

use std::{
    io::{self, ErrorKind, IoSlice, Write},
    mem,
};

use super::Fanout;
use crate::{
    encode::frame,
    session::CloseReason,
    shard::{
        Wire,
        arena::{Arena, Class, Part, Pending},
        gather::{GATHERED_BYTES_MAX, Gather},
        links::{Links, Stage},
        outbox::{Full, Outbox},
        uring::Uring,
    },
};

/// Mean bytes of a part from which handing the kernel a list costs less than copying (shared frames of deep diffs).
const LARGE_PART_BYTES: usize = 4 << 10;
/// Parts per vectored write.
const SLICES: usize = 64;

/// How bytes get to the sockets, and what is on its way there.
#[derive(Debug, Default)]
pub(super) struct Sender {
    /// Many sends per system call; without it each is one.
    queue: Option<Uring>,
    planned: Vec<Planned>,
    results: Vec<io::Result<usize>>,
    gather: Gather,
}

/// A session's write of this pass.
#[derive(Clone, Copy, Debug)]
struct Planned {
    session: u32,
    pending: Pending,
    /// Where the bytes are: in the arena or gathered.
    is_gathered: bool,
    start: u32,
    end: u32,
}

impl Sender {
    /// Writes that go out together.
    fn batch(&self) -> usize {
        if self.queue.is_some() { Uring::SENDS_MAX } else { 1 }
    }

    fn bytes<'a>(gather: &'a Gather, arena: &'a Arena, planned: &Planned) -> &'a [u8] {
        let from = if planned.is_gathered { gather.bytes() } else { arena.bytes() };
        &from[planned.start as usize..planned.end as usize]
    }

    /// Does what is planned; `results` has what came of each.
    fn send<W: Wire>(&mut self, arena: &Arena, links: &mut Links<W>) {
        let Self { queue, planned, results, gather } = self;
        match queue {
            Some(queue) => {
                let sends = planned.iter().map(|planned| {
                    let socket = links.get(planned.session).and_then(|link| link.wire.socket());
                    let socket = socket.expect("only sockets are planned for a queue, and nobody leaves in between");
                    (socket, Self::bytes(gather, arena, planned))
                });
                queue.send_all(sends, results);
            }
            None => {
                results.clear();
                results.extend(planned.iter().map(|planned| {
                    let Some(link) = links.get_mut(planned.session) else { return Ok(0) };
                    link.wire.write(Self::bytes(gather, arena, planned))
                }));
            }
        }
    }
}

impl<W: Wire> Fanout<W> {
    /// From now on sessions whose wires are sockets of the kernel are sent to in batches, by this thread.
    ///
    /// # Errors
    /// If the kernel gives this process no io_uring.
    pub fn send_in_batches(&mut self) -> io::Result<()> {
        self.sender.queue = Some(Uring::open()?);
        Ok(())
    }

    /// Whether a flush has anything to do.
    pub fn has_pending(&self) -> bool {
        !self.arena.is_empty()
    }

    /// Whether something is pending that no delay may hold up.
    pub fn is_urgent(&self) -> bool {
        self.arena.is_urgent()
    }

    /// Sends all that is pending: one write per session, more only if it is more than a socket takes at once.
    pub fn flush(&mut self) {
        let touched = self.arena.take_touched();
        for &index in &touched {
            if let Some(pending) = self.arena.take(index) {
                self.plan(index, pending);
            }
        }
        self.send_planned();
        self.sender.gather.clear();
        self.arena.clear(touched);
    }

    /// Decides how a session's bytes go, and lets them go when enough are together.
    fn plan(&mut self, session: u32, pending: Pending) {
        let Some(link) = self.links.get_mut(session) else { return };
        let list = self.arena.measure(pending);
        if let Some(outbox) = &mut link.outbox {
            // Before it is too much: the socket may have room by now, and the poll's notice of it be still to come.
            let is_too_much = outbox.len() + list.bytes > self.outbox_bytes_max;
            match if is_too_much { outbox.drain(&mut link.wire, &mut self.tally) } else { Ok(false) } {
                Ok(true) => link.outbox = None,
                Ok(false) => {
                    let pushed =
                        self.arena.parts(pending).try_for_each(|part| outbox.push(part, self.outbox_bytes_max));
                    self.tally.conflated += outbox.take_conflated();
                    self.tally.merged += outbox.take_merged();
                    if pushed == Err(Full) {
                        self.close_slow(session);
                    }
                    return;
                }
                Err(_) => return self.close(session, CloseReason::Lost),
            }
        }
        let planned = if let Some(only) = list.only() {
            Planned { session, pending, is_gathered: false, start: only.start, end: only.end }
        } else if list.bytes > GATHERED_BYTES_MAX || list.bytes / list.parts >= LARGE_PART_BYTES {
            let sent = write_slices(&mut link.wire, self.arena.parts(pending), &mut self.tally.writes);
            return self.settle(session, pending, list.bytes, sent);
        } else {
            if !self.sender.gather.has_room(list.bytes) {
                self.send_planned();
                self.sender.gather.clear();
            }
            let block = self.sender.gather.block(&self.arena, pending, &list);
            Planned { session, pending, is_gathered: true, start: block.start, end: block.end }
        };
        if self.sender.queue.is_some()
            && let Some(link) = self.links.get_mut(session).filter(|link| link.wire.socket().is_none())
        {
            let bytes = Sender::bytes(&self.sender.gather, &self.arena, &planned);
            let sent = counted(bytes.len(), &mut self.tally.writes, || link.wire.write(bytes));
            return self.settle(session, pending, list.bytes, sent);
        }
        self.sender.planned.push(planned);
        if self.sender.planned.len() >= self.sender.batch() {
            self.send_planned();
        }
    }

    fn send_planned(&mut self) {
        if self.sender.planned.is_empty() {
            return;
        }
        self.sender.send(&self.arena, &mut self.links);
        let (mut planned, mut results) = (mem::take(&mut self.sender.planned), mem::take(&mut self.sender.results));
        for (planned, result) in planned.drain(..).zip(results.drain(..)) {
            self.tally.writes += 1;
            let total = (planned.end - planned.start) as usize;
            self.settle(planned.session, planned.pending, total, count(result));
        }
        (self.sender.planned, self.sender.results) = (planned, results);
    }

    /// Goes on with a session of whose `total` bytes some were sent.
    fn settle(&mut self, session: u32, pending: Pending, total: usize, sent: io::Result<usize>) {
        match sent.and_then(|sent| self.hold_rest(session, pending, total, sent)) {
            Ok(Sent::All) => self.finish_closing(session),
            Ok(Sent::Later) => {}
            Ok(Sent::TooSlow) => self.close_slow(session),
            Err(_) => self.close(session, CloseReason::Lost),
        }
    }

    fn hold_rest(&mut self, session: u32, pending: Pending, total: usize, sent: usize) -> io::Result<Sent> {
        self.tally.bytes += sent as u64;
        if sent == total {
            return Ok(Sent::All);
        }
        let Some(link) = self.links.get_mut(session) else { return Ok(Sent::Later) };
        let outbox = link.outbox.insert(Box::<Outbox>::default());
        if outbox.begin(self.arena.parts(pending), sent, self.outbox_bytes_max) == Err(Full) {
            return Ok(Sent::TooSlow);
        }
        // A short write is not yet the "would block" that arms the poll's next notice.
        if outbox.drain(&mut link.wire, &mut self.tally)? {
            link.outbox = None;
            return Ok(Sent::All);
        }
        Ok(Sent::Later)
    }

    /// Goes on with a session whose socket takes bytes again.
    pub fn write(&mut self, index: u32) {
        let Some(link) = self.links.get_mut(index) else { return };
        let outcome = match &mut link.outbox {
            Some(outbox) => outbox.drain(&mut link.wire, &mut self.tally),
            None if link.wire.is_holding() => drain(&mut link.wire),
            None => return,
        };
        match outcome {
            Ok(true) => {
                link.outbox = None;
                // Its last frame may be among what the next flush writes.
                if !self.arena.is_pending(index) {
                    self.finish_closing(index);
                }
            }
            Ok(false) => {}
            Err(_) => self.close(index, CloseReason::Lost),
        }
    }

    /// Ends a session for its slowness. It is in the middle of a flush, so its close frame goes straight to the outbox.
    fn close_slow(&mut self, index: u32) {
        self.close(index, CloseReason::SlowConsumer);
        self.arena.forget(index);
        let Some(link) = self.links.get_mut(index) else { return };
        let mut close = Vec::new();
        frame::close(&mut close, CloseReason::SlowConsumer.code(), CloseReason::SlowConsumer.text());
        if let Some(outbox) = &mut link.outbox {
            let pushed = outbox.push(Part::alone(&close, Class::Last), self.outbox_bytes_max);
            debug_assert_eq!(pushed, Ok(()), "the last frame is never refused");
        }
    }

    /// Goes on with a session's end once all its bytes are out.
    fn finish_closing(&mut self, index: u32) {
        let Some(link) = self.links.get_mut(index) else { return };
        match link.stage {
            Stage::Open => {}
            // Its next notice of room leads here again.
            _ if link.wire.is_holding() => {}
            // Its FIN tells the client that the connection is over; the client's own FIN lets us forget it, without
            // the reset that unread bytes would cause.
            Stage::Closing => link.wire.finish(),
            Stage::Answering => self.remove(index),
        }
    }
}

/// Sends what a wire holds; whether all of it went.
fn drain(wire: &mut impl Write) -> io::Result<bool> {
    match wire.flush() {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// How far the bytes of a pass came.
enum Sent {
    All,
    /// The rest is in the outbox.
    Later,
    /// The rest does not fit the outbox.
    TooSlow,
}

/// Hands large parts to the kernel where they are.
fn write_slices<'a>(
    wire: &mut impl Write,
    mut parts: impl Iterator<Item = Part<'a>>,
    writes: &mut u64,
) -> io::Result<usize> {
    let mut sent = 0;
    loop {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut used = 0;
        let mut total = 0;
        for (slice, part) in slices.iter_mut().zip(&mut parts) {
            *slice = IoSlice::new(part.bytes);
            used += 1;
            total += part.bytes.len();
        }
        if total == 0 {
            return Ok(sent);
        }
        let count = counted(total, writes, || wire.write_vectored(&slices[..used]))?;
        sent += count;
        if count < total {
            return Ok(sent);
        }
    }
}

fn counted(wanted: usize, writes: &mut u64, mut write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    *writes += 1;
    match write() {
        Ok(0) if wanted > 0 => Err(ErrorKind::WriteZero.into()),
        result => count(result),
    }
}

/// How many bytes went; what a socket does not take now, its outbox will try again.
fn count(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
        result => result,
    }
}
