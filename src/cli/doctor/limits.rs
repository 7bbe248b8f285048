//! Whether the machine's limits are enough for the configuration and for so many clients.

use super::{
    finding::{Check, Finding},
    machine::Machine,
};
use crate::{
    cli::terminal::{bytes, counted, grouped},
    config::{Config, Sender},
};

const SECTION: &str = "Machine";

/// Every check of the machine's limits.
pub(super) fn findings(machine: &Machine, config: &Config, clients: u64) -> Vec<Finding> {
    vec![
        descriptors(machine, config, clients),
        system_descriptors(machine, config, clients),
        backlog(machine, config),
        cores(machine, config),
        memory(machine, config, clients),
        socket_memory(machine, clients),
        socket_buffers(machine),
        sender(machine, config),
        ports(machine, clients),
    ]
}

/// Descriptors besides those of clients: files, epoll, venues, the operators' door.
const DESCRIPTORS_OWN: u64 = 128;

fn wanted_descriptors(config: &Config, clients: u64) -> u64 {
    clients + config.ws_api.connections_max as u64 + DESCRIPTORS_OWN
}

fn descriptors(machine: &Machine, config: &Config, clients: u64) -> Finding {
    let check = Check::new(SECTION, "descriptors");
    let wanted = wanted_descriptors(config, clients);
    let shown = |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), grouped);
    let (soft, hard) = (shown(machine.descriptors_soft), shown(machine.descriptors_hard));
    let found = format!("soft {soft}, hard {hard}; {} wanted for {} clients", grouped(wanted), grouped(clients));
    if machine.descriptors_hard.is_none_or(|hard| hard >= wanted) {
        // The server raises the soft limit to the hard one itself.
        return check.ok(found);
    }
    let way_out = format!(
        "LimitNOFILE={wanted} in the systemd unit; in a shell, as root: ulimit -Hn {wanted}; in Docker: --ulimit nofile={wanted}"
    );
    check.warn(found, "each client is a descriptor; beyond the limit nobody gets in", &way_out)
}

fn system_descriptors(machine: &Machine, config: &Config, clients: u64) -> Finding {
    let check = Check::new(SECTION, "fs.file-max");
    let Some(most) = machine.descriptors_system else { return check.skip("the system does not tell") };
    let wanted = wanted_descriptors(config, clients) * 2;
    if most >= wanted {
        return check.ok(if most > u64::MAX / 4 { "no limit".to_owned() } else { grouped(most) });
    }
    let way_out = format!("sysctl -w fs.file-max={}", wanted.next_power_of_two());
    check.warn(grouped(most), "all processes of this machine share these descriptors", &way_out)
}

fn backlog(machine: &Machine, config: &Config) -> Finding {
    let check = Check::new(SECTION, "net.core.somaxconn");
    let Some(most) = machine.somaxconn else { return check.skip("the system does not tell") };
    let backlog = u64::try_from(config.server.backlog).unwrap_or(0);
    let found = format!("{}, server.backlog is {}", grouped(most), grouped(backlog));
    if most >= backlog {
        return check.ok(found);
    }
    let why = "the kernel cuts the queue of new connections to it: in a storm of reconnects clients wait for seconds";
    check.warn(found, why, &format!("sysctl -w net.core.somaxconn={backlog}"))
}

/// A core that a shard is to stay on and that is not among `usable`.
pub(super) fn strange_core(usable: &[usize], config: &Config) -> Option<usize> {
    let strange = config.server.shard_cores.iter().find(|core| !usable.contains(core));
    strange.copied().filter(|_| !usable.is_empty())
}

fn cores(machine: &Machine, config: &Config) -> Finding {
    let check = Check::new(SECTION, "cores");
    let shards = match config.server.shards {
        0 => machine.cores.saturating_sub(1).max(1),
        shards => shards,
    };
    let count = counted(shards as u64, "shard");
    let found = format!("{} for this process, {count} and the ingest loop", machine.cores);
    if let Some(core) = strange_core(&machine.core_numbers, config) {
        let why = format!("server.shard_cores names core {core}, which this process may not use");
        return check.warn(
            found,
            &why,
            &format!("take from {:?}, or leave server.shard_cores empty", machine.core_numbers),
        );
    }
    if shards > machine.cores {
        let why = "more shards than cores take turns, and each takes in every batch again";
        return check.warn(found, why, "server.shards = 0, one per core but one");
    }
    check.ok(found)
}

