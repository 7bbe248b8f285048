use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Wake, Waker},
    thread,
};

use super::*;

/// A batch whose entries all repeat its number, so that a torn one shows.
#[derive(Debug, Default, PartialEq)]
struct Numbers(Vec<u64>);

impl Content for Numbers {
    fn clear(&mut self) {
        self.0.clear();
    }

    fn bytes(&self) -> usize {
        self.0.len() * 8
    }
}

#[derive(Debug, Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn publish(publisher: &mut Publisher<Numbers>, buffer: &mut Numbers, words: usize) {
    assert!(buffer.0.is_empty(), "publish leaves a cleared buffer");
    buffer.0.resize(words, publisher.published());
    publisher.publish(buffer);
}

fn numbers_left(reader: &mut Reader<Numbers>) -> Vec<u64> {
    std::iter::from_fn(|| reader.read().expect("not lapped").map(|batch| batch.0[0])).collect()
}

#[test]
fn readers_see_every_batch_from_their_beginning_on() {
    let mut publisher = ring(4, usize::MAX);
    let mut buffer = Numbers::default();
    let mut early = publisher.reader(Waker::noop().clone());
    publish(&mut publisher, &mut buffer, 1);
    let mut late = publisher.reader(Waker::noop().clone());
    assert_eq!(late.read(), Ok(None));
    publish(&mut publisher, &mut buffer, 1);
    assert_eq!((early.lag(), late.lag()), (2, 1));
    assert_eq!(numbers_left(&mut early), [0, 1]);
    assert_eq!(numbers_left(&mut late), [1]);
    assert_eq!((early.lag(), publisher.published()), (0, 2));
}

#[test]
fn a_reader_a_whole_ring_behind_is_lapped_once_and_goes_on_in_the_middle() {
    let mut publisher = ring(8, usize::MAX);
    let mut buffer = Numbers::default();
    let mut reader = publisher.reader(Waker::noop().clone());
    for _ in 0..8 {
        publish(&mut publisher, &mut buffer, 1);
    }
    assert_eq!(reader.lag(), 8, "a full ring is not yet a lap");
    publish(&mut publisher, &mut buffer, 1);
    // 1..9 is left, its middle is 5.
    assert_eq!(reader.read(), Err(Lapped { missed: 5 }));
    assert_eq!(numbers_left(&mut reader), [5, 6, 7, 8]);
}

#[test]
fn the_oldest_batches_are_retired_when_the_bytes_are_used_up() {
    let mut publisher = ring(1024, 80);
    let mut buffer = Numbers::default();
    let mut reader = publisher.reader(Waker::noop().clone());
    for _ in 0..6 {
        publish(&mut publisher, &mut buffer, 2); // 16 bytes: five of them fit
    }
    // 1..6 is left, its middle is 3.
    assert_eq!(reader.read(), Err(Lapped { missed: 3 }));
    assert_eq!(numbers_left(&mut reader), [3, 4, 5]);
}

#[test]
fn a_batch_larger_than_the_ring_can_be_read_while_others_follow() {
    let mut publisher = ring(16, 80);
    let mut buffer = Numbers::default();
    let mut reader = publisher.reader(Waker::noop().clone());
    publish(&mut publisher, &mut buffer, 1);
    publish(&mut publisher, &mut buffer, 1000);
    publish(&mut publisher, &mut buffer, 2);
    publish(&mut publisher, &mut buffer, 2);
    assert_eq!(reader.read().expect("in time").expect("a batch").0, [0]);
    assert_eq!(reader.read().expect("in time").expect("a batch").0, vec![1; 1000]);
    assert_eq!(numbers_left(&mut reader), [2, 3]);
}

