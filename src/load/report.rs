//! What a run found: numbers for programs (JSON), a page of text, a page for a browser.

mod html;
mod numbers;
mod text;

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{
    Histogram, Plan,
    clients::{Reasons, Role, Tally},
    crew::{Mark, THREAD_NAME},
    generator::{Outcome, SetUps},
    process::Usage,
};

/// All of it; [`Report::json`], [`Report::text`] and [`Report::html`] show the same.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Of the program.
    pub version: &'static str,
    /// The server as it was named.
    pub server_address: String,
    /// Whether it was started for this run.
    pub own_server: bool,
    /// What was asked for.
    pub asked: Asked,
    /// Cores of this machine, and the share of all of them that was busy (0 to 1).
    pub cores: usize,
    /// See above; `None` where it is not known.
    pub cores_busy: Option<f64>,
    /// Length of the measurement in seconds.
    pub measured_s: f64,
    /// Events that came in it, to all clients but slow ones.
    pub deliveries: u64,
    /// Per second.
    pub deliveries_per_s: f64,
    /// Bytes of them, WebSocket headers included, per second.
    pub bytes_per_s: f64,
    /// Bytes of one, on average.
    pub bytes_per_delivery: f64,
    /// What ids say of loss.
    pub sequence: Sequence,
    /// What the server says of loss; `None` if it was not asked.
    pub counted: Option<Counted>,
    /// What the server used; `None` if its process is not known.
    pub server: Option<Server>,
    /// The first connections.
    pub connections: Connections,
    /// From the event time of messages to their reading, of the clients that stayed and read; `None` if no message told
    /// its time.
    pub latency: Option<Latency>,
    /// The readers that did not read; `None` if none was asked for.
    pub slow: Option<Slow>,
    /// Reconnect storms; `None` if none was asked for.
    pub storms: Option<Storms>,
    /// Connections of reading clients that the server ended, and why.
    pub lost: BTreeMap<String, u64>,
    /// Messages that were no event of a subscribed stream.
    pub other_messages: u64,
    /// The busiest thread of clients: the share of time that it was on a core; `None` where it is not known.
    pub generator_busy: Option<f64>,
    /// Cores that all its threads took together; `None` where it is not known.
    pub generator_cores: Option<f64>,
    /// What to make of it, in sentences; the first one says whether the generator was the bottleneck.
    pub verdict: Vec<String>,
}

/// What was asked for.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields of Plan")]
pub struct Asked {
    pub clients: usize,
    pub streams: usize,
    pub per_client: usize,
    pub warm_up_s: f64,
    pub duration_s: f64,
    pub slow: usize,
    pub storm_clients: usize,
    pub storm_every_s: f64,
    pub threads: usize,
}

/// Trades count on, diffs tile: what is missing shows in the next one.
#[derive(Debug, Serialize)]
pub struct Sequence {
    /// Messages that were compared with the one before on their stream.
    pub checked: u64,
    /// Times that something was missing.
    pub holes: u64,
    /// Messages that were missing; a hole between diffs counts as one.
    pub missing: u64,
    /// Messages that had come before.
    pub disordered: u64,
}

/// Deliveries by the server's own count.
#[derive(Debug, Serialize)]
pub struct Counted {
    /// In the measurement; `None` if it could not be read.
    pub deliveries: Option<u64>,
    /// Ours may differ by so many: they were on their way while the server was asked.
    pub edge: u64,
    /// Ours by the server's; `None` with slow readers, whose part the server does not count apart.
    pub ratio: Option<f64>,
    /// Frames that waited for slow readers and gave way to newer ones.
    pub conflated: Option<u64>,
    /// Why it could not be read.
    pub trouble: Option<String>,
}

/// The server's process.
#[derive(Debug, Serialize)]
pub struct Server {
    /// CPU seconds in the measurement.
    pub cpu_s: f64,
    /// By kind of thread (`shard`, `engine`, ...), the numbers of threads left out.
    pub cpu_s_by_thread: BTreeMap<String, f64>,
    /// Deliveries per CPU second of the whole process.
    pub deliveries_per_cpu_s: f64,
    /// Deliveries per CPU second of its shards alone; `None` if it has no threads of that name.
    pub deliveries_per_shard_cpu_s: Option<f64>,
    /// Resident memory before the first connection.
    pub memory_before_bytes: u64,
    /// When all were connected and warm.
    pub memory_connected_bytes: u64,
    /// At the end of the measurement.
    pub memory_end_bytes: u64,
    /// What one connection added, on average; `None` if the server gave memory back meanwhile.
    pub memory_per_connection_bytes: Option<f64>,
}

