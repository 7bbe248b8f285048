//! What waits for a slow session: bounded, in whole frames, freed as soon as it is empty.

use std::{
    collections::HashSet,
    io::{self, ErrorKind, Write},
};

use super::{
    Tally,
    arena::{Class, Part, StateKey},
};
use crate::encode::frame;

/// Bytes sent from the front after which the rest is moved there.
const SENT_BYTES_MAX: usize = 64 << 10;

/// Waiting bytes from which stale states are dropped, although the socket takes nothing yet.
const CONFLATED_BYTES_MIN: usize = 16 << 10;

/// The frames that one socket did not take. A frame that was begun is finished first; then control frames go, then data.
///
/// Of each state only the newest frame is ever sent: older ones that wait are dropped when the socket takes bytes again,
/// when they have become many, and before a frame is refused.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    data: Vec<u8>,
    /// Where the unsent data begins.
    data_from: usize,
    /// How many bytes there belong to a frame that is partly sent.
    begun: usize,
    /// Frames of states in the data, in order; some may have gone already.
    states: Vec<State>,
    /// Some came since stale ones were last looked for.
    has_new_states: bool,
    /// Waiting data at which to look again.
    conflate_at: usize,
    conflated: u64,
    control: Vec<u8>,
    control_from: usize,
}

/// A frame in the data that a newer one replaces.
#[derive(Debug)]
struct State {
    at: usize,
    length: usize,
    key: StateKey,
    is_stale: bool,
}

