use std::{
    io::{self, Write},
    sync::Mutex,
};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use super::*;
use crate::{
    config,
    intake::{
        Inbound,
        tests::{Bench, accept, bench, bench_with_room, dial, listener, next, soon, texts},
    },
};

struct Running {
    up: flume::Receiver<Inbound>,
    orders: mpsc::Sender<FeedOrder>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// A running feed towards `listener` that backs off for a few milliseconds only.
fn run(listener: &TcpListener, change: impl FnOnce(&mut config::Intake)) -> Running {
    run_on(bench(listener, |settings| {
        quick(settings);
        change(settings);
    }))
}

fn quick(settings: &mut config::Intake) {
    (settings.backoff_first_ms, settings.backoff_max_ms, settings.healthy_after_ms) = (1, 20, 0);
}

fn run_on(bench: Bench) -> Running {
    let Bench { upstream, up, stop, .. } = bench;
    let (orders, inbox) = mpsc::channel(16);
    let task = tokio::spawn(Feed::new(Arc::new(upstream), dial(), Place { number: 0, leg: 0 }, inbox).run());
    Running { up, orders, stop, task }
}

/// The next opening; everything else before it is passed over.
async fn opened(up: &flume::Receiver<Inbound>) -> ConnectionId {
    loop {
        if let Inbound::Opened { connection, .. } = next(up).await {
            return connection;
        }
    }
}

async fn closed(up: &flume::Receiver<Inbound>) -> ConnectionId {
    loop {
        if let Inbound::Closed { connection, .. } = next(up).await {
            return connection;
        }
    }
}

async fn say(venue: &mut WebSocketStream<TcpStream>, text: &str) {
    venue.send(Message::text(text)).await.expect("the connection is open");
}

#[tokio::test]
async fn a_lost_connection_comes_back_as_another_one() {
    let listener = listener().await;
    let running = run(&listener, |_| {});
    let mut first = accept(&listener).await;
    let one = opened(&running.up).await;
    say(&mut first, "one").await;
    assert_eq!(texts(&running.up, 1).await, ["one"]);
    drop(first);
    assert_eq!(closed(&running.up).await, one);
    let mut second = accept(&listener).await;
    assert!(opened(&running.up).await > one);
    say(&mut second, "two").await;
    assert_eq!(texts(&running.up, 1).await, ["two"]);
}

#[tokio::test]
async fn a_renewed_connection_has_a_successor_first_and_loses_no_frame() {
    let listener = listener().await;
    let running = run(&listener, |_| {});
    let mut old = accept(&listener).await;
    let one = opened(&running.up).await;
    say(&mut old, "0").await;
    assert_eq!(texts(&running.up, 1).await, ["0"]);

    running.orders.send(FeedOrder::Renew(one)).await.expect("the feed lives");
    let mut new = accept(&listener).await;
    assert!(opened(&running.up).await > one);
    // Both feed; the old one is ahead of the new one's start, and goes on until it is asked to close.
    let venue = async {
        say(&mut new, "100").await;
        let mut last = 0;
        loop {
            tokio::select! {
                biased;
                message = old.next() => match message {
                    Some(Ok(Message::Close(_))) => break,
                    other => panic!("no close but {other:?}"),
                },
                () = time::sleep(Duration::from_millis(5)) => {
                    last += 1;
                    say(&mut old, &last.to_string()).await;
                }
            }
        }
        drop(old);
        last
    };
    let engine = async {
        let mut seen = vec![0];
        loop {
            match next(&running.up).await {
                Inbound::Frames { connection, frames, .. } if connection == one => {
                    seen.extend(frames.iter().map(|frame| number(&frame.bytes)));
                }
                Inbound::Closed { connection, .. } => {
                    assert_eq!(connection, one);
                    return seen;
                }
                _ => {}
            }
        }
    };
    let (last, seen) = soon(async { tokio::join!(venue, engine) }).await;
    assert_eq!(seen, (0..=last).collect::<Vec<_>>());
    assert!(last > 10, "the old connection was closed as soon as the new one had data: {last}");
    say(&mut new, "101").await;
    assert_eq!(texts(&running.up, 1).await, ["101"]);
}

fn number(bytes: &[u8]) -> u32 {
    std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).expect("a number")
}