/// Of docs/PERFORMANCE.md: the process without clients, and each client in it.
const PROCESS_BYTES: u64 = 60 << 20;
const CLIENT_BYTES: u64 = 717;
const CLIENT_BYTES_TLS: u64 = 4096;
/// The kernel's part of a client that reads along.
const CLIENT_BYTES_KERNEL: u64 = 4506;
/// A symbol's history on disk, with all 22 series.
const HISTORY_BYTES: u64 = 5 << 20;

fn memory(machine: &Machine, config: &Config, clients: u64) -> Finding {
    let check = Check::new(SECTION, "memory");
    let client = if config.tls.certificate.is_empty() { CLIENT_BYTES } else { CLIENT_BYTES_TLS };
    let symbols = config.venues.iter().map(|venue| venue.symbols.len() as u64).sum::<u64>();
    let history = if config.store.path.is_empty() { config.store.bytes_max } else { symbols * HISTORY_BYTES };
    let wanted = PROCESS_BYTES + config.ring.bytes as u64 + history + clients * (client + CLIENT_BYTES_KERNEL);
    let limit = [machine.memory_bytes, machine.memory_limit_bytes].into_iter().flatten().min();
    let Some(limit) = limit else { return check.skip("the system does not tell") };
    let of = if machine.memory_limit_bytes == Some(limit) { "of its control group" } else { "of the machine" };
    let found = format!("{} {of}; about {} wanted for {} clients", bytes(limit), bytes(wanted), grouped(clients));
    let why =
        "slow clients come on top: each may have session.outbox_bytes_max waiting, and the kernel as much as tcp_wmem";
    let way_out = "a larger MemoryMax= or --memory, or smaller ring.bytes and store.bytes_max (docs/PERFORMANCE.md)";
    match wanted {
        _ if wanted > limit => check.fail(found, "the process would be killed in the middle of its work", way_out),
        _ if wanted > limit / 10 * 7 => check.warn(found, why, way_out),
        _ => check.ok(found),
    }
}

/// Of Linux on everything that it is run on here.
const PAGE_BYTES: u64 = 4096;

fn socket_memory(machine: &Machine, clients: u64) -> Finding {
    let check = Check::new(SECTION, "net.ipv4.tcp_mem");
    let Some([_, _, most]) = machine.tcp_mem else { return check.skip("the system does not tell") };
    let most_bytes = most.saturating_mul(PAGE_BYTES);
    let wanted = clients.saturating_mul(CLIENT_BYTES_KERNEL * 4);
    let found = format!("{} for all sockets, about {} wanted", bytes(most_bytes), bytes(wanted));
    if most_bytes >= wanted {
        return check.ok(found);
    }
    let pages = wanted.div_ceil(PAGE_BYTES);
    let way_out = format!("sysctl -w net.ipv4.tcp_mem=\"{} {} {pages}\"", pages / 2, pages / 4 * 3);
    check.warn(found, "beyond it the kernel drops what clients are sent and what they send", &way_out)
}

fn socket_buffers(machine: &Machine) -> Finding {
    let check = Check::new(SECTION, "net.ipv4.tcp_wmem");
    let (Some([_, default, most]), Some([_, _, receive])) = (machine.tcp_wmem, machine.tcp_rmem) else {
        return check.skip("the system does not tell");
    };
    let found = format!("{} at first, up to {}; tcp_rmem up to {}", bytes(default), bytes(most), bytes(receive));
    if most < WMEM_LEAST {
        let why = "a client that is far away is sent no more than that within a round trip";
        return check.warn(found, why, "sysctl -w net.ipv4.tcp_wmem=\"4096 16384 4194304\"");
    }
    if most > WMEM_MOST {
        let why = "a slow client holds so much in the kernel before its outbox bounds anything";
        return check.warn(found, why, "sysctl -w net.ipv4.tcp_wmem=\"4096 16384 4194304\"");
    }
    check.ok(found)
}

const WMEM_LEAST: u64 = 256 << 10;
const WMEM_MOST: u64 = 64 << 20;

fn sender(machine: &Machine, config: &Config) -> Finding {
    let check = Check::new(SECTION, "io_uring");
    let refused = match (&machine.io_uring_refused, config.delivery.sender) {
        (_, Sender::Epoll) => return check.skip("delivery.sender is \"epoll\""),
        (None, _) => return check.ok("this process gets a queue"),
        (Some(reason), _) => reason,
    };
    let disabled = machine.io_uring_disabled.filter(|&disabled| disabled > 0);
    let found = match disabled {
        Some(value) => format!("refused ({refused}); kernel.io_uring_disabled is {value}"),
        None => format!("refused ({refused})"),
    };
    let way_out = match disabled {
        Some(_) => "sysctl -w kernel.io_uring_disabled=0, or delivery.sender = \"epoll\" to be at peace with it",
        None => "a kernel from 6.1 on, and a seccomp profile that allows io_uring_*; or delivery.sender = \"epoll\"",
    };
    match config.delivery.sender {
        Sender::IoUring => check.fail(found, "delivery.sender is \"io_uring\": the server would not start", way_out),
        _ => check.warn(found, "each client's bytes take a system call of their own; all else is the same", way_out),
    }
}

