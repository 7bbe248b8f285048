//! Whether so many clients fit into this process and this machine.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use super::LoadError;

/// Descriptors besides those of clients: polls, wakers, standard streams, the report, a child's pipes.
const DESCRIPTORS_BESIDES: u64 = 64;

/// Raises the soft limit of descriptors to the hard one and says whether `clients` to `server` fit.
///
/// # Errors
/// How many do, and what to change.
pub(super) fn check(clients: usize, server: SocketAddr) -> Result<(), LoadError> {
    if let Some(descriptors) = raise_descriptor_limit() {
        let fit = descriptors.saturating_sub(DESCRIPTORS_BESIDES);
        if clients as u64 > fit {
            return Err(LoadError::Plan(format!(
                "--clients {clients}: this process may open {descriptors} descriptors, which is room for {fit} clients; \
                 raise the limit (as root: ulimit -Hn {}) or ask for fewer",
                (clients as u64).saturating_add(DESCRIPTORS_BESIDES)
            )));
        }
    }
    let ports = ports();
    if clients > ports && !is_loopback(server) {
        return Err(LoadError::Plan(format!(
            "--clients {clients}: this machine has {ports} ports for connections to one address; widen \
             net.ipv4.ip_local_port_range or ask for fewer (to 127.0.0.1 more fit, from several loopback addresses)"
        )));
    }
    let per_source = per_source(ports);
    if clients.div_ceil(per_source) > LOOPBACK_SOURCES_MAX && is_loopback(server) {
        let most = LOOPBACK_SOURCES_MAX * per_source;
        return Err(LoadError::Plan(format!("--clients {clients}: {most} fit, from {LOOPBACK_SOURCES_MAX} addresses")));
    }
    Ok(())
}

/// The address that client `index` connects from: the ports of one loopback address serve so many, then comes the next.
/// `None`: the system's choice.
pub(super) fn source(ports: usize, index: usize, server: SocketAddr) -> Option<IpAddr> {
    let address = index / per_source(ports);
    if address == 0 || !is_loopback(server) {
        return None;
    }
    Some(Ipv4Addr::new(127, 0, 0, u8::try_from(1 + address).ok()?).into())
}

/// Connections from one loopback address. The kernel gives every other port first, and once those are gone it searches
/// ever longer: a third of the ports is taken quickly.
fn per_source(ports: usize) -> usize {
    ports.div_ceil(3)
}

/// 127.0.0.1 to 127.0.0.254.
const LOOPBACK_SOURCES_MAX: usize = 254;

/// Whether connections can come from any of them: other systems have to be told of each first.
fn is_loopback(server: SocketAddr) -> bool {
    cfg!(target_os = "linux") && matches!(server.ip(), IpAddr::V4(address) if address.is_loopback())
}

/// How many ports one address has for connections to one other; a tenth is left to whatever else runs.
pub(super) fn ports() -> usize {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut numbers = text.split_whitespace().map_while(|number| number.parse::<usize>().ok());
    let (first, last) = (numbers.next().unwrap_or(49_152), numbers.next().unwrap_or(65_535));
    ((last.saturating_sub(first) + 1) * 9 / 10).max(1)
}

/// The limit as it is then; `None`: there is no limit.
#[cfg(unix)]
fn raise_descriptor_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    if raised.is_ok() { limit.maximum } else { limit.current }
}

/// There is no such limit here.
#[cfg(not(unix))]
fn raise_descriptor_limit() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn clients_are_spread_over_loopback_addresses() {
        let server: SocketAddr = "127.0.0.1:9443".parse().expect("an address");
        assert_eq!(source(300, 99, server), None);
        assert_eq!(source(300, 100, server), Some(Ipv4Addr::new(127, 0, 0, 2).into()));
        assert_eq!(source(300, 25_399, server), Some(Ipv4Addr::new(127, 0, 0, 254).into()));
        assert_eq!(source(300, 1000, "192.0.2.1:9443".parse().expect("an address")), None);
    }

    #[test]
    fn too_many_are_told_what_fits() {
        let server: SocketAddr = "192.0.2.1:9443".parse().expect("an address");
        assert!(check(1, server).is_ok());
        let told = check(usize::MAX, server).expect_err("too many").to_string();
        assert!(told.contains("--clients") && told.contains("fewer"), "{told}");
    }
}
