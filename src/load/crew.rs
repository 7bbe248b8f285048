//! One run: the generators' threads, the marks between which it counts, and what the server says at them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use mio::{Poll, Waker};

use super::{
    LoadError, Plan, Stage,
    clients::{Client, Role, Tally},
    deck::{Deck, Streams},
    generator::{CALLED, Generator, Order, Outcome, Parts, Said},
    process::{Machine, Usage},
    report::{Facts, Report},
    room,
    target::{self, Counts, TargetError},
};
use crate::{clock, market::Nanos};

/// Handshakes at a time, over all threads: more than any server answers at once, fewer than its queue holds.
const IN_FLIGHT_MAX: usize = 512;
/// How often progress is told, and how soon an interruption is noticed.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// How long slow readers read on, and those who were cut may take to come back.
const SETTLING: Duration = Duration::from_secs(2);
/// Longest wait for generators to read all that is there; they never take long unless the machine stands still.
const MARK_MAX: Duration = Duration::from_secs(60);
/// How often, and how soon again, the server is asked for its count.
const COUNTS_ASKED_MAX: u32 = 100;
const COUNTS_ASKED_EVERY: Duration = Duration::from_millis(10);

/// Does what `plan` says, tells how far it is, and reports. Ends early once `stop` is set.
///
/// # Errors
/// If the plan does not fit, nobody gets in, or somebody stops it.
pub fn run(plan: &Plan, stop: &AtomicBool, mut tell: impl FnMut(Stage)) -> Result<Report, LoadError> {
    plan.check()?;
    let before = plan.ops.as_deref().map(target::counts).transpose()?;
    let idle = plan.pid.and_then(Usage::of);
    if let (Some(pid), None) = (plan.pid, &idle) {
        return Err(LoadError::Plan(format!("--pid {pid}: there is no such process here, or no /proc to ask")));
    }
    let crew = Crew::start(plan, before, stop)?;
    let began = clock::now();
    crew.until_all_in(&mut tell)?;
    let connecting = clock::now().since(began);
    if crew.open.load(Ordering::Relaxed) == 0 {
        let failed = crew.finish()?.into_iter().flat_map(|outcome| outcome.first.failed.0);
        let reason = failed.max_by_key(|(_, count)| *count).map_or("no reason".to_owned(), |(reason, _)| reason);
        return Err(LoadError::NobodyGotIn { clients: plan.clients, address: plan.target.host.clone(), reason });
    }
    // Taken at once: what the server's memory grows by later is not the connections'.
    let connected = plan.pid.and_then(Usage::of);
    crew.wait(plan.warm_up, |_| tell(Stage::WarmingUp))?;

    let begin = crew.mark(Order::Begin, plan)?;
    crew.wait(plan.duration, |over| tell(Stage::Measuring(over)))?;
    let end = crew.mark(Order::End, plan)?;

    let kept = crew.settle(plan, &mut tell)?;
    let outcomes = crew.finish()?;
    Ok(Report::of(plan, Facts { idle, connected, connecting, begin, end, kept, outcomes }))
}

/// Everything at one moment.
#[derive(Debug)]
pub(super) struct Mark {
    pub at: Nanos,
    /// By role.
    pub tallies: [Tally; 3],
    /// What came while the server was asked for its count: so uncertain is the comparison.
    pub edge: u64,
    /// What the server has counted; an error once it was asked and did not say.
    pub counted: Option<Result<Counts, String>>,
    pub server: Option<Usage>,
    pub own: Option<Usage>,
    pub machine: Option<Machine>,
}

struct Crew<'a> {
    threads: Vec<Thread>,
    /// What the server had counted before the first connection.
    before: Option<Counts>,
    said: Receiver<Said>,
    open: Arc<AtomicUsize>,
    stop: &'a AtomicBool,
}

struct Thread {
    orders: Sender<Order>,
    waker: Waker,
    handle: JoinHandle<()>,
}

