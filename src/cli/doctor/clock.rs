//! This machine's clock: who keeps it, and whether the venues agree with it.

use super::{
    finding::{Check, Finding},
    machine::Machine,
    venues::Offset,
};
use crate::market::Nanos;

const SECTION: &str = "Clock";

/// What there is to say of the clock at `now`, with what the venues' clocks say.
pub(super) fn findings(machine: &Machine, now: Nanos, offsets: &[Offset]) -> Vec<Finding> {
    vec![date(now), daemon(machine, offsets)]
}

fn date(now: Nanos) -> Finding {
    let check = Check::new(SECTION, "date");
    let found = format!("{} UTC", crate::cli::terminal::date_time(now));
    if now < BUILT {
        let why = "this program is younger: certificates are refused, and every time that it tells is wrong";
        return check.fail(found, why, "date -u -s, then a time daemon: apt-get install chrony");
    }
    check.ok(found)
}

/// 2026-01-01: the program is younger.
const BUILT: Nanos = Nanos(1_767_225_600_000_000_000);

fn daemon(machine: &Machine, offsets: &[Offset]) -> Finding {
    let check = Check::new(SECTION, "synchronised");
    let agree = !offsets.is_empty() && offsets.iter().all(|offset| offset.apart_ns() < AGREES_NS);
    match &machine.time_daemon {
        Some(name) => check.ok(format!("{name} runs{}", if machine.is_synchronised { " and is in step" } else { "" })),
        None if machine.is_synchronised => check.ok("systemd-timesyncd was in step"),
        None if agree => check.ok("no time daemon is seen here, and the venues' clocks agree with ours"),
        None => check.warn(
            "no time daemon is seen here; in a container it runs outside",
            "a clock that drifts makes lag and latency wrong, and candles end at wrong times",
            "on the host: apt-get install chrony, or timedatectl set-ntp true; chronyc tracking tells how far off it is",
        ),
    }
}

const AGREES_NS: i64 = 100_000_000;

#[cfg(test)]
mod tests {
    use super::{super::finding::Status, *};

    #[test]
    fn a_clock_is_kept_by_somebody_or_agrees_with_others() {
        let now = Nanos::from_millis(1_795_000_000_000);
        let mut machine = Machine::default();
        let near = Offset { ahead_ns: 1_000_000, within_ns: 5_000_000 };
        let far = Offset { ahead_ns: 900_000_000, within_ns: 5_000_000 };
        let status = |machine: &Machine, offsets: &[Offset]| findings(machine, now, offsets)[1].status;
        assert_eq!(status(&machine, &[]), Status::Warn);
        assert_eq!(status(&machine, &[near]), Status::Ok);
        assert_eq!(status(&machine, &[near, far]), Status::Warn);
        machine.time_daemon = Some("chronyd".to_owned());
        assert_eq!(status(&machine, &[]), Status::Ok);
        assert_eq!(findings(&machine, Nanos(0), &[])[0].status, Status::Fail);
    }
}
