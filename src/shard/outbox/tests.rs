//! Outboxes against sockets that take what they like.

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
            let border = [0, a.len(), a.len() + b.len(), sent_whole.len()].into_iter().find(|&at| at >= sent).unwrap();
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