#[test]
fn buffers_come_back_but_oversized_ones_are_freed() {
    let mut publisher = ring(4, 800);
    let mut buffer = Numbers::default();
    let _stuck = publisher.reader(Waker::noop().clone());
    // Four buffers in the slots and one in our hand go round.
    for published in 0..20 {
        assert_eq!(buffer.0.capacity(), if published < 5 { 0 } else { 20 }, "the buffer of a lap ago");
        buffer.0.reserve_exact(20);
        publish(&mut publisher, &mut buffer, 10);
    }
    // With 8 slots of 100 bytes each, 300 are more than twice a share.
    for is_read in [false, true] {
        let mut publisher = ring(8, 800);
        let mut buffer = Numbers::default();
        let mut reader = publisher.reader(Waker::noop().clone());
        for _ in 0..9 {
            publish(&mut publisher, &mut buffer, 38);
            if is_read {
                assert_eq!(numbers_left(&mut reader).len(), 1);
            }
        }
        for _ in 0..8 {
            publish(&mut publisher, &mut buffer, 1);
            assert!(buffer.0.capacity() < 38, "a large buffer was kept");
        }
    }
}

#[test]
fn no_more_buffers_are_in_use_than_are_under_way() {
    let mut publisher = ring(1024, usize::MAX);
    let mut buffer = Numbers::default();
    let mut prompt = publisher.reader(Waker::noop().clone());
    let mut late = publisher.reader(Waker::noop().clone());
    let mut seen = std::collections::HashSet::new();
    for round in 0..500 {
        publish(&mut publisher, &mut buffer, 7);
        assert_eq!(numbers_left(&mut prompt), [round]);
        if round % 10 == 9 {
            assert_eq!(numbers_left(&mut late).len(), 10);
        }
        if round >= 20 {
            assert!(buffer.0.capacity() >= 7, "round {round}: a buffer that was used before");
            seen.insert(buffer.0.as_ptr());
        }
    }
    assert!(seen.len() <= 12, "{} buffers for ten batches under way", seen.len());
    // After a burst that nobody read in time, most are given back to the allocator.
    for _ in 0..1024 {
        publish(&mut publisher, &mut buffer, 7);
    }
    assert_eq!((numbers_left(&mut prompt).len(), numbers_left(&mut late).len()), (1024, 1024));
    assert_eq!((prompt.read(), late.read()), (Ok(None), Ok(None)));
    publish(&mut publisher, &mut buffer, 7);
    assert!(publisher.spare() <= 1024 / 8, "{} kept", publisher.spare());
    // And what is kept stays out of the way: the same few go round.
    seen.clear();
    for _ in 0..100 {
        assert_eq!((numbers_left(&mut prompt).len(), numbers_left(&mut late).len()), (1, 1));
        publish(&mut publisher, &mut buffer, 7);
        seen.insert(buffer.0.as_ptr());
    }
    assert!(seen.len() <= 4, "{} buffers for one batch under way", seen.len());
}

#[test]
fn a_held_batch_stays_whole_while_the_ring_goes_round() {
    let mut publisher = ring(2, usize::MAX);
    let mut buffer = Numbers::default();
    let mut reader = publisher.reader(Waker::noop().clone());
    publish(&mut publisher, &mut buffer, 3);
    let held = reader.read().expect("in time").expect("a batch");
    for _ in 0..10 {
        publish(&mut publisher, &mut buffer, 3);
    }
    assert_eq!(held.0, [0, 0, 0]);
}

#[test]
fn sleepers_are_woken_once_and_busy_readers_never() {
    let mut publisher = ring(8, usize::MAX);
    let mut buffer = Numbers::default();
    let (asleep, busy) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
    let mut sleeper = publisher.reader(Waker::from(Arc::clone(&asleep)));
    let worker = publisher.reader(Waker::from(Arc::clone(&busy)));
    publish(&mut publisher, &mut buffer, 1);
    assert_eq!(asleep.count(), 0, "a reader is awake when it is made");
    assert!(!sleeper.sleep(), "there is something to read");
    assert_eq!(numbers_left(&mut sleeper), [0]);
    assert!(sleeper.sleep());
    assert!(sleeper.sleep(), "sleeping twice is sleeping once");
    for _ in 0..3 {
        publish(&mut publisher, &mut buffer, 1);
    }
    assert_eq!((asleep.count(), busy.count()), (1, 0));
    assert_eq!(numbers_left(&mut sleeper), [1, 2, 3]);
    assert!(sleeper.sleep());
    sleeper.awake();
    publish(&mut publisher, &mut buffer, 1);
    assert_eq!(asleep.count(), 1, "awake for another reason");
    drop(worker);
    assert_eq!(publisher.readers(), 1);
    assert_eq!(numbers_left(&mut sleeper), [4]);
    assert!(sleeper.sleep());
    publish(&mut publisher, &mut buffer, 1);
    assert_eq!((asleep.count(), busy.count()), (2, 0));
}

