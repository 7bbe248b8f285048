//! WebSocket frames as a client sees them (RFC 6455): read in place from a server, written masked.

/// A frame at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub opcode: Opcode,
    /// Whether the message ends with it.
    pub is_last: bool,
    /// Bytes of the header.
    pub header: usize,
    /// Header and payload together.
    pub length: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

/// The frame that `bytes` begin with, as far as its header is there: its payload may still be on the way. `None` as long as
/// the header is incomplete.
///
/// # Errors
/// What is wrong with it.
pub(super) fn head(bytes: &[u8]) -> Result<Option<Frame>, &'static str> {
    let &[first, second, ref after @ ..] = bytes else { return Ok(None) };
    let opcode = match first & 0x0F {
        0x0 => Opcode::Continuation,
        0x1 => Opcode::Text,
        0x2 => Opcode::Binary,
        0x8 => Opcode::Close,
        0x9 => Opcode::Ping,
        0xA => Opcode::Pong,
        _ => return Err("a frame of an unknown kind"),
    };
    if first & 0x70 != 0 {
        return Err("a frame with reserved bits");
    }
    if second & 0x80 != 0 {
        return Err("a masked frame");
    }
    let (header, payload) = match (second, after) {
        (126, &[high, low, ..]) => (4, u64::from(u16::from_be_bytes([high, low]))),
        (127, &[a, b, c, d, e, f, g, h, ..]) => (10, u64::from_be_bytes([a, b, c, d, e, f, g, h])),
        (126 | 127, _) => return Ok(None),
        (short, _) => (2, u64::from(short)),
    };
    let length = usize::try_from(payload).ok().and_then(|payload| payload.checked_add(header));
    let length = length.filter(|&length| length <= FRAME_BYTES_MAX).ok_or("a frame of more than a megabyte")?;
    Ok(Some(Frame { opcode, is_last: first & 0x80 != 0, header, length }))
}

/// Longest frame that is read; the longest of Binance's (an array of all tickers) has some 600 KB.
pub(super) const FRAME_BYTES_MAX: usize = 1 << 20;

/// Appends a pong with the payload of the ping. The mask is zero: it hides nothing from a proxy here, and RFC 6455 only asks
/// that there is one.
pub(super) fn pong(out: &mut Vec<u8>, payload: &[u8]) {
    let length = payload.len().min(125);
    out.extend_from_slice(&[0x8A, 0x80 | length as u8, 0, 0, 0, 0]);
    out.extend_from_slice(&payload[..length]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads frames out of `bytes` that come in two parts; payloads by opcode.
    fn read(bytes: &[u8], split: usize) -> Vec<(Opcode, Vec<u8>)> {
        let mut kept = Vec::new();
        let mut frames = Vec::new();
        for part in [&bytes[..split], &bytes[split..]] {
            kept.extend_from_slice(part);
            let mut at = 0;
            while let Some(frame) = head(&kept[at..]).expect("sound frames") {
                if kept.len() - at < frame.length {
                    break;
                }
                frames.push((frame.opcode, kept[at + frame.header..at + frame.length].to_vec()));
                at += frame.length;
            }
            kept.drain(..at);
        }
        assert!(kept.is_empty(), "split at {split}: {} bytes are left", kept.len());
        frames
    }

    #[test]
    fn frames_are_the_same_however_they_are_split() {
        let mut bytes = Vec::new();
        let payloads = [&b""[..], b"short", &[b'm'; 126], &[b'l'; 70_000]];
        bytes.extend_from_slice(&[0x81, 0]);
        bytes.extend_from_slice(b"\x89\x05short");
        bytes.extend_from_slice(&[0x82, 126, 0, 126]);
        bytes.extend_from_slice(payloads[2]);
        bytes.extend_from_slice(&[0x81, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70]);
        bytes.extend_from_slice(payloads[3]);
        let opcodes = [Opcode::Text, Opcode::Ping, Opcode::Binary, Opcode::Text];
        let expected: Vec<_> = opcodes.into_iter().zip(payloads.map(<[u8]>::to_vec)).collect();
        for split in (0..200).chain(bytes.len() - 20..=bytes.len()) {
            assert_eq!(read(&bytes, split), expected, "split at {split}");
        }
    }

    #[test]
    fn what_no_server_may_send_is_refused() {
        for (bytes, word) in [
            (&[0x83, 0][..], "unknown"),
            (&[0xC1, 0], "reserved"),
            (&[0x81, 0x80, 0, 0, 0, 0], "masked"),
            (&[0x81, 127, 0, 0, 0, 0, 1, 0, 0, 0], "megabyte"),
            (&[0x81, 127, 255, 255, 255, 255, 255, 255, 255, 255], "megabyte"),
        ] {
            assert!(head(bytes).expect_err("wrong").contains(word), "{bytes:?}");
        }
    }

    #[test]
    fn a_pong_is_masked_and_carries_the_pings_payload() {
        let mut out = Vec::new();
        pong(&mut out, b"1789000020000");
        assert_eq!(out, b"\x8a\x8d\x00\x00\x00\x001789000020000");
    }
}