fn ports(machine: &Machine, clients: u64) -> Finding {
    let check = Check::new(SECTION, "ports for clients");
    let Some((first, last)) = machine.ports else { return check.skip("the system does not tell") };
    let count = last.saturating_sub(first) + 1;
    let found =
        format!("{} ({first} to {last}); only `tickcast load` against another address counts on them", grouped(count));
    if count >= clients {
        return check.ok(found);
    }
    let why = "from one address there are no more connections to one server than that";
    check.warn(found, why, "sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\" where `tickcast load` runs")
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Status, *};

    fn machine() -> Machine {
        Machine {
            descriptors_soft: Some(1024),
            descriptors_hard: Some(1 << 20),
            descriptors_system: Some(1 << 30),
            somaxconn: Some(4096),
            tcp_wmem: Some([4096, 16_384, 4 << 20]),
            tcp_rmem: Some([4096, 131_072, 6 << 20]),
            tcp_mem: Some([100_000, 150_000, 200_000]),
            ports: Some((32_768, 60_999)),
            cores: 4,
            core_numbers: vec![0, 1, 2, 3],
            memory_bytes: Some(8 << 30),
            ..Machine::default()
        }
    }

    fn status(machine: &Machine, config: &Config, check: &str) -> Status {
        let findings = findings(machine, config, 10_000);
        let finding = findings.iter().find(|finding| finding.check == check).unwrap_or_else(|| panic!("{check}"));
        assert_eq!(finding.way_out.is_empty(), matches!(finding.status, Status::Ok | Status::Skip), "{finding:?}");
        finding.status
    }

    #[test]
    fn a_good_machine_is_good() {
        let findings = findings(&machine(), &Config::embedded(), 10_000);
        assert!(findings.iter().all(|finding| finding.status == Status::Ok), "{findings:#?}");
    }

    #[test]
    fn each_limit_that_is_too_small_is_named() {
        let config = Config::embedded();
        type Spoil = fn(&mut Machine);
        let cases: [(&str, Status, Spoil); 9] = [
            ("descriptors", Status::Warn, |machine| machine.descriptors_hard = Some(4096)),
            ("fs.file-max", Status::Warn, |machine| machine.descriptors_system = Some(8192)),
            ("net.core.somaxconn", Status::Warn, |machine| machine.somaxconn = Some(128)),
            ("memory", Status::Fail, |machine| machine.memory_limit_bytes = Some(128 << 20)),
            ("memory", Status::Warn, |machine| machine.memory_limit_bytes = Some(400 << 20)),
            ("net.ipv4.tcp_mem", Status::Warn, |machine| machine.tcp_mem = Some([1, 2, 3])),
            ("net.ipv4.tcp_wmem", Status::Warn, |machine| machine.tcp_wmem = Some([4096, 16_384, 65_536])),
            ("io_uring", Status::Warn, |machine| machine.io_uring_refused = Some("no".to_owned())),
            ("ports for clients", Status::Warn, |machine| machine.ports = Some((60_000, 60_999))),
        ];
        for (check, expected, spoil) in cases {
            let mut machine = machine();
            spoil(&mut machine);
            assert_eq!(status(&machine, &config, check), expected, "{check}");
        }
        let silent = Machine { cores: 1, ..Machine::default() };
        for check in ["fs.file-max", "net.core.somaxconn", "memory", "net.ipv4.tcp_mem", "ports for clients"] {
            assert_eq!(status(&silent, &config, check), Status::Skip, "{check}");
        }
    }

    #[test]
    fn what_the_configuration_insists_on_has_to_be_there() {
        let mut config = Config::embedded();
        let mut machine = machine();
        machine.io_uring_refused = Some("no".to_owned());
        config.delivery.sender = Sender::IoUring;
        assert_eq!(status(&machine, &config, "io_uring"), Status::Fail);
        config.delivery.sender = Sender::Epoll;
        assert_eq!(status(&machine, &config, "io_uring"), Status::Skip);
        config.server.shards = 5;
        assert_eq!(status(&machine, &config, "cores"), Status::Warn);
        config.server.shards = 2;
        config.server.shard_cores = vec![2, 9];
        assert_eq!(status(&machine, &config, "cores"), Status::Warn);
    }
}
