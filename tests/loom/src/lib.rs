//! Loom runs the ring's own files under every interleaving that the memory model allows.
//!
//! Run with `cargo test --release --manifest-path tests/loom/Cargo.toml`. Capacities are tiny, so that laps are common.
#![cfg(test)]
#![allow(dead_code, reason = "the models do not use all of the ring")]

#[path = "../../../src"]
mod tickcast {
    pub mod ring;
}

use std::task::{Wake, Waker};

use loom::{
    model::Builder,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};
use tickcast::ring::{Content, Lapped, Publisher, Reader, ring};

/// Two words that always agree, unless a batch is torn.
#[derive(Debug, Default)]
struct Pair(u64, u64);

impl Content for Pair {
    fn clear(&mut self) {
        *self = Self(0, 0);
    }

    fn bytes(&self) -> usize {
        16
    }
}

/// Every schedule, for models that are short enough.
fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = None;
    builder.check(model);
}

/// In longer ones and with three threads there are too many; bugs need few forced switches from one thread to another.
fn explore_few_switches(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS_MAX);
    builder.check(model);
}

const PREEMPTIONS_MAX: usize = 3;

fn publish(publisher: &mut Publisher<Pair>) {
    let number = publisher.published();
    let mut batch = Pair(number, !number);
    publisher.publish(&mut batch);
    assert_eq!((batch.0, batch.1), (0, 0), "a cleared buffer comes back");
}

/// Reads what there is: batches in order and whole, what was missed counted.
fn drain(reader: &mut Reader<Pair>, next: &mut u64) -> (u64, u64) {
    let (mut read, mut missed) = (0, 0);
    loop {
        match reader.read() {
            Ok(Some(batch)) => {
                assert_eq!((batch.0, batch.1), (*next, !*next), "torn or out of order");
                read += 1;
                *next += 1;
            }
            Ok(None) => return (read, missed),
            Err(Lapped { missed: more }) => {
                assert!(more > 0);
                missed += more;
                *next += more;
            }
        }
    }
}

/// One reader beside the writer, which then finishes the rest: all is in order and accounted for.
fn race(slots: usize, bytes: usize, batches: u64) -> impl Fn() + Sync + Send + 'static {
    move || {
        let mut publisher = ring::<Pair>(slots, bytes);
        let mut reader = publisher.reader(Waker::noop().clone());
        let reading = thread::spawn(move || {
            let mut next = 0;
            let (read, missed) = drain(&mut reader, &mut next);
            (reader, next, read + missed, missed)
        });
        for _ in 0..batches {
            publish(&mut publisher);
        }
        drop(publisher);
        let (mut reader, mut next, seen, lapped_before) = reading.join().unwrap();
        let (read, missed) = drain(&mut reader, &mut next);
        assert_eq!(seen + read + missed, batches);
        // A buffer is taken back when its reader has passed it, not before.
        assert!(lapped_before + missed == 0 || batches > slots as u64 || bytes < usize::MAX);
        assert!(reader.is_closed());
    }
}

#[test]
fn a_reader_sees_a_sequence_without_holes_or_tears() {
    explore(race(4, usize::MAX, 2));
    explore_few_switches(race(4, usize::MAX, 3));
}

#[test]
fn a_lapped_reader_accounts_for_every_batch() {
    explore(race(1, usize::MAX, 2));
    explore_few_switches(race(2, usize::MAX, 4));
}

#[test]
fn a_reader_lapped_by_bytes_accounts_for_every_batch() {
    explore(race(2, 16, 2));
    explore_few_switches(race(4, 32, 4));
}

#[test]
fn two_readers_do_not_disturb_each_other() {
    explore_few_switches(|| {
        let mut publisher = ring::<Pair>(2, usize::MAX);
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let mut reader = publisher.reader(Waker::noop().clone());
                thread::spawn(move || {
                    let mut next = 0;
                    let (read, missed) = drain(&mut reader, &mut next);
                    assert_eq!(read + missed, next);
                })
            })
            .collect();
        for _ in 0..3 {
            publish(&mut publisher);
        }
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

/// Counts wake-ups. Relaxed: the ring and not the counter has to order what the test looks at.
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn wakes() -> (std::sync::Arc<Wakes>, Waker) {
    let wakes = std::sync::Arc::new(Wakes(AtomicUsize::new(0)));
    (std::sync::Arc::clone(&wakes), Waker::from(wakes))
}

/// Whoever fell asleep without having seen everything was woken, as often as it slept at most.
#[test]
fn no_wake_up_is_lost() {
    explore(|| {
        let mut publisher = ring::<Pair>(4, usize::MAX);
        let (wakes, waker) = wakes();
        let reader = publisher.reader(waker);
        let reading = thread::spawn(move || {
            let slept = reader.sleep();
            (reader, slept)
        });
        publish(&mut publisher);
        publish(&mut publisher);
        let (reader, slept) = reading.join().unwrap();
        let woken = wakes.0.load(Ordering::Relaxed);
        assert!(!slept || woken == 1 || reader.lag() == 0, "asleep with {} to read", reader.lag());
        assert!(woken <= 1, "woken {woken} times");
    });
}

/// Two sleepers share one counter: one that comes and goes must not hide the other.
#[test]
fn no_sleeper_hides_another() {
    explore_few_switches(|| {
        let mut publisher = ring::<Pair>(4, usize::MAX);
        let (wakes, waker) = wakes();
        let steady = publisher.reader(waker);
        let restless = publisher.reader(Waker::noop().clone());
        let sleeping = thread::spawn(move || {
            let slept = steady.sleep();
            (steady, slept)
        });
        let dozing = thread::spawn(move || {
            restless.sleep();
            drop(restless);
        });
        publish(&mut publisher);
        let (steady, slept) = sleeping.join().unwrap();
        dozing.join().unwrap();
        assert!(!slept || wakes.0.load(Ordering::Relaxed) == 1 || steady.lag() == 0);
        publish(&mut publisher);
        assert!(!slept || wakes.0.load(Ordering::Relaxed) == 1, "the next publish finds whoever sleeps");
    });
}

#[test]
fn a_closing_ring_wakes_or_is_seen() {
    explore(|| {
        let mut publisher = ring::<Pair>(4, usize::MAX);
        let (wakes, waker) = wakes();
        let mut reader = publisher.reader(waker);
        publish(&mut publisher);
        let reading = thread::spawn(move || {
            let mut next = 0;
            let (read, _) = drain(&mut reader, &mut next);
            assert_eq!(read, 1);
            let closed = reader.is_closed();
            (reader.sleep(), closed, reader)
        });
        drop(publisher);
        let (slept, closed, reader) = reading.join().unwrap();
        assert!(!(slept && closed), "nothing would wake it");
        assert!(!slept || wakes.0.load(Ordering::Relaxed) == 1);
        assert!(reader.is_closed());
    });
}

#[test]
fn a_closed_ring_has_been_read_to_its_end() {
    explore(|| {
        let mut publisher = ring::<Pair>(4, usize::MAX);
        let mut reader = publisher.reader(Waker::noop().clone());
        let reading = thread::spawn(move || {
            let mut next = 0;
            drain(&mut reader, &mut next);
            assert!(!reader.is_closed() || next == 2, "closed after {next} of 2");
        });
        publish(&mut publisher);
        publish(&mut publisher);
        drop(publisher);
        reading.join().unwrap();
    });
}
