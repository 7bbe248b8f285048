//! The configuration: whether it is one, and whether this machine can do what it says.

use std::{io::ErrorKind, net::SocketAddr, net::TcpListener};

use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::{
    finding::{Check, Finding},
    validity::{days_left, validity},
};
use crate::{app, cli::Failure, clock, config::Config, server};

const SECTION: &str = "Configuration";

/// That it was read, or why not.
pub(super) fn read(config: &Result<Config, Failure>, file: Option<&str>) -> Finding {
    let check = Check::new(SECTION, "settings");
    match config {
        Ok(config) => {
            let symbols: usize = config.venues.iter().map(|venue| venue.symbols.len()).sum();
            let venues: Vec<_> = config.venues.iter().map(|venue| venue.name.as_str()).collect();
            let origin = file.unwrap_or("built-in");
            check.ok(format!("{origin}: {symbols} symbols of {}", venues.join(", ")))
        }
        Err(failure) => check.fail(
            failure.message.clone(),
            "the server does not start; what follows is about the built-in configuration",
            "mend what is named; `tickcast check-config` looks at it alone, `tickcast default-config` prints every key",
        ),
    }
}

/// Everything else about it.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let mut findings = vec![venues(config)];
    findings.push(door("public door", "server.listen", config.server.listen));
    findings.push(match config.sbe.listen {
        Some(address) => door("SBE door", "sbe.listen", address),
        None => Check::new(SECTION, "SBE door").skip("switched off"),
    });
    findings.push(door("operators' door", "ops.listen", config.ops.listen));
    findings.extend(exposed(config));
    findings.push(certificate(config));
    findings
}

fn venues(config: &Config) -> Finding {
    let check = Check::new(SECTION, "venues");
    match app::check(config) {
        Ok(()) => check.ok(format!("{} of known kinds", config.venues.len())),
        Err(error) => check.fail(error.to_string(), "the server does not start", "mend what is named"),
    }
}

/// Whether an address can be listened at.
fn door(name: &str, key: &str, address: SocketAddr) -> Finding {
    let check = Check::new(SECTION, name);
    let error = match TcpListener::bind(address) {
        Ok(_) if address.port() == 0 => return check.ok(format!("{}: any free port", address.ip())),
        Ok(_) => return check.ok(format!("{address} is free")),
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::AddrInUse => check.warn(
            format!("{address} is in use"),
            "well, if it is tickcast that runs there; a second one does not start",
            &format!("`ss -ltnp sport = :{}` tells who it is; `{key}` takes another", address.port()),
        ),
        ErrorKind::PermissionDenied => check.fail(
            format!("{address}: {error}"),
            "the server does not start: ports below 1024 need a privilege",
            &format!("AmbientCapabilities=CAP_NET_BIND_SERVICE in the systemd unit, or a higher port in `{key}`"),
        ),
        _ => check.fail(
            format!("{address}: {error}"),
            "the server does not start",
            &format!("set `{key}` to an address of this machine; 0.0.0.0 is all of them"),
        ),
    }
}

/// The operators' door is for operators.
fn exposed(config: &Config) -> Option<Finding> {
    let address = config.ops.listen;
    if address.ip().is_loopback() {
        return None;
    }
    Some(Check::new(SECTION, "who sees ops").warn(
        format!("{address} is not loopback"),
        "it has no TLS, and its metrics tell everything; what may be done there is for operators",
        "a firewall or a private network around it, or ops.listen = \"127.0.0.1:9464\"",
    ))
}

fn certificate(config: &Config) -> Finding {
    let check = Check::new(SECTION, "TLS certificate");
    let path = &config.tls.certificate;
    if path.is_empty() {
        return check.skip("no TLS at the doors");
    }
    if let Err(error) = server::check(config) {
        return check.fail(error.to_string(), "the server does not start", "mend what is named");
    }
    let first = CertificateDer::pem_file_iter(path).ok().and_then(|mut chain| chain.next()?.ok());
    let Some((from, until)) = first.and_then(|certificate| validity(&certificate)) else {
        return check.warn(
            format!("{path}: its dates cannot be read"),
            "it may be over",
            "openssl x509 -dates -noout -in FILE",
        );
    };
    let now = clock::now();
    let renew = "renew it (certbot renew, or whoever issued it); the doors show the new one within seconds";
    match days_left(until, now) {
        _ if from > now => {
            check.fail(format!("{path} is not valid yet"), "clients refuse it", "the right file, or the right clock")
        }
        left @ ..0 => check.fail(format!("{path} has been over for {} days", -left), "clients refuse it", renew),
        left @ ..14 => check.warn(format!("{path} is over in {left} days"), "clients refuse it then", renew),
        left => check.ok(format!("{path}, valid for {left} days")),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Status, *};

    #[test]
    fn doors_are_tried() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("bound");
        let finding = door("public door", "server.listen", address);
        assert_eq!(finding.status, Status::Warn);
        assert!(finding.way_out.contains("server.listen") && finding.way_out.contains(&address.port().to_string()));
        drop(taken);
        assert_eq!(door("x", "y", "127.0.0.1:0".parse().expect("an address")).status, Status::Ok);
        // An address for documentation (RFC 5737): no machine has it.
        let foreign = door("x", "server.listen", "192.0.2.1:9443".parse().expect("an address"));
        assert_eq!(foreign.status, Status::Fail, "{foreign:?}");
    }

    #[test]
    fn a_public_door_for_operators_is_told() {
        let mut config = Config::embedded();
        assert_eq!(exposed(&config), None);
        config.ops.listen = "0.0.0.0:9464".parse().expect("an address");
        assert_eq!(exposed(&config).map(|finding| finding.status), Some(Status::Warn));
    }
}
