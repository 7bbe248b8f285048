//! One write per session and pass.

use std::io::{self, ErrorKind, IoSlice, Write};

use super::{Fanout, Tally};
use crate::{
    encode::frame,
    session::CloseReason,
    shard::{
        Wire,
        arena::{Arena, Class, Part, Pending},
        links::{Link, Stage},
        outbox::{Full, Outbox},
    },
};

/// Bytes copied together for one write: what stays in the first two caches.
const GATHERED_BYTES_MAX: usize = 64 << 10;
/// Mean bytes of a part from which handing the kernel a list costs less than copying (shared frames of deep diffs).
const LARGE_PART_BYTES: usize = 4 << 10;
/// Parts per vectored write.
const SLICES: usize = 64;

impl<W: Wire> Fanout<W> {
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
            let Some(pending) = self.arena.take(index) else { continue };
            let Some(link) = self.links.get_mut(index) else { continue };
            let outcome =
                link.send(&self.arena, pending, self.outbox_bytes_max, &mut self.scratch.gathered, &mut self.tally);
            match outcome {
                Ok(Sent::All) => self.finish_closing(index),
                Ok(Sent::Later) => {}
                Ok(Sent::TooSlow) => self.close_slow(index),
                Err(_) => self.close(index, CloseReason::Lost),
            }
        }
        self.arena.clear(touched);
    }

    /// Goes on with a session whose socket takes bytes again.
    pub fn write(&mut self, index: u32) {
        let Some(link) = self.links.get_mut(index) else { return };
        let Some(outbox) = &mut link.outbox else { return };
        let outcome = outbox.drain(&mut link.wire, &mut self.tally);
        match outcome {
            Ok(true) => {
                link.outbox = None;
                self.finish_closing(index);
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
            // Its FIN tells the client that the connection is over; the client's own FIN lets us forget it, without
            // the reset that unread bytes would cause.
            Stage::Closing => link.wire.finish(),
            Stage::Answering => self.remove(index),
        }
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

impl<W: Wire> Link<W> {
    fn send(
        &mut self,
        arena: &Arena,
        pending: Pending,
        outbox_bytes_max: usize,
        gathered: &mut Vec<u8>,
        tally: &mut Tally,
    ) -> io::Result<Sent> {
        let parts = arena.parts(pending);
        let (count, total) = parts.clone().fold((0, 0), |(count, total), part| (count + 1, total + part.bytes.len()));
        if let Some(outbox) = &mut self.outbox {
            // Before it is too much: the socket may have room by now, and the poll's notice of it be still to come.
            if outbox.len() + total <= outbox_bytes_max || !outbox.drain(&mut self.wire, tally)? {
                let pushed = parts.clone().try_for_each(|part| outbox.push(part, outbox_bytes_max));
                tally.conflated += outbox.take_conflated();
                tally.merged += outbox.take_merged();
                return Ok(if pushed == Err(Full) { Sent::TooSlow } else { Sent::Later });
            }
            self.outbox = None;
        }
        let wire = &mut self.wire;
        let sent = match parts.clone().next() {
            Some(only) if count == 1 => write_once(wire, only.bytes, &mut tally.writes)?,
            _ if total / count >= LARGE_PART_BYTES => write_slices(wire, parts.clone(), &mut tally.writes)?,
            _ => write_gathered(wire, parts.clone(), gathered, &mut tally.writes)?,
        };
        tally.bytes += sent as u64;
        if sent == total {
            return Ok(Sent::All);
        }
        let outbox = self.outbox.insert(Box::<Outbox>::default());
        if outbox.begin(parts, sent, outbox_bytes_max) == Err(Full) {
            return Ok(Sent::TooSlow);
        }
        // A short write is not yet the "would block" that arms the poll's next notice.
        if outbox.drain(wire, tally)? {
            self.outbox = None;
            return Ok(Sent::All);
        }
        Ok(Sent::Later)
    }
}

/// Writes `bytes` and says how many went; zero when the socket takes none now.
fn write_once(wire: &mut impl Write, bytes: &[u8], writes: &mut u64) -> io::Result<usize> {
    counted(bytes.len(), writes, || wire.write(bytes))
}

/// Copies small parts together in a buffer that is hot, and writes that.
fn write_gathered<'a>(
    wire: &mut impl Write,
    parts: impl Iterator<Item = Part<'a>>,
    gathered: &mut Vec<u8>,
    writes: &mut u64,
) -> io::Result<usize> {
    let mut sent = 0;
    gathered.clear();
    for part in parts {
        if gathered.len() + part.bytes.len() > GATHERED_BYTES_MAX && !gathered.is_empty() {
            let count = write_once(wire, gathered, writes)?;
            sent += count;
            if count < gathered.len() {
                return Ok(sent);
            }
            gathered.clear();
        }
        gathered.extend_from_slice(part.bytes);
    }
    Ok(sent + write_once(wire, gathered, writes)?)
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
    loop {
        *writes += 1;
        match write() {
            Ok(0) if wanted > 0 => return Err(ErrorKind::WriteZero.into()),
            Ok(sent) => return Ok(sent),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