impl<'a> Crew<'a> {
    fn start(plan: &Plan, before: Option<Counts>, stop: &'a AtomicBool) -> Result<Self, LoadError> {
        let streams = Arc::new(Streams::new(&plan.streams));
        let (say, said) = mpsc::channel();
        let open = Arc::new(AtomicUsize::new(0));
        let count = plan.threads.min(plan.clients);
        let mut threads = Vec::with_capacity(count);
        for (number, clients) in deal(plan, count).into_iter().enumerate() {
            let (orders, ordered) = mpsc::channel();
            let system = |what| move |source| LoadError::System { what, source };
            let poll = Poll::new().map_err(system("opening a poll"))?;
            let waker = Waker::new(poll.registry(), CALLED).map_err(system("opening a waker"))?;
            let parts = Parts {
                address: plan.target.address(),
                host: plan.target.host.clone(),
                path: plan.target.path.clone(),
                streams: Arc::clone(&streams),
                clients,
                storm_every: plan.storm.map(|storm| storm.every),
                in_flight_max: IN_FLIGHT_MAX.div_ceil(count),
                open: Arc::clone(&open),
                orders: ordered,
                said: say.clone(),
            };
            let generator = Generator::new(parts, poll);
            let thread = thread::Builder::new().name(format!("{THREAD_NAME}-{number}"));
            let handle = thread.spawn(|| generator.run()).map_err(system("starting a thread"))?;
            threads.push(Thread { orders, waker, handle });
        }
        Ok(Self { threads, before, said, open, stop })
    }

    fn order(&self, order: Order) {
        for thread in &self.threads {
            // A thread that has ended says nothing either, which is noticed where its word is waited for.
            let _ended = thread.orders.send(order);
            let _ended = thread.waker.wake();
        }
    }

