//! The cases of the Autobahn test suite that concern a server's reading side, in small.

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1000;
const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

/// A masked frame; `first` is the first byte on the wire (flags and opcode).
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        0..=125 => out.push(0x80 | payload.len() as u8),
        126..=65_535 => {
            out.push(0x80 | 126);
            out.extend((payload.len() as u16).to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend((payload.len() as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.into_iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

/// All that `bytes` say, read in pieces of `piece` bytes, and the violation that ends them.
fn read(bytes: &[u8], piece: usize) -> (Vec<String>, Option<CloseReason>) {
    let mut reader = FrameReader::default();
    let mut said = Vec::new();
    for part in bytes.to_vec().chunks_mut(piece) {
        let result = reader.read(part, LIMIT, |incoming| {
            said.push(format!("{incoming:?}"));
            ControlFlow::Continue(())
        });
        if let Err(reason) = result {
            return (said, Some(reason));
        }
    }
    (said, None)
}

#[track_caller]
fn assert_said(frames: &[Vec<u8>], said: &[&str], violation: Option<CloseReason>) {
    let bytes = frames.concat();
    for piece in [bytes.len(), 1, 2, 7] {
        assert_eq!(read(&bytes, piece), (said.iter().map(|&text| text.to_owned()).collect(), violation), "by {piece}");
    }
}

#[test]
fn whole_frames_of_every_length_form() {
    for length in [0, 1, 7, 8, 125, 126, 127, 1000] {
        let text = "x".repeat(length);
        assert_said(&[frame(0x81, text.as_bytes())], &[&format!("{:?}", Incoming::Text(&text))], None);
    }
}

#[test]
fn fragments_are_joined_and_control_frames_come_between() {
    let frames =
        [frame(0x01, "hé".as_bytes()), frame(0x89, b"p"), frame(0x00, b""), frame(0x80, b"llo"), frame(0x8A, b"")];
    assert_said(&frames, &["Ping([112])", "Text(\"héllo\")", "Pong([])"], None);
    // A character may be cut by a fragment's border: only whole messages are text.
    assert_said(&[frame(0x01, b"\xC3"), frame(0x80, b"\xA9")], &["Text(\"é\")"], None);
    assert_said(&[frame(0x02, b"\xFF"), frame(0x80, b"\xFF")], &["Binary"], None);
}

#[test]
fn violations_are_named() {
    use CloseReason::{InvalidUtf8, Protocol, TooBig};
    let unmasked = vec![0x81, 1, b'x'];
    assert_said(&[frame(0x81, b"a"), unmasked], &["Text(\"a\")"], Some(Protocol));
    for first in [0xC1, 0xA1, 0x91, 0x83, 0x87, 0x8B, 0x8F] {
        assert_said(&[frame(first, b"")], &[], Some(Protocol));
    }
    // Control frames: no fragments, at most 125 bytes.
    assert_said(&[frame(0x09, b"")], &[], Some(Protocol));
    assert_said(&[frame(0x89, &[0; 126])], &[], Some(Protocol));
    // Continuations without a beginning, and a new message inside one.
    assert_said(&[frame(0x80, b"x")], &[], Some(Protocol));
    assert_said(&[frame(0x01, b"x"), frame(0x81, b"y")], &[], Some(Protocol));
    assert_said(&[frame(0x81, b"\xFF")], &[], Some(InvalidUtf8));
    assert_said(&[frame(0x01, b"\xFF"), frame(0x80, b"")], &[], Some(InvalidUtf8));
    assert_said(&[frame(0x81, &[b'x'; LIMIT + 1])], &[], Some(TooBig));
    assert_said(&[frame(0x01, &[b'x'; LIMIT - 200]), frame(0x80, &[b'x'; 201])], &[], Some(TooBig));
    // A length with its highest bit set is no length.
    assert_said(&[vec![0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0]], &[], Some(Protocol));
}

#[test]
fn small_fragments_cannot_exceed_the_limit_either() {
    let mut frames = vec![frame(0x01, b"")];
    frames.extend(std::iter::repeat_n(frame(0x00, &[b'x'; 100]), 11));
    assert_said(&frames, &[], Some(CloseReason::TooBig));
}

#[test]
fn close_codes_are_checked_and_nothing_is_read_behind_them() {
    for code in [1000_u16, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4999] {
        let payload = [&code.to_be_bytes()[..], b"bye"].concat();
        assert_eq!(
            read(&[frame(0x88, &payload), frame(0x81, b"late")].concat(), usize::MAX),
            (vec![format!("Close(Some({code}))")], None)
        );
    }
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1100, 2000, 2999, 5000, 65_535] {
        assert_said(&[frame(0x88, &code.to_be_bytes())], &[], Some(CloseReason::Protocol));
    }
    assert_said(&[frame(0x88, b"")], &["Close(None)"], None);
    assert_said(&[frame(0x88, b"\x03")], &[], Some(CloseReason::Protocol));
    assert_said(&[frame(0x88, b"\x03\xE8\xFF")], &[], Some(CloseReason::InvalidUtf8));
}

#[test]
fn a_large_claim_is_refused_before_its_bytes_come() {
    let mut reader = FrameReader::default();
    let mut header = [0x81, 0xFF, 0, 0, 0, 0, 0, 0x98, 0x96, 0x80];
    assert_eq!(reader.read(&mut header, LIMIT, |_| ControlFlow::Continue(())), Err(CloseReason::TooBig));
}

#[test]
fn nothing_is_kept_between_whole_messages() {
    let mut reader = FrameReader::default();
    let mut bytes = [frame(0x01, b"a"), frame(0x80, b"b"), frame(0x81, b"cdef")].concat();
    let (first, second) = bytes.split_at_mut(10);
    reader.read(first, LIMIT, |_| ControlFlow::Continue(())).unwrap();
    assert!(reader.unfinished.is_some());
    reader.read(second, LIMIT, |_| ControlFlow::Continue(())).unwrap();
    assert!(reader.unfinished.is_none());
}

#[test]
fn breaking_off_stops_the_reading() {
    let mut reader = FrameReader::default();
    let mut count = 0;
    let mut bytes = [frame(0x81, b"a"), frame(0x81, b"b")].concat();
    reader
        .read(&mut bytes, LIMIT, |_| {
            count += 1;
            ControlFlow::Break(())
        })
        .unwrap();
    assert_eq!(count, 1);
}

proptest! {
    #[test]
    fn any_cut_reads_the_same(texts in prop::collection::vec("[a-zé]{0,300}", 1..6), piece in 1_usize..400) {
        let bytes: Vec<u8> = texts.iter().flat_map(|text| frame(0x81, text.as_bytes())).collect();
        let expected = texts.iter().map(|text| format!("{:?}", Incoming::Text(text))).collect();
        prop_assert_eq!(read(&bytes, piece), (expected, None));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, piece in 1_usize..50) {
        let _ = read(&bytes, piece);
    }
}
