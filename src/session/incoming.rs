//! Frames of a client (RFC 6455): read in place, checked as early as their bytes allow, joined to messages.

use std::{ops::ControlFlow, str};

use super::CloseReason;

/// What a client said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary,
    /// To be answered with the same payload.
    Ping(&'a [u8]),
    /// An answer to a ping of ours, or a sign of life.
    Pong(&'a [u8]),
    /// The client's last word, with its code if it gave one.
    Close(Option<u16>),
}

/// Reads the frames of one client. It holds memory only while a frame or a fragmented message is incomplete.
#[derive(Debug, Default)]
pub struct FrameReader {
    unfinished: Option<Box<Unfinished>>,
}

#[derive(Debug, Default)]
struct Unfinished {
    /// The beginning of a frame, still masked.
    frame: Vec<u8>,
    /// Payloads of the fragments so far.
    message: Vec<u8>,
    /// What kind of message is being fragmented, if one is.
    kind: Option<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opcode {
    Continuation,
    Message(Kind),
    Close,
    Ping,
    Pong,
}

#[derive(Clone, Copy, Debug)]
struct Header {
    last: bool,
    opcode: Opcode,
    mask: [u8; 4],
    /// Bytes of the header itself.
    length: usize,
    payload: usize,
}

impl FrameReader {
    /// Reads all of `bytes`, which are unmasked in place, and hands each message and control frame to `deliver` in
    /// order. Stops early, without error, when `deliver` breaks off and after a close frame.
    ///
    /// No message may have more than `message_bytes_max` bytes; memory grows with what was received, never with what a
    /// header claims.
    ///
    /// # Errors
    /// How the client broke the protocol: what was delivered before stands, the session has to be closed.
    pub fn read(
        &mut self,
        bytes: &mut [u8],
        message_bytes_max: usize,
        mut deliver: impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Result<(), CloseReason> {
        let mut rest = bytes;
        loop {
            let (header, mut kept);
            let frame = if self.unfinished.as_ref().is_some_and(|unfinished| !unfinished.frame.is_empty()) {
                let taken = self.complete(rest, message_bytes_max)?;
                rest = &mut rest[taken..];
                kept = std::mem::take(&mut self.unfinished().frame);
                match self.header(&kept, message_bytes_max)? {
                    Some(whole) if kept.len() == whole.length + whole.payload => header = whole,
                    _ => {
                        self.unfinished().frame = kept;
                        return Ok(());
                    }
                }
                &mut kept[..]
            } else {
                match self.header(rest, message_bytes_max)? {
                    Some(whole) if rest.len() >= whole.length + whole.payload => header = whole,
                    _ => {
                        if !rest.is_empty() {
                            self.unfinished().frame.extend_from_slice(rest);
                        }
                        return Ok(());
                    }
                }
                let (frame, after) = rest.split_at_mut(header.length + header.payload);
                rest = after;
                frame
            };
            let flow = self.frame(header, &mut frame[header.length..], &mut deliver)?;
            if self.unfinished.as_ref().is_some_and(|it| it.frame.is_empty() && it.kind.is_none()) {
                self.unfinished = None;
            }
            if flow.is_break() || rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// Moves bytes of `rest` behind the kept beginning of a frame, at most up to its end; returns how many.
    fn complete(&mut self, rest: &[u8], message_bytes_max: usize) -> Result<usize, CloseReason> {
        let mut taken = 0;
        loop {
            let frame = &self.unfinished.as_ref().expect("a frame was begun").frame;
            let whole = match self.header(frame, message_bytes_max)? {
                Some(header) => header.length + header.payload,
                // The header itself is incomplete: it grows byte by byte until it says how long it is.
                None => frame.len() + 1,
            };
            let missing = (whole - frame.len()).min(rest.len() - taken);
            if missing == 0 {
                return Ok(taken);
            }
            self.unfinished().frame.extend_from_slice(&rest[taken..taken + missing]);
            taken += missing;
        }
    }

    /// Reads and checks the header at the start of `bytes`; `None` if it is incomplete.
    fn header(&self, bytes: &[u8], message_bytes_max: usize) -> Result<Option<Header>, CloseReason> {
        let &[first, second, ref after @ ..] = bytes else { return Ok(None) };
        let last = first & 0x80 != 0;
        let opcode = match first & 0x0F {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Message(Kind::Text),
            0x2 => Opcode::Message(Kind::Binary),
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xA => Opcode::Pong,
            _ => return Err(CloseReason::Protocol),
        };
        let is_reserved = first & 0x70 != 0;
        let is_masked = second & 0x80 != 0;
        let short = second & 0x7F;
        let fragments = self.unfinished.as_ref().filter(|unfinished| unfinished.kind.is_some());
        let is_in_order = match opcode {
            Opcode::Continuation => fragments.is_some(),
            Opcode::Message(_) => fragments.is_none(),
            Opcode::Close | Opcode::Ping | Opcode::Pong => last && short <= 125,
        };
        if is_reserved || !is_masked || !is_in_order {
            return Err(CloseReason::Protocol);
        }
        let (payload, length_bytes) = match (short, after) {
            (126, &[a, b, ..]) => (u64::from(u16::from_be_bytes([a, b])), 2),
            (127, &[a, b, c, d, e, f, g, h, ..]) => (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 8),
            (126 | 127, _) => return Ok(None),
            (short, _) => (u64::from(short), 0),
        };
        if payload >> 63 != 0 {
            return Err(CloseReason::Protocol);
        }
        let before = fragments.map_or(0, |unfinished| unfinished.message.len());
        let payload = usize::try_from(payload).map_err(|_| CloseReason::TooBig)?;
        let is_data = matches!(opcode, Opcode::Continuation | Opcode::Message(_));
        if is_data && payload > message_bytes_max.saturating_sub(before) {
            return Err(CloseReason::TooBig);
        }
        let Some(&mask) = after[length_bytes..].first_chunk::<4>() else { return Ok(None) };
        Ok(Some(Header { last, opcode, mask, length: 2 + length_bytes + 4, payload }))
    }

    /// Unmasks one whole frame and delivers what it completes.
    fn frame(
        &mut self,
        header: Header,
        payload: &mut [u8],
        deliver: &mut impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, CloseReason> {
        unmask(payload, header.mask);
        match header.opcode {
            Opcode::Ping => Ok(deliver(Incoming::Ping(payload))),
            Opcode::Pong => Ok(deliver(Incoming::Pong(payload))),
            Opcode::Close => {
                let code = close_code(payload)?;
                // A client that has closed says nothing more: RFC 6455 section 1.4.
                let _ = deliver(Incoming::Close(code));
                Ok(ControlFlow::Break(()))
            }
            Opcode::Message(kind) if header.last => Ok(deliver(message(kind, payload)?)),
            Opcode::Message(kind) => {
                let unfinished = self.unfinished();
                unfinished.kind = Some(kind);
                unfinished.message.extend_from_slice(payload);
                Ok(ControlFlow::Continue(()))
            }
            Opcode::Continuation => {
                let unfinished = self.unfinished();
                unfinished.message.extend_from_slice(payload);
                if !header.last {
                    return Ok(ControlFlow::Continue(()));
                }
                let kind = unfinished.kind.take().expect("the header check lets no continuation through without one");
                let whole = std::mem::take(&mut unfinished.message);
                Ok(deliver(message(kind, &whole)?))
            }
        }
    }

    fn unfinished(&mut self) -> &mut Unfinished {
        self.unfinished.get_or_insert_default()
    }
}

fn message(kind: Kind, payload: &[u8]) -> Result<Incoming<'_>, CloseReason> {
    match kind {
        Kind::Binary => Ok(Incoming::Binary),
        Kind::Text => str::from_utf8(payload).map(Incoming::Text).map_err(|_| CloseReason::InvalidUtf8),
    }
}

/// The code in a close frame's payload, if it may stand there (RFC 6455 section 7.4, and the registry behind it).
fn close_code(payload: &[u8]) -> Result<Option<u16>, CloseReason> {
    let (code, reason) = match *payload {
        [] => return Ok(None),
        [high, low, ref reason @ ..] => (u16::from_be_bytes([high, low]), reason),
        [_] => return Err(CloseReason::Protocol),
    };
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(CloseReason::Protocol);
    }
    str::from_utf8(reason).map_err(|_| CloseReason::InvalidUtf8)?;
    Ok(Some(code))
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = payload.chunks_exact_mut(8);
    for word in &mut words {
        let value = u64::from_ne_bytes((&*word).try_into().expect("chunks of eight"));
        word.copy_from_slice(&(value ^ wide).to_ne_bytes());
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests;
