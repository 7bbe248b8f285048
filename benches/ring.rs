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
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
    thread,
    time::Duration,
};

use disruptor::{BusySpin, Producer};
use tickcast::ring::{Content, ring};
use tokio::sync::broadcast;

use self::measure::{Contestant, compare, timed};

/// As built in.
const SLOTS: usize = 8192;
/// Nobody is lapped, nobody has to wait for room, and our ring keeps as many buffers.
const BURST: u64 = 512;
const UPDATES: usize = 16;
const READERS: u64 = 2;

/// As wide as a cache line; a depth update and its levels are wider.
type Update = [u64; 8];

fn main() {
    let mut criterion = measure::criterion();
    for threads in [Threads::One, Threads::Two] {
        for (name, contest) in CONTESTANTS {
            criterion.bench_function(&format!("ring/{threads:?}/{name}"), |bencher| {
                bencher.iter_custom(|bursts| contest(threads, bursts));
            });
        }
    }
    criterion.final_summary();
    for (threads, title) in [
        (Threads::One, "ring, per batch of 16 published and read twice, all in one thread"),
        (Threads::Two, "ring, per batch of 16 published and read twice, writer and readers in a thread each"),
    ] {
        let turn = |(name, contest): &(&'static str, Contest)| -> Contestant<'_> {
            let contest = *contest;
            (*name, Box::new(move || contest(threads, threads.bursts_per_turn())))
        };
        compare(title, threads.bursts_per_turn() * BURST, &mut CONTESTANTS.each_ref().map(turn));
    }
    println!(
        "  With cores to spare, two threads show the price of moving memory from core to core; on a busy machine the\n  \
         threads take turns on one. disruptor gates its writer on the slowest reader (one that stops, stops the feed for all)\n  \
         and is here as the speed limit; crossbeam-channel blocks its writer or grows. Ours and tokio's let a slow\n  \
         reader lose batches, and tell it how many."
    );
}

/// Runs so many bursts, and says how long they took.
type Contest = fn(Threads, u64) -> Duration;

const CONTESTANTS: [(&str, Contest); 4] = [
    ("tickcast::ring", ours),
    ("tokio::sync::broadcast", tokio_broadcast),
    ("crossbeam-channel, one each", crossbeam),
    ("disruptor, polled", disruptor_pollers),
];

#[derive(Clone, Copy, Debug)]
enum Threads {
    One,
    Two,
}

impl Threads {
    /// A turn with two threads lasts long enough for the scheduler to give them a core each.
    const fn bursts_per_turn(self) -> u64 {
        match self {
            Self::One => 20,
            Self::Two => 1500,
        }
    }
}

fn ours(threads: Threads, bursts: u64) -> Duration {
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
    let write = |number| {
        batch.0.extend((0..UPDATES).map(|_| [number; 8]));
        publisher.publish(&mut batch);
    };
    let read = |seen: &mut Seen| {
        for reader in &mut readers {
            while let Some(batch) = reader.read().expect("a burst fits") {
                seen.batch(&batch.0);
            }
        }
    };
    race(threads, bursts, write, read)
}

fn tokio_broadcast(threads: Threads, bursts: u64) -> Duration {
    let (sender, first) = broadcast::channel::<Arc<[Update; UPDATES]>>(SLOTS);
    let mut receivers = [first, sender.subscribe()];
    let write = |number| assert!(sender.send(Arc::new([[number; 8]; UPDATES])).is_ok());
    let read = |seen: &mut Seen| {
        for receiver in &mut receivers {
            while let Ok(batch) = receiver.try_recv() {
                seen.batch(&*batch);
            }
        }
    };
    race(threads, bursts, write, read)
}

fn crossbeam(threads: Threads, bursts: u64) -> Duration {
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..READERS).map(|_| crossbeam_channel::bounded::<Arc<[Update; UPDATES]>>(SLOTS)).unzip();
    let write = |number| {
        let batch = Arc::new([[number; 8]; UPDATES]);
        for sender in &senders {
            sender.send(Arc::clone(&batch)).expect("the receiver is there");
        }
    };
    let read = |seen: &mut Seen| {
        for receiver in &receivers {
            while let Ok(batch) = receiver.try_recv() {
                seen.batch(&*batch);
            }
        }
    };
    race(threads, bursts, write, read)
}

fn disruptor_pollers(threads: Threads, bursts: u64) -> Duration {
    let builder = disruptor::build_single_producer(SLOTS, || [[0_u64; 8]; UPDATES], BusySpin);
    let (first, builder) = builder.new_event_poller();
    let (second, builder) = builder.new_event_poller();
    let mut producer = builder.build();
    let mut pollers = [first, second];
    let write = |number| producer.publish(|batch| batch.fill([number; 8]));
    let read = |seen: &mut Seen| {
        for poller in &mut pollers {
            if let Ok(mut batches) = poller.poll() {
                for batch in &mut batches {
                    seen.batch(batch);
                }
            }
        }
    };
    race(threads, bursts, write, read)
}

/// Fills all slots once, so that memory is there and warm, and then takes the time of the bursts until all were read.
fn race(threads: Threads, bursts: u64, mut write: impl FnMut(u64), read: impl FnMut(&mut Seen) + Send) -> Duration {
    let (time, seen) = match threads {
        Threads::One => in_one_thread(bursts, &mut write, read),
        Threads::Two => in_two_threads(bursts, &mut write, read),
    };
    let batches = (WARM_UP_BURSTS + bursts) * BURST;
    assert_eq!(seen.batches, batches * READERS, "everything was delivered");
    assert_eq!(seen.sum, batches * (batches + 1) / 2 * READERS * UPDATES as u64, "and unchanged");
    time
}

fn in_one_thread(bursts: u64, write: &mut impl FnMut(u64), mut read: impl FnMut(&mut Seen)) -> (Duration, Seen) {
    let mut seen = Seen::default();
    let mut next = 1..;
    let mut run = |bursts| {
        for _ in 0..bursts {
            next.by_ref().take(BURST as usize).for_each(&mut *write);
            read(&mut seen);
        }
    };
    run(WARM_UP_BURSTS);
    let time = timed(|| run(bursts));
    (time, seen)
}

fn in_two_threads(
    bursts: u64,
    write: &mut impl FnMut(u64),
    mut read: impl FnMut(&mut Seen) + Send,
) -> (Duration, Seen) {
    let delivered = AtomicU64::new(0);
    let all = (WARM_UP_BURSTS + bursts) * BURST * READERS;
    thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut seen = Seen::default();
            while seen.batches < all {
                let before = seen.batches;
                read(&mut seen);
                if seen.batches > before {
                    delivered.store(seen.batches, Ordering::Release);
                } else {
                    thread::yield_now();
                }
            }
            seen
        });
        let mut next = 1..;
        let mut run = |bursts| {
            for _ in 0..bursts {
                next.by_ref().take(BURST as usize).for_each(&mut *write);
                while delivered.load(Ordering::Acquire) < (next.start - 1) * READERS {
                    thread::yield_now();
                }
            }
        };
        run(WARM_UP_BURSTS);
        let time = timed(|| run(bursts));
        (time, reading.join().expect("the reading thread does not panic"))
    })
}

const WARM_UP_BURSTS: u64 = 4;

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