#[test]
fn a_reader_dropped_asleep_leaves_nothing_behind() {
    let mut publisher = ring(8, usize::MAX);
    let mut buffer = Numbers::default();
    let (gone, stays) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
    let reader = publisher.reader(Waker::from(Arc::clone(&gone)));
    let other = publisher.reader(Waker::from(Arc::clone(&stays)));
    assert!(reader.sleep() && other.sleep());
    drop(reader);
    assert_eq!(Arc::strong_count(&gone), 1, "its waker is gone as well");
    publish(&mut publisher, &mut buffer, 1);
    assert_eq!((gone.count(), stays.count(), publisher.readers()), (0, 1, 1));
}

#[test]
fn a_dropped_publisher_wakes_its_readers_and_lets_them_finish() {
    let mut publisher = ring(8, usize::MAX);
    let mut buffer = Numbers::default();
    let wakes = Arc::new(Wakes::default());
    let mut reader = publisher.reader(Waker::from(Arc::clone(&wakes)));
    assert!(reader.sleep());
    drop(publisher.reader(Waker::noop().clone()));
    publish(&mut publisher, &mut buffer, 1);
    drop(publisher);
    assert_eq!(wakes.count(), 1, "woken by the batch already");
    assert!(!reader.is_closed(), "there is something left to read");
    assert_eq!(numbers_left(&mut reader), [0]);
    assert!(reader.is_closed());
    assert!(!reader.sleep(), "nobody would wake it");

    let publisher = ring::<Numbers>(8, usize::MAX);
    let reader = publisher.reader(Waker::from(Arc::clone(&wakes)));
    assert!(reader.sleep());
    drop(publisher);
    assert_eq!(wakes.count(), 2);
    assert!(reader.is_closed());
}

#[test]
fn on_real_threads_read_and_missed_add_up_and_nothing_is_torn() {
    const BATCHES: u64 = 200_000;
    let mut publisher = ring::<Numbers>(16, 16 * 64);
    let readers: Vec<_> = (0..2)
        .map(|index| {
            let (unpark, made) = std::sync::mpsc::channel::<Reader<Numbers>>();
            let thread = thread::spawn(move || {
                let mut reader = made.recv().expect("a reader");
                let (mut read, mut missed, mut next) = (0_u64, 0_u64, 0_u64);
                while !reader.is_closed() {
                    match reader.read() {
                        Ok(Some(batch)) => {
                            assert!(batch.0.iter().all(|number| *number == next), "torn or out of order");
                            (read, next) = (read + 1, next + 1);
                            if index == 1 && read.is_multiple_of(64) {
                                thread::yield_now();
                            }
                        }
                        Ok(None) if reader.sleep() => thread::park(),
                        Ok(None) => {}
                        Err(lapped) => {
                            assert!(lapped.missed > 0);
                            (missed, next) = (missed + lapped.missed, next + lapped.missed);
                        }
                    }
                    reader.awake();
                }
                (read, missed)
            });
            let waker = Waker::from(Arc::new(Unpark(thread.thread().clone())));
            unpark.send(publisher.reader(waker)).expect("the thread waits");
            thread
        })
        .collect();
    let mut buffer = Numbers::default();
    for _ in 0..BATCHES {
        let words = 1 + publisher.published() as usize % 12;
        publish(&mut publisher, &mut buffer, words);
    }
    drop(publisher);
    for reader in readers {
        let (read, missed) = reader.join().expect("no assertion failed");
        assert_eq!(read + missed, BATCHES);
        assert!(read > 0);
    }
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