    /// The next word of a thread, within `most`; `None` if there is none.
    fn hear(&self, most: Duration) -> Result<Option<Said>, LoadError> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(LoadError::Interrupted);
        }
        match self.said.recv_timeout(most) {
            Ok(said) => Ok(Some(said)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(ended()),
        }
    }

    fn until_all_in(&self, tell: &mut impl FnMut(Stage)) -> Result<(), LoadError> {
        let mut waiting = self.threads.len();
        while waiting > 0 {
            tell(Stage::Connecting(self.open.load(Ordering::Relaxed)));
            waiting -= usize::from(matches!(self.hear(TELL_EVERY)?, Some(Said::AllIn)));
        }
        Ok(())
    }

    fn wait(&self, how_long: Duration, mut tell: impl FnMut(Duration)) -> Result<(), LoadError> {
        let began = clock::now();
        loop {
            let over = clock::now().since(began);
            let Some(left) = how_long.checked_sub(over).filter(|left| !left.is_zero()) else { return Ok(()) };
            tell(over);
            self.hear(left.min(TELL_EVERY))?;
        }
    }

    fn mark(&self, order: Order, plan: &Plan) -> Result<Mark, LoadError> {
        let tallies = self.tallies(order)?;
        let (at, machine) = (clock::now(), Machine::now());
        let (server, own) = (plan.pid.and_then(Usage::of), Usage::of(std::process::id()));
        let counted = plan.ops.as_deref().map(|ops| self.counts(ops, total(tallies).deliveries));
        let counted = counted.map(|counts| counts.map_err(|error| error.to_string()));
        let after = if counted.is_some() { self.tallies(Order::Mark)? } else { tallies };
        let edge = total(after).since(total(tallies)).deliveries;
        Ok(Mark { at, tallies, edge, counted, server, own, machine })
    }

    /// What the server has counted once it has counted what `came` here already: it counts a pass after it was sent.
    fn counts(&self, ops: &str, came: u64) -> Result<Counts, TargetError> {
        let before = self.before.map_or(0, |before| before.deliveries);
        let mut counts = target::counts(ops)?;
        for _ in 0..COUNTS_ASKED_MAX {
            if counts.deliveries.saturating_sub(before) >= came {
                break;
            }
            thread::sleep(COUNTS_ASKED_EVERY);
            counts = target::counts(ops)?;
        }
        Ok(counts)
    }

    /// What came so far, of all threads by role.
    fn tallies(&self, order: Order) -> Result<[Tally; 3], LoadError> {
        self.order(order);
        let mut sums = [Tally::default(); 3];
        let mut waiting = self.threads.len();
        while waiting > 0 {
            match self.hear(MARK_MAX)? {
                Some(Said::Marked(tallies)) => {
                    waiting -= 1;
                    sums.iter_mut().zip(tallies).for_each(|(sum, tally)| *sum = sum.plus(tally));
                }
                Some(_) => {}
                None => return Err(ended()),
            }
        }
        Ok(sums)
    }

    /// What slow readers find when they read again.
    fn settle(&self, plan: &Plan, tell: &mut impl FnMut(Stage)) -> Result<Tally, LoadError> {
        if plan.slow == 0 && plan.storm.is_none() {
            return Ok(Tally::default());
        }
        let slow = |tallies: [Tally; 3]| tallies[Role::Slow as usize];
        let before = slow(self.tallies(Order::Mark)?);
        self.order(Order::Settle);
        let began = clock::now();
        let mut coming = self.threads.len();
        // Slow readers take their time; without them it is over as soon as all are back.
        while (coming > 0 || plan.slow > 0) && clock::now().since(began) < SETTLING {
            tell(Stage::Settling);
            coming = coming.saturating_sub(usize::from(matches!(self.hear(TELL_EVERY)?, Some(Said::AllIn))));
        }
        Ok(slow(self.tallies(Order::Mark)?).since(before))
    }

    fn finish(self) -> Result<Vec<Outcome>, LoadError> {
        self.order(Order::Finish);
        let mut outcomes = Vec::new();
        while outcomes.len() < self.threads.len() {
            match self.hear(MARK_MAX)? {
                Some(Said::Finished(outcome)) => outcomes.push(*outcome),
                Some(_) => {}
                None => return Err(ended()),
            }
        }
        for thread in self.threads {
            thread.handle.join().map_err(|_| ended())?;
        }
        Ok(outcomes)
    }
}

/// The threads of clients, in the list of this process's threads.
pub(super) const THREAD_NAME: &str = "load";

fn ended() -> LoadError {
    LoadError::System { what: "a thread of clients", source: std::io::Error::other("it ended before its time") }
}

fn total(tallies: [Tally; 3]) -> Tally {
    tallies.into_iter().fold(Tally::default(), Tally::plus)
}

/// The clients of each thread. Roles are spread evenly over the order in which clients connect.
fn deal(plan: &Plan, threads: usize) -> Vec<Vec<Client>> {
    let mut deck = Deck::new(plan.streams.len());
    let ports = room::ports();
    let storm = plan.storm.map_or(0, |storm| storm.clients);
    let mut dealt: Vec<Vec<Client>> = (0..threads).map(|_| Vec::new()).collect();
    for index in 0..plan.clients {
        // Of n clients, client i is the (i * part / n)th of a part: where that grows, one is taken.
        let is_nth_of = |part: usize, of: usize, index: usize| (index + 1) * part / of > index * part / of;
        let role = if is_nth_of(plan.slow + storm, plan.clients, index) {
            let nth = index * (plan.slow + storm) / plan.clients;
            if is_nth_of(plan.slow, plan.slow + storm, nth) { Role::Slow } else { Role::Storm }
        } else {
            Role::Steady
        };
        let streams = deck.deal(plan.per_client);
        let source = room::source(ports, index, plan.target.address());
        dealt[index % threads].push(Client::new(role, streams, source));
    }
    dealt
}
