//! What waits for a slow session: bounded, in whole frames, freed as soon as it is empty.

mod diff;
mod marks;

use std::{
    io::{self, ErrorKind, Write},
    mem,
};

use self::marks::{Marks, Merging};
use super::{
    Tally,
    arena::{Class, Part},
};
use crate::encode::frame;

/// Bytes sent from the front after which the rest is moved there.
const SENT_BYTES_MAX: usize = 64 << 10;

/// Waiting bytes from which it is looked for what need not wait, although the socket takes nothing yet.
const TIDIED_BYTES_MIN: usize = 16 << 10;

/// The frames that one socket did not take. A frame that was begun is finished first; then control frames go, then data.
///
/// What need not wait does not: of each state only the newest frame is kept, and diffs of one feed whose ids follow each
/// other become one. Both happen when the socket takes bytes again, when much has come, and before a frame is refused.
///
/// A merged diff stands where its newest part stood, as the newest state does. So no frame tells of anything before it
/// happened: event times do not fall, and a partial book still comes behind the diff that has its id. At the place of
/// its oldest part it would overtake trades and best prices that are older than its end.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    data: Vec<u8>,
    /// Where the unsent data begins.
    data_from: usize,
    /// How many bytes there belong to a frame that is partly sent.
    begun: usize,
    /// Frames in the data that need not all wait; some may have gone already.
    marks: Marks,
    /// Waiting data at which to look again.
    tidy_at: usize,
    /// The socket has refused bytes since the outbox was begun.
    is_stuck: bool,
    control: Vec<u8>,
    control_from: usize,
}

/// The outbox would exceed its limit: all that may still be pushed is the last frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Outbox {
    /// Takes over `parts`, of whose bytes the first `sent` have gone already.
    pub(super) fn begin<'a>(
        &mut self,
        parts: impl Iterator<Item = Part<'a>>,
        mut sent: usize,
        bytes_max: usize,
    ) -> Result<(), Full> {
        for part in parts {
            let skipped = sent.min(part.bytes.len());
            sent -= skipped;
            let mut rest = part;
            if skipped > 0 {
                let begun = begun(part.bytes, skipped);
                self.begun += begun;
                self.data.extend_from_slice(&part.bytes[skipped..skipped + begun]);
                rest = part.behind(skipped + begun);
            }
            self.append(rest);
        }
        // Only all of the pass shows what of it need not wait.
        self.fit(bytes_max)
    }

    /// Puts whole frames behind those of their class. The last frame is never refused; all data but a frame that was
    /// begun makes way for it.
    pub(super) fn push(&mut self, part: Part<'_>, bytes_max: usize) -> Result<(), Full> {
        self.append(part);
        if part.class == Class::Last {
            return Ok(());
        }
        let waiting = self.data.len() - self.data_from;
        if waiting >= self.tidy_at.max(TIDIED_BYTES_MIN) {
            self.tidy(Merging::Cheap);
            // Half as much again or more: looking costs little more than copying did. Not all at the same size: those who
            // are slow together have the same waiting, and one pass should not have to merge it for all of them.
            let left = self.data.len() - self.data_from;
            self.tidy_at = left + left / 2 + fastrand::usize(..=left / 2);
        }
        self.fit(bytes_max)
    }

    fn append(&mut self, part: Part<'_>) {
        match part.class {
            Class::Data => {
                self.marks.push(self.data.len(), part);
                self.data.extend_from_slice(part.bytes);
            }
            Class::Control => self.control.extend_from_slice(part.bytes),
            Class::Last => {
                self.data.truncate(self.data_from + self.begun);
                self.data.shrink_to_fit();
                self.marks = Marks::default();
                self.control.extend_from_slice(part.bytes);
            }
        }
    }

    /// Sees to it that what waits is within the limit. What came last is in already and was one pass at most: whether
    /// it is too much shows when all is tidy.
    fn fit(&mut self, bytes_max: usize) -> Result<(), Full> {
        if self.len() <= bytes_max {
            return Ok(());
        }
        self.tidy(Merging::Dear);
        if self.len() > bytes_max {
            return Err(Full);
        }
        if self.data.capacity() / 2 > bytes_max {
            self.data.shrink_to(bytes_max);
        }
        Ok(())
    }

    fn tidy(&mut self, merging: Merging) {
        self.marks.tidy(&mut self.data, self.data_from + self.begun, merging);
    }

    /// How many frames of states were dropped since the last call.
    pub(super) fn take_conflated(&mut self) -> u64 {
        mem::take(&mut self.marks.conflated)
    }

    /// How many diffs became part of a later one since the last call.
    pub(super) fn take_merged(&mut self) -> u64 {
        mem::take(&mut self.marks.merged)
    }

    /// How many bytes wait.
    pub(super) fn len(&self) -> usize {
        self.data.len() - self.data_from + self.control.len() - self.control_from
    }

    /// Writes until all is gone (`true`) or the socket takes no more (`false`).
    ///
    /// # Errors
    /// The socket's.
    pub(super) fn drain(&mut self, wire: &mut impl Write, tally: &mut Tally) -> io::Result<bool> {
        // A pass that one write did not take is mostly taken by the next: it is not worth merging yet.
        self.tidy(if self.is_stuck { Merging::Cheap } else { Merging::Not });
        tally.conflated += self.take_conflated();
        tally.merged += self.take_merged();
        loop {
            let is_control = self.begun == 0 && self.control_from < self.control.len();
            let bytes = if is_control {
                &self.control[self.control_from..]
            } else if self.control.is_empty() {
                &self.data[self.data_from..]
            } else {
                // Control frames wait: no more data than what finishes the frame that was begun.
                &self.data[self.data_from..self.data_from + self.begun]
            };
            if bytes.is_empty() {
                return Ok(true);
            }
            tally.writes += 1;
            let sent = match wire.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(sent) => sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_stuck = true;
                    return Ok(false);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            tally.bytes += sent as u64;
            if is_control {
                self.sent_control(sent);
            } else {
                self.sent_data(sent);
            }
        }
    }

    fn sent_control(&mut self, sent: usize) {
        self.control_from += sent;
        if self.control_from == self.control.len() {
            self.control.clear();
            self.control_from = 0;
        }
    }

    fn sent_data(&mut self, sent: usize) {
        self.begun = match sent.checked_sub(self.begun) {
            None => self.begun - sent,
            Some(0) => 0,
            Some(beyond) => begun(&self.data[self.data_from + self.begun..], beyond),
        };
        self.data_from += sent;
        if self.data_from >= SENT_BYTES_MAX && self.data_from * 2 >= self.data.len() {
            self.data.drain(..self.data_from);
            self.marks.moved_up(self.data_from);
            self.data_from = 0;
        }
    }
}

/// How many bytes are missing from the frame in `frames` that the first `sent` bytes end in; zero at a border.
fn begun(frames: &[u8], sent: usize) -> usize {
    let mut end = 0;
    while end < sent {
        end += frame::length(&frames[end..]);
    }
    end - sent
}

#[cfg(test)]
mod tests;
