//! One writer, two readers, batches of 16 updates: our ring against what else could stand in its place.
//!
//! There are never more busy threads than cores: the writer has one thread and *both* readers are polled by one other
//! (`EventPoller`s for disruptor, whose managed readers would be two threads), and who has nothing to do yields.
//! A burst fits every contestant, and the clock stops when both readers have read all of it. The same without a second
//! thread shows what the calls themselves cost, free of how the machine schedules.
#![allow(missing_docs, reason = "a bench")]

#[path = "shared/measure.rs"]
mod measure;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Waker,
    thread,
};

use criterion::Criterion;
use disruptor::{BusySpin, Producer};
use tickcast::ring::{Content, ring};
use tokio::sync::broadcast;

use self::measure::{Ratios, timed};

const SLOTS: usize = 1024;
/// Half the slots: nobody is lapped, and nobody has to wait for room.
const BURST: u64 = 512;
const UPDATES: usize = 16;
const READERS: u64 = 2;

/// As wide as a cache line; a depth update and its levels are wider.
type Update = [u64; 8];

fn main() {
    let mut criterion = measure::criterion();
    let mut bench = Bench { criterion: &mut criterion, threads: Ratios::default(), calls: Ratios::default() };
    ours(&mut bench);
    tokio_broadcast(&mut bench);
    crossbeam(&mut bench);
    disruptor_pollers(&mut bench);
    bench.calls.print("ring, per batch of 16 published and read twice, in one thread");
    bench.threads.print("ring, per batch of 16 published and read twice, writer and readers in a thread each");
    println!(
        "  disruptor gates its writer on the slowest reader: one that stops, stops the feed for all. It is here as the speed limit.\n  \
         crossbeam-channel blocks its writer or grows; ours and tokio's broadcast let a slow reader lose batches, and tell it how many."
    );
    criterion.final_summary();
}

fn ours(bench: &mut Bench<'_>) {
    #[derive(Default)]
    struct Batch(Vec<Update>);

    impl Content for Batch {
        fn clear(&mut self) {
            self.0.clear();
        }

        fn bytes(&self) -> usize {
            size_of_val(&*self.0)
        }
    }

    let mut publisher = ring::<Batch>(SLOTS, 1 << 30);
    let mut readers = [publisher.reader(Waker::noop().clone()), publisher.reader(Waker::noop().clone())];
    let mut batch = Batch::default();
    bench.race(
        "tickcast::ring",
        |number| {
            batch.0.extend((0..UPDATES).map(|_| [number; 8]));
            publisher.publish(&mut batch);
        },
        |seen| {
            for reader in &mut readers {
                while let Some(batch) = reader.read().expect("a burst fits") {
                    seen.batch(&batch.0);
                }
            }
        },
    );
}

fn tokio_broadcast(bench: &mut Bench<'_>) {
    let (sender, first) = broadcast::channel::<Arc<[Update; UPDATES]>>(SLOTS);
    let mut receivers = [first, sender.subscribe()];
    bench.race(
        "tokio::sync::broadcast",
        |number| assert!(sender.send(Arc::new([[number; 8]; UPDATES])).is_ok()),
        |seen| {
            for receiver in &mut receivers {
                while let Ok(batch) = receiver.try_recv() {
                    seen.batch(&*batch);
                }
            }
        },
    );
}

fn crossbeam(bench: &mut Bench<'_>) {
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..READERS).map(|_| crossbeam_channel::bounded::<Arc<[Update; UPDATES]>>(SLOTS)).unzip();
    bench.race(
        "crossbeam-channel, one each",
        |number| {
            let batch = Arc::new([[number; 8]; UPDATES]);
            for sender in &senders {
                sender.send(Arc::clone(&batch)).expect("the receiver is there");
            }
        },
        |seen| {
            for receiver in &receivers {
                while let Ok(batch) = receiver.try_recv() {
                    seen.batch(&*batch);
                }
            }
        },
    );
}

fn disruptor_pollers(bench: &mut Bench<'_>) {
    let builder = disruptor::build_single_producer(SLOTS, || [[0_u64; 8]; UPDATES], BusySpin);
    let (first, builder) = builder.new_event_poller();
    let (second, builder) = builder.new_event_poller();
    let mut producer = builder.build();
    let mut pollers = [first, second];
    bench.race(
        "disruptor, polled",
        |number| producer.publish(|batch| batch.fill([number; 8])),
        |seen| {
            for poller in &mut pollers {
                if let Ok(mut batches) = poller.poll() {
                    for batch in &mut batches {
                        seen.batch(batch);
                    }
                }
            }
        },
    );
}

struct Bench<'a> {
    criterion: &'a mut Criterion,
    threads: Ratios,
    calls: Ratios,
}

/// What both readers together have read. The sum makes them look at every update.
#[derive(Default)]
struct Seen {
    batches: u64,
    sum: u64,
}

impl Seen {
    fn batch(&mut self, updates: &[Update]) {
        self.batches += 1;
        self.sum = updates.iter().fold(self.sum, |sum, update| sum.wrapping_add(update[0]));
    }
}

impl Bench<'_> {
    fn race(&mut self, name: &str, mut write: impl FnMut(u64), mut read: impl FnMut(&mut Seen) + Send) {
        let mut written = Written::default();
        let mut seen = Seen::default();
        self.criterion.bench_function(&format!("ring/calls/{name}"), |bencher| {
            bencher.iter_custom(|bursts| {
                let time = timed(|| {
                    for _ in 0..bursts {
                        written.burst(&mut write);
                        read(&mut seen);
                    }
                });
                self.calls.add(name, time, bursts * BURST);
                time
            });
        });
        assert_eq!(seen.batches, written.batches * READERS, "{name} delivers everything");

        let delivered = AtomicU64::new(seen.batches);
        let stopped = AtomicBool::new(false);
        let (delivered_to, stop) = (&delivered, &stopped);
        let seen = thread::scope(|scope| {
            let reading = scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let before = seen.batches;
                    read(&mut seen);
                    if seen.batches > before {
                        delivered_to.store(seen.batches, Ordering::Release);
                    } else {
                        thread::yield_now();
                    }
                }
                seen
            });
            self.criterion.bench_function(&format!("ring/threads/{name}"), |bencher| {
                bencher.iter_custom(|bursts| {
                    let time = timed(|| {
                        for _ in 0..bursts {
                            written.burst(&mut write);
                            while delivered.load(Ordering::Acquire) < written.batches * READERS {
                                thread::yield_now();
                            }
                        }
                    });
                    self.threads.add(name, time, bursts * BURST);
                    time
                });
            });
            stopped.store(true, Ordering::Relaxed);
            reading.join().expect("the reading thread does not panic")
        });
        assert_eq!(seen.batches, written.batches * READERS, "{name} delivers everything");
        assert_eq!(seen.sum, written.sum.wrapping_mul(READERS * UPDATES as u64), "{name} delivers it unchanged");
    }
}

#[derive(Default)]
struct Written {
    batches: u64,
    sum: u64,
}

impl Written {
    fn burst(&mut self, write: &mut impl FnMut(u64)) {
        for _ in 0..BURST {
            self.batches += 1;
            self.sum = self.sum.wrapping_add(self.batches);
            write(self.batches);
        }
    }
}