/// The outbox would exceed its limit.
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
            self.push(rest, bytes_max)?;
        }
        Ok(())
    }

    /// Puts whole frames behind those of their class, or refuses them all. The last frame is never refused; all data
    /// but a frame that was begun makes way for it.
    pub(super) fn push(&mut self, part: Part<'_>, bytes_max: usize) -> Result<(), Full> {
        if part.class == Class::Last {
            self.data.truncate(self.data_from + self.begun);
            self.states.clear();
        } else if self.len() + part.bytes.len() > bytes_max {
            self.conflate(part.states().map(|(_, _, key)| key).collect());
            if self.len() + part.bytes.len() > bytes_max {
                return Err(Full);
            }
        }
        match part.class {
            Class::Data => self.push_data(part),
            Class::Control | Class::Last => self.control.extend_from_slice(part.bytes),
        }
        Ok(())
    }

    fn push_data(&mut self, part: Part<'_>) {
        let base = self.data.len();
        self.data.extend_from_slice(part.bytes);
        let before = self.states.len();
        let states = part.states().map(|(at, length, key)| State { at: base + at, length, key, is_stale: false });
        self.states.extend(states);
        self.has_new_states |= self.states.len() > before;
        if self.data.len() - self.data_from >= self.conflate_at.max(CONFLATED_BYTES_MIN) {
            self.conflate(HashSet::new());
            // Twice what is left: looking costs no more than copying did.
            self.conflate_at = 2 * (self.data.len() - self.data_from);
        }
    }

    /// Drops frames of states that were not begun and of which a newer one waits, or is one of `newer`.
    fn conflate(&mut self, mut newer: HashSet<StateKey>) {
        if !self.has_new_states && newer.is_empty() {
            return;
        }
        self.has_new_states = false;
        let Self { data, states, .. } = self;
        let unsent = self.data_from + self.begun;
        for state in states.iter_mut().rev().take_while(|state| state.at >= unsent) {
            state.is_stale = !newer.insert(state.key);
        }
        let (mut from, mut to) = (unsent, unsent);
        states.retain_mut(|state| {
            if state.at < unsent {
                return false;
            }
            // What lies before it moves up to what is kept already.
            data.copy_within(from..state.at, to);
            to += state.at - from;
            from = state.at;
            state.at = to;
            if state.is_stale {
                from += state.length;
                self.conflated += 1;
            }
            !state.is_stale
        });
        data.copy_within(from.., to);
        data.truncate(data.len() - (from - to));
    }

    /// How many frames were dropped since the last call.
    pub(super) fn take_conflated(&mut self) -> u64 {
        std::mem::take(&mut self.conflated)
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
        self.conflate(HashSet::new());
        tally.conflated += self.take_conflated();
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
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
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
            self.states.retain_mut(|state| match state.at.checked_sub(self.data_from) {
                Some(at) => {
                    state.at = at;
                    true
                }
                None => false,
            });
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
mod tests {
    use super::*;
    use crate::encode::frame::Opcode;

    /// Takes `room` bytes, at most `most` per call.
    struct Narrow {
        taken: Vec<u8>,
        room: usize,
        most: usize,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room).min(self.most);
            if count == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.room -= count;
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn text(payload: &str) -> Vec<u8> {
        let mut out = Vec::new();
        frame::frame(&mut out, Opcode::Text, payload.as_bytes());
        out
    }

    fn ping() -> Vec<u8> {
        let mut out = Vec::new();
        frame::frame(&mut out, Opcode::Ping, b"1");
        out
    }

    fn data(bytes: &[u8]) -> Part<'_> {
        Part::alone(bytes, Class::Data)
    }

    fn control(bytes: &[u8]) -> Part<'_> {
        Part::alone(bytes, Class::Control)
    }

    #[test]
    fn whatever_the_socket_takes_frames_stay_whole_and_control_overtakes_data() {
        let (a, b, c) = (text("aaaa"), text(&"b".repeat(200)), text("c"));
        let sent_whole = [&a[..], &b, &c].concat();
        for sent in 0..sent_whole.len() {
            for most in [1, 3, 1000] {
                let mut outbox = Outbox::default();
                outbox.begin([data(&[&a[..], &b].concat()), data(&c)].into_iter(), sent, 1000).unwrap();
                outbox.push(control(&ping()), 1000).unwrap();
                assert_eq!(outbox.len(), sent_whole.len() - sent + 3);
                let mut wire = Narrow { taken: sent_whole[..sent].to_vec(), room: usize::MAX, most };
                assert!(outbox.drain(&mut wire, &mut Tally::default()).unwrap());
                assert_eq!(outbox.len(), 0);
                // The ping stands at the first border at or after `sent`.
                let border =
                    [0, a.len(), a.len() + b.len(), sent_whole.len()].into_iter().find(|&at| at >= sent).unwrap();
                let expected = [&sent_whole[..border], &ping(), &sent_whole[border..]].concat();
                assert_eq!(wire.taken, expected, "{sent} sent, {most} at a time");
            }
        }
    }

    #[test]
    fn control_may_come_in_the_middle_of_a_long_drain() {
        let frames: Vec<u8> = (0..5000).flat_map(|n| text(&format!("{n:0>width$}", width = n % 300 + 4))).collect();
        let mut outbox = Outbox::default();
        outbox.push(data(&frames), usize::MAX).unwrap();
        let mut random = fastrand::Rng::with_seed(3);
        let mut wire = Narrow { taken: Vec::new(), room: 0, most: usize::MAX };
        let mut pings = 0;
        while !outbox.drain(&mut wire, &mut Tally::default()).unwrap() {
            wire.room = random.usize(1..5000);
            if random.u8(0..4) == 0 {
                outbox.push(control(&ping()), usize::MAX).unwrap();
                pings += 1;
            }
        }
        let mut rest = &wire.taken[..];
        let mut received = Vec::new();
        while !rest.is_empty() {
            let (one, after) = rest.split_at(frame::length(rest));
            if one == ping() {
                pings -= 1;
            } else {
                received.extend_from_slice(one);
            }
            rest = after;
        }
        assert_eq!(pings, 0);
        assert!(received == frames, "all frames, whole and in order");
    }

    #[test]
    fn a_full_outbox_refuses_and_still_takes_the_last_frame() {
        let (a, b) = (text("aaaa"), text("bbbb"));
        let mut outbox = Outbox::default();
        outbox.begin([data(&[&a[..], &b].concat())].into_iter(), 2, 10).unwrap();
        assert_eq!(outbox.push(data(&b), 10), Err(Full));
        outbox.push(Part::alone(&ping(), Class::Last), 10).unwrap();
        let mut wire = Narrow { taken: a[..2].to_vec(), room: usize::MAX, most: usize::MAX };
        assert!(outbox.drain(&mut wire, &mut Tally::default()).unwrap());
        assert_eq!(wire.taken, [&a[..], &ping()].concat());
    }
}
