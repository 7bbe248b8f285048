//! What this machine allows, read from the kernel and nothing else.

use std::{fs, path::Path, thread};

use io_uring::{IoUring, cqueue, squeue};
use rustix::process::{Resource, getrlimit};

/// Limits and settings of the machine; `None`: the system does not tell.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    /// RLIMIT_NOFILE; `None` within: unlimited.
    pub(super) descriptors_soft: Option<u64>,
    pub(super) descriptors_hard: Option<u64>,
    pub(super) descriptors_system: Option<u64>,
    pub(super) somaxconn: Option<u64>,
    /// Least, default and most bytes of a socket's buffer.
    pub(super) tcp_wmem: Option<[u64; 3]>,
    pub(super) tcp_rmem: Option<[u64; 3]>,
    /// Pages of all sockets: low, pressure, high.
    pub(super) tcp_mem: Option<[u64; 3]>,
    pub(super) ports: Option<(u64, u64)>,
    /// Why this process gets no queue; `None`: it does.
    pub(super) io_uring_refused: Option<String>,
    /// kernel.io_uring_disabled.
    pub(super) io_uring_disabled: Option<u64>,
    /// How many this process may use.
    pub(super) cores: usize,
    /// Those that threads can be pinned to.
    pub(super) core_numbers: Vec<usize>,
    pub(super) memory_bytes: Option<u64>,
    /// Of the control group, the smallest of it and those around it.
    pub(super) memory_limit_bytes: Option<u64>,
    /// A time daemon that runs here.
    pub(super) time_daemon: Option<String>,
    /// Whether it says that the clock is right.
    pub(super) is_synchronised: bool,
}

impl Machine {
    /// Reads everything.
    pub(super) fn read() -> Self {
        let limit = getrlimit(Resource::Nofile);
        let sysctl = |name: &str| fs::read_to_string(Path::new("/proc/sys").join(name)).ok();
        let one = |name: &str| sysctl(name)?.trim().parse().ok();
        let three = |name: &str| numbers(&sysctl(name)?).try_into().ok();
        // As the shards ask for it: an older kernel may have io_uring and not this.
        let ring =
            IoUring::<squeue::Entry, cqueue::Entry>::builder().setup_single_issuer().setup_defer_taskrun().build(8);
        Self {
            descriptors_soft: limit.current,
            descriptors_hard: limit.maximum,
            descriptors_system: one("fs/file-max"),
            somaxconn: one("net/core/somaxconn"),
            tcp_wmem: three("net/ipv4/tcp_wmem"),
            tcp_rmem: three("net/ipv4/tcp_rmem"),
            tcp_mem: three("net/ipv4/tcp_mem"),
            ports: sysctl("net/ipv4/ip_local_port_range")
                .and_then(|text| <[u64; 2]>::try_from(numbers(&text)).ok())
                .map(|[first, last]| (first, last)),
            io_uring_refused: ring.err().map(|error| error.to_string()),
            io_uring_disabled: one("kernel/io_uring_disabled"),
            cores: thread::available_parallelism().map_or(1, Into::into),
            core_numbers: core_numbers(),
            memory_bytes: meminfo(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
            memory_limit_bytes: group_limit(),
            time_daemon: time_daemon(),
            is_synchronised: Path::new("/run/systemd/timesync/synchronized").exists(),
        }
    }
}

fn numbers(text: &str) -> Vec<u64> {
    text.split_whitespace().map_while(|number| number.parse().ok()).collect()
}

/// `MemTotal` in bytes.
fn meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The cores that this process may use; none if that is not known.
pub(super) fn core_numbers() -> Vec<usize> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else { return Vec::new() };
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect()
}

/// The smallest memory limit of this process's control group and those around it.
fn group_limit() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/").trim_start_matches('/').to_owned();
    let root = Path::new("/sys/fs/cgroup");
    let limit = |folder: &Path| fs::read_to_string(folder.join("memory.max")).ok()?.trim().parse::<u64>().ok();
    let folder = root.join(own);
    let around = folder.ancestors().take_while(|folder| folder.starts_with(root)).filter_map(limit).min();
    let first_version = || {
        let text = fs::read_to_string(root.join("memory/memory.limit_in_bytes")).ok()?;
        // No limit is a number near the largest there is.
        text.trim().parse::<u64>().ok().filter(|&limit| limit < 1 << 60)
    };
    around.or_else(first_version)
}

/// The first process that is known to keep clocks.
fn time_daemon() -> Option<String> {
    let processes = fs::read_dir("/proc").ok()?;
    let names = processes.filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).find(|name| TIME_DAEMONS.contains(&name.as_str()))
}

/// As the kernel cuts their names.
const TIME_DAEMONS: [&str; 6] = ["chronyd", "ntpd", "ntpd-rs", "openntpd", "systemd-timesyn", "ptp4l"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read() {
        assert_eq!(numbers("4096\t16384\t4194304\n"), [4096, 16_384, 4_194_304]);
        assert_eq!(meminfo("MemTotal:        2048 kB\nMemFree: 1 kB\n"), Some(2 << 20));
        assert_eq!(meminfo(""), None);
        let machine = Machine::read();
        assert!(machine.cores > 0, "{machine:?}");
    }
}