/// How connections came about.
#[derive(Debug, Serialize)]
pub struct Connections {
    /// So many did.
    pub opened: u64,
    /// From the first call to the last answer.
    pub seconds: f64,
    /// Opened per second.
    pub per_s: f64,
    /// From the call to the answer to the upgrade.
    pub upgrade: Percentiles,
    /// From the call to the first event of any stream.
    pub first_event: Percentiles,
    /// Those that did not, and why.
    pub failed: BTreeMap<String, u64>,
}

/// Durations in milliseconds.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "they say it themselves")]
pub struct Percentiles {
    pub count: u64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

/// How late events were.
#[derive(Debug, Serialize)]
pub struct Latency {
    /// In milliseconds, of one message in eight.
    #[serde(flatten)]
    pub percentiles: Percentiles,
    /// Messages whose event time was later than ours, and counts as no delay: clocks differ.
    pub ahead: u64,
    /// Where they lie, in order; nothing in between.
    pub bars: Vec<Bar>,
    /// The same in bars of equal width on a log scale, for the picture.
    #[serde(skip)]
    even_bars: Vec<Bar>,
}

/// Durations within two bounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "they say it themselves")]
pub struct Bar {
    pub from_ms: f64,
    pub to_ms: f64,
    pub count: u64,
}

/// What became of readers that stopped reading.
#[derive(Debug, Serialize)]
pub struct Slow {
    /// So many did.
    pub readers: u64,
    /// So many are connected after reading again for two seconds.
    pub still_open: u64,
    /// The others, and why.
    pub closed: BTreeMap<String, u64>,
    /// What they still got in these two seconds: what was kept for them, and what was new.
    pub deliveries: u64,
    /// How old that was; `None` if no message told its time.
    pub latency: Option<Latency>,
}

/// What became of clients that were cut.
#[derive(Debug, Serialize)]
pub struct Storms {
    /// Storms in the measurement, of each thread of clients together.
    pub storms: u64,
    /// Connections cut.
    pub cut: u64,
    /// Connections that came about again.
    pub reopened: u64,
    /// From the call to the answer to the upgrade.
    pub upgrade: Percentiles,
    /// From the call to the first event.
    pub first_event: Percentiles,
    /// Those that did not, and why.
    pub failed: BTreeMap<String, u64>,
    /// Of clients that are cut, while they were connected.
    pub latency: Option<Latency>,
}

/// What the crew hands over.
#[derive(Debug)]
pub(super) struct Facts {
    pub idle: Option<Usage>,
    pub connected: Option<Usage>,
    pub connecting: Duration,
    pub begin: Mark,
    pub end: Mark,
    /// What slow readers got when they read again.
    pub kept: Tally,
    pub outcomes: Vec<Outcome>,
}

impl Report {
    pub(super) fn of(plan: &Plan, facts: Facts) -> Self {
        let Facts { idle, connected, connecting, begin, end, kept, outcomes } = facts;
        let seconds = end.at.since(begin.at).as_secs_f64();
        let sum = |mark: &Mark, role: Role| mark.tallies[role as usize];
        let came = [Role::Steady, Role::Storm]
            .map(|role| sum(&end, role).since(sum(&begin, role)))
            .into_iter()
            .fold(Tally::default(), Tally::plus);
        let all = merge(outcomes);
        let [steady, slow_latency, storm_latency] = &all.latency;
        let cores_busy = end.machine.zip(begin.machine).map(|(end, begin)| round(end.busy_since(begin), 3));
        let generator: Option<Vec<f64>> = end.own.as_ref().zip(begin.own.as_ref()).map(|(end, begin)| {
            let threads = end.since(begin).into_iter().filter(|(name, _)| name.starts_with(THREAD_NAME));
            threads.map(|(_, time)| time.as_secs_f64() / seconds).collect()
        });
        let connections = connections(&all.first, connecting);
        let server = idle.zip(connected).zip(begin.server.as_ref().zip(end.server.as_ref())).map(
            |((idle, connected), (begin, end))| {
                server(&idle, &connected, begin, end, came.deliveries, connections.opened)
            },
        );
        let [lost_steady, lost_slow, lost_storm] = all.lost;
        let lost = lost_storm.0.into_iter().fold(lost_steady, |mut lost, (reason, count)| {
            lost.add(&reason, count);
            lost
        });
        let storm_clients = plan.storm.map_or(0, |storm| storm.clients);
        let mut report = Self {
            version: env!("CARGO_PKG_VERSION"),
            server_address: format!("ws://{}{}", plan.target.host, plan.target.path),
            own_server: plan.is_own,
            asked: Asked {
                clients: plan.clients,
                streams: plan.streams.len(),
                per_client: plan.per_client.min(plan.streams.len()),
                warm_up_s: plan.warm_up.as_secs_f64(),
                duration_s: plan.duration.as_secs_f64(),
                slow: plan.slow,
                storm_clients,
                storm_every_s: plan.storm.map_or(0.0, |storm| storm.every.as_secs_f64()),
                threads: plan.threads.min(plan.clients),
            },
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cores_busy,
            measured_s: round(seconds, 3),
            deliveries: came.deliveries,
            deliveries_per_s: round(came.deliveries as f64 / seconds, 1),
            bytes_per_s: round(came.bytes as f64 / seconds, 1),
            bytes_per_delivery: round(came.bytes as f64 / came.deliveries.max(1) as f64, 1),
            sequence: Sequence {
                checked: came.checked,
                holes: came.holes,
                missing: came.missing,
                disordered: came.disordered,
            },
            counted: counted(plan, &begin, &end, came.deliveries),
            server,
            connections,
            latency: latency(steady, all.ahead),
            slow: (plan.slow > 0).then(|| Slow {
                readers: plan.slow as u64,
                still_open: all.slow_open,
                closed: lost_slow.0,
                deliveries: kept.deliveries,
                latency: latency(slow_latency, 0),
            }),
            storms: plan.storm.is_some().then(|| Storms {
                storms: all.storms,
                cut: all.cut,
                reopened: all.again.upgrade.count(),
                upgrade: percentiles(&all.again.upgrade),
                first_event: percentiles(&all.again.first_event),
                failed: all.again.failed.0,
                latency: latency(storm_latency, 0),
            }),
            lost: lost.0,
            other_messages: came.others,
            generator_busy: generator.as_ref().map(|all| round(all.iter().copied().fold(0.0, f64::max), 3)),
            generator_cores: generator.as_ref().map(|all| round(all.iter().sum(), 3)),
            verdict: Vec::new(),
        };
        report.verdict = report.judge();
        report
    }