#[tokio::test]
async fn an_old_connection_is_renewed_before_the_venue_cuts_it() {
    let listener = listener().await;
    let running = run(&listener, |settings| settings.lifetime_ms = 200);
    let mut first = accept(&listener).await;
    let one = opened(&running.up).await;
    say(&mut first, "one").await;
    let mut second = accept(&listener).await;
    assert!(opened(&running.up).await > one);
    say(&mut second, "two").await;
    assert!(matches!(soon(first.next()).await, Some(Ok(Message::Close(_)))));
}

#[tokio::test]
async fn a_successor_that_fails_is_tried_again_while_the_old_connection_feeds() {
    let listener = listener().await;
    let running = run(&listener, |_| {});
    let mut old = accept(&listener).await;
    let one = opened(&running.up).await;
    running.orders.send(FeedOrder::Renew(one)).await.expect("the feed lives");
    // One that is not even upgraded, and one that is cut at once.
    drop(soon(listener.accept()).await.expect("a connection"));
    drop(accept(&listener).await);
    let mut new = accept(&listener).await;
    say(&mut old, "still here").await;
    assert_eq!(texts(&running.up, 1).await, ["still here"]);
    say(&mut new, "new").await;
    assert_eq!(texts(&running.up, 1).await, ["new"]);
    let close = async { while !matches!(old.next().await, Some(Ok(Message::Close(_)))) {} };
    soon(close).await;
}

#[tokio::test]
async fn a_successor_takes_over_at_once_when_the_old_connection_breaks() {
    let listener = listener().await;
    let running = run(&listener, |_| {});
    let old = accept(&listener).await;
    let one = opened(&running.up).await;
    running.orders.send(FeedOrder::Renew(one)).await.expect("the feed lives");
    let mut new = accept(&listener).await;
    let two = opened(&running.up).await;
    drop(old);
    assert_eq!(closed(&running.up).await, one);
    // It carries the feed now: renewing it works, and nothing else was dialled in between.
    running.orders.send(FeedOrder::Renew(two)).await.expect("the feed lives");
    let mut third = accept(&listener).await;
    assert!(opened(&running.up).await > two);
    say(&mut new, "two").await;
    say(&mut third, "three").await;
    assert_eq!(texts(&running.up, 2).await.len(), 2);
}

#[tokio::test]
async fn a_stop_closes_politely_and_ends_everything() {
    let listener = listener().await;
    let running = run(&listener, |_| {});
    let mut venue = accept(&listener).await;
    let one = opened(&running.up).await;
    running.stop.send_replace(true);
    assert!(matches!(soon(venue.next()).await, Some(Ok(Message::Close(_)))));
    drop(venue);
    assert_eq!(closed(&running.up).await, one);
    soon(running.task).await.expect("it ends in order");
    assert!(running.up.is_disconnected(), "nothing holds the way up any more");
}

#[tokio::test]
async fn a_stop_ends_even_if_nobody_takes_frames_and_the_venue_does_not_answer() {
    let listener = listener().await;
    let running = run_on(bench_with_room(1, &listener, quick));
    let mut venue = accept(&listener).await;
    for number in 0..1000 {
        say(&mut venue, &number.to_string()).await;
    }
    running.stop.send_replace(true);
    soon(running.task).await.expect("it ends in order");
}

#[tokio::test]
async fn it_ends_when_the_engine_is_gone() {
    let listener = listener().await;
    let running = run(&listener, |_| {});
    let mut venue = accept(&listener).await;
    opened(&running.up).await;
    drop(running.up);
    say(&mut venue, "for nobody").await;
    soon(running.task).await.expect("it ends in order");
}

#[tokio::test]
async fn an_unreachable_venue_is_tried_on_and_on_and_the_log_says_so() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let closed = listener().await;
    let address = closed.local_addr().expect("a bound listener");
    let running = run(&closed, |_| {});
    drop(closed);
    let lines = async {
        while log.text().matches("cannot connect to").count() < 5 {
            time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(lines).await;
    let text = log.text();
    let line = text.lines().find(|line| line.contains("cannot connect to")).expect("a line");
    for part in [&format!("ws://{address}"), "trying again in", "ws_url", "refused", "venue=test"] {
        assert!(line.contains(part), "`{part}` is missing: {line}");
    }
    // Once it is there, it is found.
    let back = TcpListener::bind(address).await.expect("the port is free again");
    let _venue = accept(&back).await;
    opened(&running.up).await;
}

/// Log lines of one test, which runs on one thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no writer panicked")).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer panicked").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
