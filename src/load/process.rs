//! What a process and the machine use, from `/proc`. Where there is none, nothing is known.

use std::{collections::BTreeMap, fs, time::Duration};

/// CPU time and memory of a process at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage {
    /// By thread: name and time on a CPU so far.
    threads: BTreeMap<u32, (String, Duration)>,
    /// Resident memory in bytes.
    pub resident: u64,
}

impl Usage {
    /// Of process `pid`; `None` if it cannot be read.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let text = |name: &str| fs::read_to_string(entry.path().join(name)).ok();
            let exact = text("schedstat").and_then(|text| from_schedstat(&text));
            // A thread that has ended meanwhile has no files any more.
            let Some(time) = exact.or_else(|| from_stat(&text("stat")?)) else { continue };
            let name = text("comm").map_or_else(|| "?".to_owned(), |name| name.trim().to_owned());
            threads.insert(id, (name, time));
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        Some(Self { threads, resident: resident(&status).unwrap_or(0) })
    }

    /// Time on CPUs since `before`, by thread name.
    pub(super) fn since(&self, before: &Self) -> BTreeMap<String, Duration> {
        let mut by_name = BTreeMap::new();
        for (id, (name, time)) in &self.threads {
            let earlier = before.threads.get(id).map_or(Duration::ZERO, |(_, time)| *time);
            *by_name.entry(name.clone()).or_default() += time.saturating_sub(earlier);
        }
        by_name
    }
}

/// The machine's CPU time so far, in ticks: busy, and altogether.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    busy: u64,
    all: u64,
}

impl Machine {
    pub(super) fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// The share of all cores that was busy since `before`, 0 to 1.
    pub(super) fn busy_since(self, before: Self) -> f64 {
        let all = self.all.saturating_sub(before.all).max(1);
        self.busy.saturating_sub(before.busy) as f64 / all as f64
    }

    fn parse(stat: &str) -> Option<Self> {
        let numbers = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
        // user, nice, system, idle, iowait, irq, softirq, steal; guest time is in user time already.
        let ticks: Vec<u64> = numbers.take(8).map_while(|number| number.parse().ok()).collect();
        let all = ticks.iter().sum::<u64>();
        Some(Self { busy: all - ticks.get(3)? - ticks.get(4)?, all })
    }
}

/// Nanoseconds on a CPU come first.
fn from_schedstat(text: &str) -> Option<Duration> {
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// User and system time in ticks, fields 14 and 15; the name before them may hold anything.
fn from_stat(text: &str) -> Option<Duration> {
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let ticks = ticks()? + ticks()?;
    Some(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Of Linux towards programs, on every machine that it is likely to meet.
const TICKS_PER_SECOND: u64 = 100;

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_linux_are_read() {
        assert_eq!(from_schedstat("123456789 55 9\n"), Some(Duration::from_nanos(123_456_789)));
        let stat = "77 (a) b) S 1 77 77 0 -1 4194304 1 2 3 4 250 50 0 0 20 0 1";
        assert_eq!(from_stat(stat), Some(Duration::from_secs(3)));
        assert_eq!(resident("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2 << 20));
        let machine = Machine::parse("cpu  10 0 20 60 10 0 0 0 5 5\ncpu0 1").expect("a line of it");
        assert_eq!(machine, Machine { busy: 30, all: 100 });
        assert_eq!(machine.busy_since(Machine { busy: 10, all: 60 }), 0.5);
        for nonsense in ["", "cpu", "cpu  1 2", "x"] {
            assert_eq!(Machine::parse(nonsense), None);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_uses_something() {
        let usage = Usage::of(std::process::id()).expect("its own process");
        assert!(usage.resident > 0);
        let since = usage.since(&Usage::default());
        assert!(since.values().sum::<Duration>() > Duration::ZERO, "{since:?}");
        assert!(Usage::of(u32::MAX).is_none());
    }
}