    /// One JSON object; keys are the fields' names, units last.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("maps with text keys and finite numbers")
    }

    /// A page of text, at most `width` columns wide.
    pub fn text(&self, width: usize) -> String {
        text::page(self, width)
    }

    /// One file of HTML that fetches nothing.
    pub fn html(&self) -> String {
        html::page(self)
    }

    fn judge(&self) -> Vec<String> {
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        let mut said = Vec::new();
        said.push(match self.generator_busy {
            None => "Whether the generator was the bottleneck is not known here.".to_owned(),
            Some(busy) if busy >= BUSY => format!(
                "The generator was the bottleneck: a thread of it was on a core {} of the time. Rates are lower bounds and \
                 latency is partly its own; give it more --threads, or a machine of its own.",
                percent(busy)
            ),
            Some(busy) if self.cores_busy.is_some_and(|cores| cores >= BUSY) => {
                let server = self.server.as_ref().map(|server| server.cpu_s / self.measured_s);
                let of_both = server.map_or(String::new(), |server| {
                    let others = (self.cores as f64 - server - self.generator_cores.unwrap_or(0.0)).max(0.0);
                    format!(" The server had {server:.2} of them, other programs about {others:.2}.")
                });
                format!(
                    "The machine was full: its {} cores were busy all the time, the generator's busiest thread {} of \
                     it.{of_both} Rates may be lower bounds, and latency holds the wait for a core.",
                    self.cores,
                    percent(busy)
                )
            }
            Some(busy) => format!(
                "The generator was not the bottleneck: its busiest thread was on a core {} of the time.",
                percent(busy)
            ),
        });
        let failed: u64 = self.connections.failed.values().sum();
        if failed > 0 {
            said.push(format!("{failed} of {} clients did not get in.", self.asked.clients));
        }
        let lost: u64 = self.lost.values().sum();
        if lost > 0 {
            said.push(format!("The server ended {lost} connections of clients that read."));
        }
        if self.deliveries == 0 {
            said.push("Nothing came: are these streams of that server, and is its market awake?".to_owned());
        } else if self.sequence.holes + self.sequence.disordered > 0 {
            said.push(format!(
                "Not everything arrived in order: {} holes with at least {} messages, {} repeated or out of order.",
                self.sequence.holes, self.sequence.missing, self.sequence.disordered
            ));
        } else if self.sequence.checked > 0 {
            said.push("Nothing was lost: every trade and every diff followed the one before.".to_owned());
        }
        said
    }
}

