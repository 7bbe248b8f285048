//! WebSocket frames of a server (RFC 6455): never masked, never fragmented, header and payload in one piece.

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// One JSON document.
    Text = 0x1,
    /// One SBE message.
    Binary = 0x2,
    /// The last frame of a connection.
    Close = 0x8,
    /// To be answered with a pong of the same payload.
    Ping = 0x9,
    /// The answer.
    Pong = 0xA,
}

/// Most payload bytes of a close, ping or pong frame (RFC 6455 section 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

/// Appends a frame around `payload`.
///
/// A control frame's payload has at most [`CONTROL_BYTES_MAX`] bytes.
pub fn frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    header(out, opcode, payload.len());
    out.extend_from_slice(payload);
}

/// Appends a text frame around `{"stream":"<name>","data":<body>}`.
///
/// Stream names hold no character that JSON would have to escape: [`crate::topic::StreamName`] refuses such.
pub fn combined(out: &mut Vec<u8>, name: &[u8], body: &[u8]) {
    header(out, Opcode::Text, BEFORE_NAME.len() + name.len() + BEFORE_BODY.len() + body.len() + 1);
    out.extend_from_slice(BEFORE_NAME);
    out.extend_from_slice(name);
    out.extend_from_slice(BEFORE_BODY);
    out.extend_from_slice(body);
    out.push(b'}');
}

/// Appends a close frame; without a code it is empty, and the reason is cut to what a control frame holds.
pub fn close(out: &mut Vec<u8>, code: Option<u16>, reason: &str) {
    let Some(code) = code else { return header(out, Opcode::Close, 0) };
    let fits = (0..=reason.len().min(CONTROL_BYTES_MAX - 2)).rev().find(|&at| reason.is_char_boundary(at));
    let reason = &reason[..fits.unwrap_or(0)];
    header(out, Opcode::Close, 2 + reason.len());
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

/// The length of the frame at the start of `frames`, header included: what lies in an outbox needs no second list
/// of where its frames begin.
///
/// # Panics
/// If `frames` does not begin with a whole header of a server's frame.
pub fn length(frames: &[u8]) -> usize {
    match frames[1] {
        126 => 4 + usize::from(u16::from_be_bytes([frames[2], frames[3]])),
        127 => {
            let bytes = frames[2..10].try_into().expect("eight bytes");
            10 + u64::from_be_bytes(bytes) as usize
        }
        short => 2 + usize::from(short),
    }
}

const BEFORE_NAME: &[u8] = b"{\"stream\":\"";
const BEFORE_BODY: &[u8] = b"\",\"data\":";
const FINAL: u8 = 0x80;

fn header(out: &mut Vec<u8>, opcode: Opcode, length: usize) {
    let first = FINAL | opcode as u8;
    match length {
        0..=125 => out.extend_from_slice(&[first, length as u8]),
        126..=0xFFFF => {
            let [high, low] = (length as u16).to_be_bytes();
            out.extend_from_slice(&[first, 126, high, low]);
        }
        _ => {
            out.extend_from_slice(&[first, 127]);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_take_the_shortest_form() {
        for (length_in, header_in) in [
            (0, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65_535, vec![0x81, 126, 0xFF, 0xFF]),
            (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut out = Vec::new();
            frame(&mut out, Opcode::Text, &vec![b'x'; length_in]);
            assert_eq!(out[..header_in.len()], header_in);
            assert_eq!(out.len(), header_in.len() + length_in);
            assert_eq!(length(&out), out.len());
        }
    }

    #[test]
    fn control_frames_carry_their_own_opcodes() {
        let mut out = Vec::new();
        frame(&mut out, Opcode::Ping, b"1789000020000");
        frame(&mut out, Opcode::Pong, b"");
        close(&mut out, Some(1008), "Pong timeout");
        close(&mut out, None, "never shown");
        let expected: &[u8] = b"\x89\x0d1789000020000\x8a\x00\x88\x0e\x03\xf0Pong timeout\x88\x00";
        assert_eq!(out, expected);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let mut out = Vec::new();
        close(&mut out, Some(1001), &"é".repeat(100));
        assert_eq!(out.len(), 2 + 2 + 122);
        assert!(std::str::from_utf8(&out[4..]).is_ok());
    }

    #[test]
    fn the_wrapper_goes_around_the_same_body() {
        let mut out = Vec::new();
        combined(&mut out, b"btcusdt@trade", b"{\"e\":1}");
        assert_eq!(out, b"\x81\x29{\"stream\":\"btcusdt@trade\",\"data\":{\"e\":1}}");
        assert_eq!(length(&out), out.len());
    }
}
