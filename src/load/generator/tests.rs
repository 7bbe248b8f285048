//! A generator against a server that the test plays.

use std::{
    net::TcpListener,
    sync::mpsc,
    thread::{self, JoinHandle},
};

use mio::Waker;

use super::*;

/// Nothing here takes so long unless it hangs.
const HANG: Duration = Duration::from_secs(60);

struct Running {
    orders: mpsc::Sender<Order>,
    said: mpsc::Receiver<Said>,
    waker: Waker,
    thread: JoinHandle<()>,
}

impl Running {
    /// One client of stream `a@trade` at `listener`.
    fn start(listener: &TcpListener) -> Self {
        let (orders, ordered) = mpsc::channel();
        let (say, said) = mpsc::channel();
        let poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), CALLED).expect("a waker");
        let parts = Parts {
            address: listener.local_addr().expect("bound"),
            host: "test".to_owned(),
            path: String::new(),
            streams: Arc::new(Streams::new(&["a@trade".to_owned()])),
            clients: vec![Client::new(Role::Steady, [0].into(), None)],
            storm_every: None,
            in_flight_max: 1,
            open: Arc::default(),
            orders: ordered,
            said: say,
        };
        Self { orders, said, waker, thread: thread::spawn(|| Generator::new(parts, poll).run()) }
    }

    fn order(&self, order: Order) {
        self.orders.send(order).expect("it runs");
        self.waker.wake().expect("it runs");
    }

    fn hear(&self) -> Said {
        self.said.recv_timeout(HANG).expect("it says something")
    }

    /// What came once `deliveries` have.
    fn until(&self, deliveries: u64) -> Tally {
        loop {
            self.order(Order::Mark);
            let Said::Marked([steady, ..]) = self.hear() else { continue };
            if steady.deliveries >= deliveries {
                return steady;
            }
            thread::yield_now();
        }
    }

    fn finish(self) -> Outcome {
        self.order(Order::Finish);
        let outcome = loop {
            if let Said::Finished(outcome) = self.hear() {
                break *outcome;
            }
        };
        self.thread.join().expect("it ends in order");
        outcome
    }
}

/// Accepts one client and reads its request.
fn accept(listener: &TcpListener) -> std::net::TcpStream {
    let (mut stream, _) = listener.accept().expect("a client");
    stream.set_read_timeout(Some(HANG)).expect("not zero");
    stream.set_nodelay(true).expect("a socket");
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a whole request");
        request.push(byte[0]);
    }
    assert!(request.starts_with(b"GET /stream?streams=a@trade&timeUnit=MICROSECOND HTTP/1.1\r\nHost: test\r\n"));
    stream
}

fn trade(id: u64) -> Vec<u8> {
    let body =
        format!(r#"{{"stream":"a@trade","data":{{"e":"trade","E":1789000020123456,"s":"A","t":{id},"p":"1.0"}}}}"#);
    [&[0x81, body.len() as u8][..], body.as_bytes()].concat()
}

const UPGRADE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

#[test]
fn what_comes_byte_by_byte_is_heard_like_any_other() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let running = Running::start(&listener);
    let mut server = accept(&listener);
    let mut bytes = UPGRADE.to_vec();
    // A long frame among them, and a hole of two.
    let long =
        format!(r#"{{"stream":"a@trade","data":{{"e":"trade","E":1,"s":"A","t":3,"p":"{}"}}}}"#, "1".repeat(300));
    bytes.extend([trade(1), trade(2)].concat());
    bytes.extend([0x81, 126]);
    bytes.extend((long.len() as u16).to_be_bytes());
    bytes.extend(long.as_bytes());
    bytes.extend([trade(6), b"\x89\x03abc".to_vec(), trade(7)].concat());
    for byte in &bytes {
        server.write_all(&[*byte]).expect("it reads");
    }
    let tally = running.until(5);
    assert_eq!((tally.deliveries, tally.checked, tally.holes, tally.missing), (5, 4, 1, 2));
    assert_eq!(tally.bytes, (bytes.len() - UPGRADE.len() - 5) as u64);
    let mut pong = [0; 9];
    server.read_exact(&mut pong).expect("a pong");
    assert_eq!(&pong, b"\x8a\x83\0\0\0\0abc");
    server.write_all(b"\x88\x05\x03\xe9bye").expect("it reads");
    assert_eq!(server.read(&mut [0]).map_or(0, |count| count), 0, "it hangs up");
    let outcome = running.finish();
    assert_eq!(outcome.lost[0].0.keys().collect::<Vec<_>>(), ["closed with 1001 bye"]);
    assert_eq!((outcome.first.upgrade.count(), outcome.first.first_event.count()), (1, 1));
}

#[test]
fn a_frame_that_no_server_may_send_ends_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let running = Running::start(&listener);
    let mut server = accept(&listener);
    server.write_all(&[UPGRADE, b"\x81\x81\0\0\0\0x"].concat()).expect("it reads");
    assert_eq!(server.read(&mut [0]).map_or(0, |count| count), 0, "it hangs up");
    let outcome = running.finish();
    assert_eq!(outcome.lost[0].0.keys().collect::<Vec<_>>(), ["a masked frame"]);
}

#[test]
fn a_refusal_is_a_failed_connection_with_the_servers_words() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let running = Running::start(&listener);
    let mut server = accept(&listener);
    server.write_all(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 9\r\n\r\n").expect("it reads");
    assert!(matches!(running.hear(), Said::AllIn));
    let outcome = running.finish();
    assert_eq!(outcome.first.failed.0.keys().collect::<Vec<_>>(), ["the server answered 429 Too Many Requests"]);
    assert_eq!((outcome.lost[0].0.len(), outcome.first.upgrade.count()), (0, 0));
}