/// From this share on, something counts as full: the kernel's own work and other programs take the rest.
const BUSY: f64 = 0.9;

fn merge(outcomes: Vec<Outcome>) -> Outcome {
    let mut all = Outcome::default();
    for one in outcomes {
        all.latency.iter_mut().zip(&one.latency).for_each(|(all, one)| all.merge(one));
        for (all, one) in [(&mut all.first, &one.first), (&mut all.again, &one.again)] {
            all.upgrade.merge(&one.upgrade);
            all.first_event.merge(&one.first_event);
            add_all(&mut all.failed, &one.failed);
        }
        all.lost.iter_mut().zip(&one.lost).for_each(|(all, one)| add_all(all, one));
        all.ahead += one.ahead;
        // Each thread has its part of every storm.
        all.storms = all.storms.max(one.storms);
        all.cut += one.cut;
        all.slow_open += one.slow_open;
    }
    all
}

fn add_all(all: &mut Reasons, one: &Reasons) {
    one.0.iter().for_each(|(reason, count)| all.add(reason, *count));
}

fn counted(plan: &Plan, begin: &Mark, end: &Mark, came: u64) -> Option<Counted> {
    let (before, after) = (begin.counted.as_ref()?, end.counted.as_ref()?);
    let both = before.as_ref().and_then(|before| Ok((before, after.as_ref()?)));
    let deliveries = both.as_ref().ok().map(|(before, after)| after.deliveries.saturating_sub(before.deliveries));
    let comparable = deliveries.filter(|&count| plan.slow == 0 && count > 0);
    Some(Counted {
        deliveries,
        edge: begin.edge + end.edge,
        ratio: comparable.map(|count| round(came as f64 / count as f64, 5)),
        conflated: both.as_ref().ok().map(|(before, after)| after.conflated.saturating_sub(before.conflated)),
        trouble: both.err().cloned(),
    })
}

fn server(idle: &Usage, connected: &Usage, begin: &Usage, end: &Usage, came: u64, opened: u64) -> Server {
    let mut kinds: BTreeMap<String, Duration> = BTreeMap::new();
    for (name, time) in end.since(begin) {
        let kind = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-');
        *kinds.entry(kind.to_owned()).or_default() += time;
    }
    let per = |cpu: Duration| if cpu.is_zero() { 0.0 } else { round(came as f64 / cpu.as_secs_f64(), 0) };
    let cpu: Duration = kinds.values().sum();
    let added = connected.resident.checked_sub(idle.resident);
    Server {
        cpu_s: round(cpu.as_secs_f64(), 3),
        deliveries_per_cpu_s: per(cpu),
        deliveries_per_shard_cpu_s: kinds.get("shard").map(|&cpu| per(cpu)),
        cpu_s_by_thread: kinds.into_iter().map(|(kind, time)| (kind, round(time.as_secs_f64(), 3))).collect(),
        memory_before_bytes: idle.resident,
        memory_connected_bytes: connected.resident,
        memory_end_bytes: end.resident,
        memory_per_connection_bytes: added.map(|added| round(added as f64 / opened.max(1) as f64, 0)),
    }
}

fn connections(set_ups: &SetUps, took: Duration) -> Connections {
    let opened = set_ups.upgrade.count();
    Connections {
        opened,
        seconds: round(took.as_secs_f64(), 3),
        per_s: round(opened as f64 / took.as_secs_f64().max(1e-9), 0),
        upgrade: percentiles(&set_ups.upgrade),
        first_event: percentiles(&set_ups.first_event),
        failed: set_ups.failed.0.clone(),
    }
}

fn percentiles(histogram: &Histogram) -> Percentiles {
    let ms = |share| millis(histogram.percentile(share));
    Percentiles {
        count: histogram.count(),
        p50_ms: ms(0.5),
        p90_ms: ms(0.9),
        p99_ms: ms(0.99),
        p999_ms: ms(0.999),
        max_ms: millis(histogram.longest()),
    }
}

fn latency(histogram: &Histogram, ahead: u64) -> Option<Latency> {
    (histogram.count() > 0).then(|| Latency {
        percentiles: percentiles(histogram),
        ahead,
        bars: numbers::bars(histogram, numbers::round_bounds()),
        even_bars: numbers::bars(histogram, numbers::even_bounds()),
    })
}

fn millis(duration: Duration) -> f64 {
    round(duration.as_secs_f64() * 1000.0, 4)
}

fn round(value: f64, places: i32) -> f64 {
    let unit = 10_f64.powi(places);
    (value * unit).round() / unit
}
