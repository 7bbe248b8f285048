//! How it ends: everybody is told, whoever asked is answered, and nobody can hold it up.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
};

use futures_util::StreamExt;
use tokio_tungstenite::tungstenite::Message;

use super::{clients::unread, readiness, until, until_ready};
use crate::{
    client::{self, PATIENCE, Socket},
    house::wait_until,
    process::Served,
};

/// The texts up to the close frame, the last of them, and that frame.
pub async fn last_words(mut socket: Socket) -> (String, u16, String) {
    let mut last = String::new();
    loop {
        let message = tokio::time::timeout(PATIENCE, socket.next()).await.expect("something comes");
        match message.expect("a close frame comes").expect("whole frames") {
            Message::Text(text) => last = text.to_string(),
            Message::Close(frame) => {
                let frame = frame.expect("a code");
                return (last, frame.code.into(), frame.reason.to_string());
            }
            _ => {}
        }
    }
}

/// A request whose answer the kernel's buffers cannot hold, and of which nothing is read yet.
fn unread_request(public: &str, target: &str) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    socket.set_tcp_mss(536).expect("small segments");
    let address: SocketAddr = public.parse().expect("an address");
    socket.connect(&address.into()).expect("the server accepts");
    let mut socket = TcpStream::from(socket);
    let request = format!("GET {target} HTTP/1.1\r\nHost: {public}\r\n\r\n");
    socket.write_all(request.as_bytes()).expect("the server reads");
    let mut first = [0];
    // Its answer has begun.
    assert_eq!(socket.peek(&mut first).expect("an answer"), 1);
    socket
}

async fn until_draining(served: &Served) {
    until("readyz says that it drains", || async {
        let (is_ready, reasons) = readiness(served).await;
        !is_ready && reasons.contains("draining")
    })
    .await;
}

#[tokio::test]
async fn a_drain_tells_everyone_answers_who_asked_and_ends_well() {
    let served = Served::start(&["serve", "--set", "session.close_timeout_ms=1500"]);
    until_ready(&served).await;
    let public = &served.public;
    let mut raw = client::open(&format!("ws://{public}/ws/btcusdt@trade")).await;
    let mut combined =
        client::open(&format!("ws://{public}/stream?streams=ethusdt@bookTicker&timeUnit=microsecond")).await;
    for socket in [&mut raw, &mut combined] {
        client::next(socket).await;
    }
    let silent = (unread(public, "/ws/btcusdt@trade"), unread(public, "/stream"));
    let whole = client::get(&format!("http://{public}/api/v3/exchangeInfo")).await;
    let mut asked = unread_request(public, "/api/v3/exchangeInfo");

    served.signal("TERM");
    until_draining(&served).await;
    let address: SocketAddr = public.parse().expect("an address");
    until("nobody is let in any more", || async {
        TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    })
    .await;
    let answer = tokio::task::spawn_blocking(move || {
        let mut answer = String::new();
        asked.read_to_string(&mut answer).map(|_| answer)
    });
    let answer = answer.await.expect("it is read").expect("it is whole, and the connection ends after it");
    let body = answer.split_once("\r\n\r\n").expect("a head").1;
    let body: serde_json::Value = serde_json::from_str(body).expect("a whole answer");
    assert_eq!(body["symbols"], whole["symbols"]);
    let (last, code, reason) = last_words(raw).await;
    assert!(last.starts_with(r#"{"e":"serverShutdown","E":"#), "{last}");
    assert_eq!((code, reason.as_str()), (1001, "Server shutdown"));
    let (last, code, _) = last_words(combined).await;
    assert!(last.starts_with(r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":"#), "{last}");
    assert!(code == 1001 && last.len() > 70, "in microseconds: {last}");
    assert_eq!(served.wait(), Some(0), "clients that answer nothing do not hold it up");
    drop(silent);
}

#[test]
fn an_end_while_history_is_fetched_is_no_cause_for_warnings() {
    let mut served = Served::start(&["serve"]);
    served.signal("TERM");
    wait_until("the end", || !served.is_running());
    assert_eq!(served.lines_with("intake does not take requests"), 0, "{}", served.log());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    for (first, second, code) in [("TERM", "INT", 130), ("INT", "TERM", 143)] {
        let served = Served::start(&["serve", "--set", "session.close_timeout_ms=60000"]);
        until_ready(&served).await;
        // It holds the drain up to its limit.
        let silent = unread(&served.public, "/ws/btcusdt@trade");
        served.signal(first);
        until_draining(&served).await;
        served.signal(second);
        assert_eq!(served.wait(), Some(code));
        drop(silent);
    }
}
