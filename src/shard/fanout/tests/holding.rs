//! Wires that hold bytes which they took, as TLS does: nothing is forgotten, and an end comes behind all of it.

use super::*;

/// A session that has been sent a trade of which the socket took ten bytes.
fn holding(rig: &mut Rig) -> Client {
    let client = rig.open("/ws/btcusdt@trade");
    client.pipe.0.holds.set(16 << 10);
    client.pipe.0.room.set(10);
    rig.pass(&[trade(0)]);
    assert_eq!(client.pipe.0.outbound.borrow().len(), 10);
    assert_eq!(rig.fanout.queued(), (0, 0), "the wire has it, the shard does not");
    client
}

#[test]
fn what_is_held_goes_on_although_there_is_nothing_more_to_say() {
    let mut rig = Rig::new(|_| {});
    let client = holding(&mut rig);
    for room in [0, 7, usize::MAX] {
        assert!(client.pipe.heard().is_empty());
        rig.feed(&client, room);
    }
    assert_eq!(client.pipe.heard(), [trade_text(0)]);
    // Notices without anything to do.
    rig.feed(&client, usize::MAX);
    rig.pass(&[trade(1)]);
    assert_eq!(client.pipe.heard(), [trade_text(1)]);
}

#[test]
fn what_comes_behind_it_waits_in_the_outbox() {
    for (holds, rooms) in [(1, 1), (50, 3), (1000, 40), (1 << 20, 100)] {
        let mut rig = Rig::new(|_| {});
        let client = holding(&mut rig);
        client.pipe.0.holds.set(holds);
        rig.pass(&[trade(1), trade(2)]);
        assert_eq!(rig.fanout.queued().1, 1);
        let mut heard = Vec::new();
        while rig.fanout.queued().1 > 0 {
            rig.feed(&client, rooms);
            heard.extend(client.pipe.heard());
        }
        rig.feed(&client, usize::MAX);
        heard.extend(client.pipe.heard());
        assert_eq!(heard, [0, 1, 2].map(trade_text), "{holds} held, room for {rooms}");
    }
}

#[test]
fn a_client_that_leaves_gets_its_answer_first() {
    // With or without a notice of room between its word and our answer.
    for is_noticed in [false, true] {
        let mut rig = Rig::new(|_| {});
        let client = holding(&mut rig);
        client.pipe.says(0x88, b"\x03\xE8");
        rig.read(&client);
        if is_noticed {
            rig.feed(&client, usize::MAX);
            assert_eq!(rig.fanout.sessions(), 1, "the answer is still to be written");
            client.pipe.0.room.set(1);
        }
        rig.pass(&[]);
        assert_eq!(rig.fanout.sessions(), 1, "the answer is still to be sent");
        rig.feed(&client, usize::MAX);
        assert_eq!(client.pipe.heard(), [trade_text(0), "close:1000:".to_owned()]);
        assert_eq!(rig.fanout.sessions(), 0);
    }
}

#[test]
fn an_end_of_ours_stands_behind_what_is_held() {
    for is_noticed in [false, true] {
        let mut rig = Rig::new(|_| {});
        let client = holding(&mut rig);
        client.pipe.says(0x82, b"binary");
        rig.read(&client);
        if is_noticed {
            rig.feed(&client, usize::MAX);
            assert!(!client.pipe.0.is_finished.get(), "the close frame is still to be written");
            client.pipe.0.room.set(1);
        }
        rig.pass(&[]);
        assert!(!client.pipe.0.is_finished.get(), "the close frame is still to be sent");
        rig.feed(&client, usize::MAX);
        let heard = client.pipe.heard();
        assert!(heard.len() == 2 && heard[1].starts_with("close:1"), "{heard:?}");
        assert!(client.pipe.0.is_finished.get());
    }
    // Without any room it is cut when its time is up.
    let mut rig = Rig::new(|_| {});
    let client = holding(&mut rig);
    client.pipe.says(0x88, b"");
    rig.read(&client);
    rig.pass(&[]);
    rig.sleep(60_000);
    rig.pass(&[]);
    assert_eq!(rig.fanout.sessions(), 0);
}

#[test]
fn an_end_waits_for_its_frame_when_a_plain_socket_has_room_again() {
    let mut rig = Rig::new(|_| {});
    let client = rig.open("/ws/btcusdt@trade");
    client.pipe.0.room.set(10);
    rig.pass(&[trade(0)]);
    // Both in one notice of the poll: bytes of the client, and room for ours.
    client.pipe.says(0x88, b"\x03\xE8");
    rig.read(&client);
    rig.feed(&client, usize::MAX);
    rig.pass(&[]);
    assert_eq!(client.pipe.heard(), [trade_text(0), "close:1000:".to_owned()]);
    assert_eq!(rig.fanout.sessions(), 0);
}
