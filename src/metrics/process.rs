//! What the process uses, from `/proc` at the moment of the scrape. Where there is none, nothing is told.
//!
//! Written by hand because a counter of the recorder holds whole numbers only: CPU seconds would come in steps of one.

use std::{collections::BTreeMap, fmt::Write, fs};

/// Names, types and help texts of what is told here, as everywhere but for the threads.
pub const PROCESS: &[(&str, &str, &str)] = &[
    ("process_cpu_seconds_total", "counter", "User and system CPU time"),
    ("process_resident_memory_bytes", "gauge", "Resident memory"),
    ("process_virtual_memory_bytes", "gauge", "Virtual memory"),
    ("process_open_fds", "gauge", "Open file descriptors"),
    ("process_max_fds", "gauge", "Most file descriptors that may be open"),
    ("process_start_time_seconds", "gauge", "When the process was started, Unix time"),
    ("process_thread_cpu_seconds_total", "counter", "CPU time of the threads of this name that run"),
];

/// Appends all that can be read.
pub(super) fn write(text: &mut String) {
    let stat = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| Stat::parse(&stat));
    let boot = fs::read_to_string("/proc/stat").ok().and_then(|stat| boot_time(&stat));
    let status = fs::read_to_string("/proc/self/status").ok();
    let status = status.as_deref();
    let limits = fs::read_to_string("/proc/self/limits").ok();
    let values = [
        stat.map(|stat| stat.cpu_seconds),
        status.and_then(|status| bytes(status, "VmRSS:")),
        status.and_then(|status| bytes(status, "VmSize:")),
        // The directory itself is open while it is read.
        fs::read_dir("/proc/self/fd").ok().map(|open| (open.count() - 1) as f64),
        limits.as_deref().and_then(descriptors_max),
        stat.zip(boot).map(|(stat, boot)| boot + stat.started_seconds),
    ];
    for ((name, kind, help), value) in PROCESS.iter().zip(values) {
        if let Some(value) = value {
            head(text, name, kind, help);
            line(text, format_args!("{name} {value}"));
        }
    }
    let threads = threads();
    if let Some((name, kind, help)) = PROCESS.last().filter(|_| !threads.is_empty()) {
        head(text, name, kind, help);
        for (thread, seconds) in threads {
            line(text, format_args!("{name}{{thread=\"{thread}\"}} {seconds}"));
        }
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    line(text, format_args!("# HELP {name} {help}"));
    line(text, format_args!("# TYPE {name} {kind}"));
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // A string takes everything.
    let _ = writeln!(text, "{line}");
}

/// What stands in `/proc/self/stat`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    /// Since the machine was started.
    started_seconds: f64,
}

impl Stat {
    /// Fields 14, 15 and 22 of proc(5); the name before them may hold anything.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / TICKS_PER_SECOND,
            started_seconds: field(22)? / TICKS_PER_SECOND,
        })
    }
}

/// Of Linux towards programs, on every machine that it is likely to meet.
const TICKS_PER_SECOND: f64 = 100.0;

/// A line of `/proc/self/status` that is in kB.
fn bytes(status: &str, name: &str) -> Option<f64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(rest.split_whitespace().next()?.parse::<f64>().ok()? * 1024.0)
}

/// When the machine was started, Unix time.
fn boot_time(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// The soft limit.
fn descriptors_max(text: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match rest.split_whitespace().next()? {
        "unlimited" => Some(f64::INFINITY),
        number => number.parse().ok(),
    }
}

/// Seconds on a CPU by the names that this program gives its threads; others are counted together.
fn threads() -> BTreeMap<String, f64> {
    let mut by_name = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let read = |file: &str| fs::read_to_string(task.path().join(file)).ok();
        // A thread that has ended meanwhile has no files any more.
        let (Some(name), Some(schedstat)) = (read("comm"), read("schedstat")) else { continue };
        let Some(nanoseconds) = schedstat.split_whitespace().next().and_then(|first| first.parse::<f64>().ok()) else {
            continue;
        };
        *by_name.entry(label(name.trim())).or_default() += nanoseconds / 1e9;
    }
    by_name
}

/// The name if it is one of ours: a closed set, as wide as there are shards.
fn label(name: &str) -> String {
    let room = name.trim_end_matches(|last: char| last.is_ascii_digit()).trim_end_matches('-');
    if THREADS.contains(&room) { name.to_owned() } else { "other".to_owned() }
}

/// ARCHITECTURE.md lists them.
const THREADS: &[&str] = &["intake", "engine", "shard", "views", "store", "store-disk", "doors", "sim", "replay"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_linux_are_read() {
        let mut stat = "77 (a) b) S 1 77 77 0 -1 4194304 1 2 3 4 250 50 0 0 20 0 1 0 900 4096 3 0".to_owned();
        let found = Stat::parse(&stat).expect("a line of it");
        assert_eq!((found.cpu_seconds, found.started_seconds), (3.0, 9.0));
        assert_eq!(bytes("Name:\tx\nVmRSS:\t    2048 kB\n", "VmRSS:"), Some((2 << 20) as f64));
        assert_eq!(bytes("Name:\tx\n", "VmRSS:"), None);
        stat.truncate(60);
        assert_eq!(Stat::parse(&stat), None);
        assert_eq!(boot_time("cpu  1 2\nbtime 1789000000\nprocesses 5\n"), Some(1_789_000_000.0));
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n";
        assert_eq!(descriptors_max(limits), Some(1024.0));
        assert_eq!(descriptors_max(&limits.replace("1024", "unlimited")), Some(f64::INFINITY));
        assert_eq!(descriptors_max(""), None);
    }

    #[test]
    fn threads_have_the_names_that_we_gave_them() {
        for name in ["shard-12", "engine-0", "store-disk", "intake"] {
            assert_eq!(label(name), name);
        }
        for name in ["", "metrics::tests", "tokio-rt-worker", "shar"] {
            assert_eq!(label(name), "other");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn everything_is_told_in_the_order_of_the_list() {
        let mut text = String::new();
        write(&mut text);
        let told = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let listed: Vec<_> = PROCESS.iter().map(|(name, kind, _)| format!("{name} {kind}")).collect();
        assert_eq!(told.collect::<Vec<_>>(), listed, "{text}");
        assert!(text.contains("process_thread_cpu_seconds_total{thread=\"other\"} "), "{text}");
    }
}
