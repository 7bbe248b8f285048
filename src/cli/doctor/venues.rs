//! Whether each configured venue can be reached, and what time it has there. Nothing else is ever connected to.

use std::{thread, time::Duration};

use reqwest::Url;
use rustls::RootCertStore;
use serde_json::Value;

use super::{
    finding::{Check, Finding},
    handshake::{addresses, connect, shake_hands},
    validity::days_left,
};
use crate::{
    clock,
    config::{Config, EMBEDDED, Venue},
    market::Nanos,
};

/// What was found at all venues, and how far their clocks are ahead of ours.
pub(super) fn findings(config: &Config, offline: bool) -> (Vec<Finding>, Vec<Offset>) {
    let looked = thread::scope(|scope| {
        let look = |(index, venue)| scope.spawn(move || look(index, venue, config, offline));
        let looking: Vec<_> = config.venues.iter().enumerate().map(look).collect();
        looking.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
    });
    let mut all = (Vec::new(), Vec::new());
    for (venue, looked) in config.venues.iter().zip(looked) {
        match looked {
            Ok((findings, offset)) => {
                all.0.extend(findings);
                all.1.extend(offset);
            }
            Err(_) => all.0.push(Check::new(section(venue), "look").fail("a defect of ours", "", "please report it")),
        }
    }
    all
}

/// How far a venue's clock is ahead of ours, and how sure that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    pub(super) ahead_ns: i64,
    pub(super) within_ns: i64,
}

impl Offset {
    /// From the time that a venue tells with steps of `step_ns`, asked for and answered at these times of ours.
    fn of(told: Nanos, step_ns: i64, asked: Nanos, answered: Nanos) -> Self {
        let half = answered.0.saturating_sub(asked.0) / 2;
        // A time is told rounded down: in the middle of its step it is right.
        Self { ahead_ns: told.0 + step_ns / 2 - (asked.0 + half), within_ns: half + step_ns / 2 }
    }

    /// The least that the clocks are apart by.
    pub(super) const fn apart_ns(self) -> i64 {
        let apart = self.ahead_ns.saturating_abs() - self.within_ns;
        if apart > 0 { apart } else { 0 }
    }
}

fn section(venue: &Venue) -> String {
    format!("Venue {}", venue.name)
}

fn look(index: usize, venue: &Venue, config: &Config, offline: bool) -> (Vec<Finding>, Option<Offset>) {
    let section = section(venue);
    if venue.ws_url == EMBEDDED {
        let found = "simulated inside the process, nothing to reach";
        return (vec![Check::new(section, "exchange").ok(found)], None);
    }
    if offline {
        return (vec![Check::new(section, "network").skip("--offline")], None);
    }
    let limit = Duration::from_millis(config.intake.connect_timeout_ms);
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let mut findings = Vec::new();
    let mut reached = true;
    for (what, key, url) in [("streams", "ws_url", &venue.ws_url), ("REST", "rest_url", &venue.rest_url)] {
        let key = format!("venues.{}.{key}", index + 1);
        let before = findings.len();
        reach(&section, what, &key, url, roots.clone(), limit, &mut findings);
        reached = findings[before..].iter().all(|finding| finding.status != super::finding::Status::Fail);
    }
    if !reached {
        return (findings, None);
    }
    let (answer, offset) = ask(&section, venue, config, roots);
    findings.push(answer);
    findings.extend(offset.map(|offset| judge(Check::new(&*section, "clock"), offset)));
    (findings, offset)
}

/// Name, connection and certificate of one address.
fn reach(
    section: &str,
    what: &str,
    key: &str,
    url: &str,
    roots: RootCertStore,
    limit: Duration,
    findings: &mut Vec<Finding>,
) {
    let check = |name: &str| Check::new(section, format!("{what} {name}"));
    let parts = Url::parse(url).ok().and_then(|url| Some((url.host_str()?.to_owned(), url.port_or_known_default()?)));
    let Some((host, port)) = parts else {
        findings.push(check("address").fail(
            url,
            "it names no host",
            &format!("set `{key}` as config/binance.toml shows"),
        ));
        return;
    };
    let found = match addresses(&host, port) {
        Ok((found, time)) => {
            let count = if found.len() == 1 { "one address".to_owned() } else { format!("{} addresses", found.len()) };
            findings.push(check("name").ok(format!("{host}: {count} in {} ms", time.as_millis())));
            found
        }
        Err(error) => {
            let way_out = format!("`getent hosts {host}` and /etc/resolv.conf, or the spelling of `{key}`");
            findings.push(check("name").fail(
                format!("{host}: {error}"),
                "without an address nothing is received",
                &way_out,
            ));
            return;
        }
    };
    let stream = match connect(&found, limit) {
        Ok((stream, time)) => {
            findings.push(check("connection").ok(format!("{host}:{port} in {} ms", time.as_millis())));
            stream
        }
        Err(error) => {
            let why = "nothing is received from there, and it is tried for ever";
            let way_out =
                format!("let this machine out to port {port} (firewall, proxy, egress rules), or set `{key}`");
            findings.push(check("connection").fail(error, why, &way_out));
            return;
        }
    };
    if url.starts_with("ws:") || url.starts_with("http:") {
        findings.push(check("TLS").skip("not asked for by the address"));
        return;
    }
    let shaken = shake_hands(stream, &host, roots, limit);
    let days = shaken.validity.map(|(from, until)| (days_left(clock::now(), from), days_left(until, clock::now())));
    let valid = match days {
        Some((since, _)) if since < 0 => "certificate not valid yet".to_owned(),
        Some((_, left)) if left < 0 => format!("certificate over for {} days", -left),
        Some((_, left)) => format!("certificate valid for {left} days"),
        None => "certificate unreadable".to_owned(),
    };
    findings.push(match shaken.outcome {
        Ok((version, time)) if days.is_some_and(|(_, left)| left < DAYS_LEAST) => check("TLS").warn(
            format!("{version} in {} ms, {valid}", time.as_millis()),
            "once it is over nothing is received any more",
            "ask the venue whether it will be renewed in time",
        ),
        Ok((version, time)) => check("TLS").ok(format!("{version} in {} ms, {valid}", time.as_millis())),
        Err(error) => check("TLS").fail(
            format!("{error}; {valid}"),
            "the connection is refused: nobody vouches for what would come over it",
            "a proxy that opens TLS has to leave this host alone; a wrong clock here makes good certificates bad",
        ),
    });
}

