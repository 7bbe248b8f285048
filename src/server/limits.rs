//! What one address may use up in a window of time: connections, request weight. And how many REST connections it may hold.

mod bans;
mod visits;
mod weights;

pub(super) use visits::{NoPlace, Visit, Visits};
pub(super) use weights::{Limited, Weights};

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use crate::market::Nanos;

/// Addresses counted one by one in a window; the ones beyond share one count, so that a flood cannot grow the table.
const ADDRESSES_MAX: usize = 65_536;

/// A budget per address and window. Windows are aligned to the clock, as Binance's minutes are.
#[derive(Debug)]
pub(super) struct Allowance {
    most: AtomicU32,
    window: Duration,
    exempt_loopback: AtomicBool,
    used: Mutex<Used>,
}

/// The budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exhausted {
    /// Whole seconds until the window ends, at least 1.
    pub(super) retry_after_s: u64,
}

#[derive(Debug, Default)]
struct Used {
    window: i64,
    by_address: HashMap<IpAddr, u32>,
    by_others: u32,
}

impl Allowance {
    /// `most` per `window`; 0: no limit.
    pub(super) fn new(most: u32, window: Duration, exempt_loopback: bool) -> Self {
        let (most, exempt_loopback) = (AtomicU32::new(most), AtomicBool::new(exempt_loopback));
        Self { most, window, exempt_loopback, used: Mutex::default() }
    }

    /// Another budget for everyone; what was used in this window stays used.
    pub(super) fn adjust(&self, most: u32, exempt_loopback: bool) {
        self.most.store(most, Ordering::Relaxed);
        self.exempt_loopback.store(exempt_loopback, Ordering::Relaxed);
    }

    /// The budget; 0: no limit.
    pub(super) fn most(&self) -> u32 {
        self.most.load(Ordering::Relaxed)
    }

    /// Whether `address` has anything left.
    ///
    /// # Errors
    /// If it has not, with the time to wait.
    pub(super) fn check(&self, address: IpAddr, now: Nanos) -> Result<(), Exhausted> {
        let address = key(address);
        let most = self.most();
        if most == 0 || is_exempt(address, self.exempt_loopback.load(Ordering::Relaxed)) {
            return Ok(());
        }
        if self.count(address, 0, now) < most {
            return Ok(());
        }
        let end = Nanos(now.0 - now.0.rem_euclid(self.window_ns()) + self.window_ns());
        Err(Exhausted { retry_after_s: seconds_until(end, now) })
    }

    /// Counts `amount` for `address`, exempt or not, and returns what it has used in this window.
    pub(super) fn spend(&self, address: IpAddr, amount: u32, now: Nanos) -> u32 {
        self.count(key(address), amount, now)
    }

    fn count(&self, address: IpAddr, amount: u32, now: Nanos) -> u32 {
        let window = now.0.div_euclid(self.window_ns());
        let mut used = self.used.lock().expect("no panic while held");
        if used.window != window {
            *used = Used { window, ..Used::default() };
        }
        let has_room = used.by_address.len() < ADDRESSES_MAX;
        let count = match used.by_address.get_mut(&address) {
            Some(count) => count,
            None if amount == 0 => return if has_room { 0 } else { used.by_others },
            None if has_room => used.by_address.entry(address).or_default(),
            None => &mut used.by_others,
        };
        *count = count.saturating_add(amount);
        *count
    }

    fn window_ns(&self) -> i64 {
        self.window.as_nanos() as i64
    }
}

/// Whether limits per address do not hold for `address`.
pub(super) fn is_exempt(address: IpAddr, exempt_loopback: bool) -> bool {
    exempt_loopback && key(address).is_loopback()
}

/// Whole seconds from `now` to `end`, at least 1.
fn seconds_until(end: Nanos, now: Nanos) -> u64 {
    u64::try_from(end.since(now).as_nanos().div_ceil(1_000_000_000)).unwrap_or(u64::MAX).max(1)
}

/// Who counts as one address: an IPv6 customer holds a whole /64.
fn key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(second: i64) -> Nanos {
        Nanos::from_millis(1_788_999_960_000 + second * 1000)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_budget_ends_and_comes_back_with_the_minute() {
        let allowance = Allowance::new(10, MINUTE, true);
        let [one, other] = [address("192.0.2.1"), address("192.0.2.2")];
        assert_eq!(allowance.check(one, at(0)), Ok(()));
        assert_eq!(allowance.spend(one, 9, at(0)), 9);
        assert_eq!(allowance.check(one, at(1)), Ok(()));
        assert_eq!(allowance.spend(one, 5, at(1)), 14, "the last request may overshoot");
        assert_eq!(allowance.check(one, at(1)), Err(Exhausted { retry_after_s: 59 }));
        assert_eq!(allowance.check(other, at(1)), Ok(()));
        assert_eq!(allowance.check(one, at(59)), Err(Exhausted { retry_after_s: 1 }));
        assert_eq!(allowance.check(one, at(60)), Ok(()));
        assert_eq!(allowance.spend(one, 1, at(60)), 1);
    }

    #[test]
    fn loopback_and_zero_are_counted_and_never_refused() {
        let allowance = Allowance::new(1, MINUTE, true);
        for text in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            allowance.spend(address(text), 5, at(0));
            assert_eq!(allowance.check(address(text), at(0)), Ok(()));
        }
        let strict = Allowance::new(1, MINUTE, false);
        assert_eq!(strict.spend(address("127.0.0.1"), 5, at(0)), 5);
        assert!(strict.check(address("127.0.0.1"), at(0)).is_err());
        let free = Allowance::new(0, MINUTE, false);
        assert_eq!(free.spend(address("192.0.2.1"), 5, at(0)), 5);
        assert_eq!(free.check(address("192.0.2.1"), at(0)), Ok(()));
    }

    #[test]
    fn a_customer_with_many_addresses_is_one() {
        let allowance = Allowance::new(2, MINUTE, true);
        allowance.spend(address("2001:db8::1"), 1, at(0));
        assert_eq!(allowance.spend(address("2001:db8::ffff:2"), 1, at(0)), 2);
        assert!(allowance.check(address("2001:db8::3"), at(0)).is_err());
        assert!(allowance.check(address("2001:db8:0:1::3"), at(0)).is_ok());
        assert_eq!(allowance.spend(address("::ffff:192.0.2.1"), 1, at(0)), 1);
        assert_eq!(allowance.spend(address("192.0.2.1"), 1, at(0)), 2);
    }

    #[test]
    fn the_table_is_bounded() {
        let allowance = Allowance::new(3, MINUTE, true);
        for index in 0..ADDRESSES_MAX as u32 + 3 {
            allowance.spend(IpAddr::V4((0x0a00_0000 + index).into()), 1, at(0));
        }
        assert_eq!(allowance.used.lock().unwrap().by_address.len(), ADDRESSES_MAX);
        assert!(allowance.check(address("192.0.2.1"), at(0)).is_err(), "the others share one count");
        assert!(allowance.check(address("10.0.0.1"), at(0)).is_ok());
        assert!(allowance.check(address("192.0.2.1"), at(60)).is_ok());
    }
}