/// Venues renew theirs weeks before.
const DAYS_LEAST: i64 = 3;

/// Asks for the time over REST.
fn ask(section: &str, venue: &Venue, config: &Config, roots: RootCertStore) -> (Finding, Option<Offset>) {
    let check = Check::new(section, "REST answer");
    let is_kraken = venue.kind == "kraken";
    let path = if is_kraken { "/0/public/Time" } else { "/api/v3/time" };
    let url = format!("{}{path}", venue.rest_url.trim_end_matches('/'));
    let (asked, answer, answered) = (clock::now(), get(&url, config, roots), clock::now());
    let why = "books, trades and candles from before are asked for there";
    match answer {
        Err(error) => {
            (check.fail(error, why, "the same as for the connection; intake.rest_timeout_ms bounds it"), None)
        }
        Ok((status @ (418 | 429), _)) => {
            let way_out =
                "wait, and see what else on this address uses the venue; intake.rest_weight_percent bounds us";
            (check.warn(format!("HTTP {status}: the venue asks for a pause"), why, way_out), None)
        }
        Ok((status, _)) if status != 200 => {
            let way_out = "look at the address (rest_url), or whether the venue serves this country";
            (check.warn(format!("HTTP {status} at {path}"), why, way_out), None)
        }
        Ok((_, body)) => {
            let millis = answered.since(asked).as_millis();
            let Some((told, step)) = told_time(&body, is_kraken) else {
                return (check.warn(format!("{path} tells no time"), why, "look at rest_url"), None);
            };
            (check.ok(format!("{path} in {millis} ms")), Some(Offset::of(told, step, asked, answered)))
        }
    }
}

/// The time in an answer, and the step that it is told in.
fn told_time(body: &str, is_kraken: bool) -> Option<(Nanos, i64)> {
    let body: Value = serde_json::from_str(body).ok()?;
    let (time, step) =
        if is_kraken { (&body["result"]["unixtime"], 1_000_000_000) } else { (&body["serverTime"], 1_000_000) };
    Some((Nanos::from_epoch_integer(time.as_i64()?), step))
}

fn get(url: &str, config: &Config, roots: RootCertStore) -> Result<(u16, String), String> {
    let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("ring offers the cipher suites of TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    // As the connector asks: no proxy, no redirect.
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .timeout(Duration::from_millis(config.intake.rest_timeout_ms))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| error.to_string())?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let mut answer = client.get(url).send().await.map_err(|error| with_sources(&error))?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| with_sources(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > BODY_BYTES_MAX {
                return Err(format!("an answer of more than {BODY_BYTES_MAX} bytes"));
            }
        }
        Ok((answer.status().as_u16(), String::from_utf8_lossy(&body).into_owned()))
    })
}

/// A time takes a line.
const BODY_BYTES_MAX: usize = 65_536;

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

/// What an offset means.
fn judge(check: Check, offset: Offset) -> Finding {
    let millis = |ns: i64| ns / 1_000_000;
    let (side, ahead) = if offset.ahead_ns < 0 { ("behind", -offset.ahead_ns) } else { ("ahead of", offset.ahead_ns) };
    let found = format!("{} ms {side} ours, to within {} ms", millis(ahead), millis(offset.within_ns));
    let why = "lag is told against the venue's clock, and what is derived here begins and ends by ours";
    let way_out = "keep this machine's clock right: apt-get install chrony, or timedatectl set-ntp true";
    match millis(offset.apart_ns()) {
        apart if apart <= OFFSET_GOOD_MS => check.ok(found),
        apart if apart <= OFFSET_BEARABLE_MS => check.warn(found, why, way_out),
        _ => check.fail(found, why, way_out),
    }
}

const OFFSET_GOOD_MS: i64 = 100;
const OFFSET_BEARABLE_MS: i64 = 2000;

#[cfg(test)]
mod tests;
