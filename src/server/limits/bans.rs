//! Who goes on asking while limited is banned for a while, and for longer each time.

use std::{collections::HashMap, net::IpAddr, sync::Mutex, time::Duration};

use crate::market::Nanos;

/// Addresses kept in mind. Those beyond are refused like the others, but not banned.
const ADDRESSES_MAX: usize = 65_536;
/// Refusals are counted per minute, as weight is.
const WINDOW_NS: i64 = 60_000_000_000;

/// The addresses that were refused of late.
#[derive(Debug)]
pub(super) struct Bans {
    rule: Mutex<Rule>,
    addresses: Mutex<Addresses>,
}

#[derive(Clone, Copy, Debug)]
struct Rule {
    /// More refusals than this within a minute make a ban; 0: there is none.
    after: u32,
    first: Duration,
    most: Duration,
}

#[derive(Debug, Default)]
struct Addresses {
    records: HashMap<IpAddr, Record>,
    /// The minute in which room was made last: once each is enough.
    cleared: i64,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    window: i64,
    refusals: u32,
    bans: u32,
    until: Nanos,
}

impl Bans {
    pub(super) fn new(after: u32, first: Duration, most: Duration) -> Self {
        Self { rule: Mutex::new(Rule { after, first, most }), addresses: Mutex::default() }
    }

    /// Refusals to come are held against another rule; bans that were told stay as they were told.
    pub(super) fn adjust(&self, after: u32, first: Duration, most: Duration) {
        *self.rule.lock().expect("no panic while held") = Rule { after, first, most };
    }

    /// The end of the ban that `address` is under.
    pub(super) fn until(&self, address: IpAddr, now: Nanos) -> Option<Nanos> {
        let addresses = self.addresses.lock().expect("no panic while held");
        addresses.records.get(&address).map(|record| record.until).filter(|&until| until > now)
    }

    /// Counts a refusal, and returns the end of the ban if it was one too many.
    pub(super) fn refuse(&self, address: IpAddr, now: Nanos) -> Option<Nanos> {
        let rule = *self.rule.lock().expect("no panic while held");
        if rule.after == 0 {
            return None;
        }
        let window = now.0.div_euclid(WINDOW_NS);
        let mut addresses = self.addresses.lock().expect("no panic while held");
        let Addresses { records, cleared } = &mut *addresses;
        if records.len() >= ADDRESSES_MAX && *cleared != window {
            *cleared = window;
            records.retain(|_, record| record.window == window || !rule.is_forgotten(record, now));
        }
        let has_room = records.len() < ADDRESSES_MAX;
        let fresh = Record { window, refusals: 0, bans: 0, until: Nanos(i64::MIN) };
        let record = match records.get_mut(&address) {
            Some(record) => record,
            None if has_room => records.entry(address).or_insert(fresh),
            None => return None,
        };
        if rule.is_forgotten(record, now) && record.window != window {
            *record = fresh;
        }
        if record.window != window {
            (record.window, record.refusals) = (window, 0);
        }
        record.refusals += 1;
        if record.refusals <= rule.after {
            return None;
        }
        let factor = 1_u32.checked_shl(record.bans).unwrap_or(u32::MAX);
        record.until = now.plus(rule.first.saturating_mul(factor).min(rule.most));
        record.bans = record.bans.saturating_add(1);
        record.refusals = 0;
        Some(record.until)
    }
}

impl Rule {
    /// Whoever keeps the peace for as long as the longest ban begins anew.
    fn is_forgotten(self, record: &Record, now: Nanos) -> bool {
        record.bans == 0 || record.until.plus(self.most) < now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(120);
    const MOST: Duration = Duration::from_secs(3 * 86_400);

    fn at(second: i64) -> Nanos {
        Nanos::from_millis(1_788_999_960_000 + second * 1000)
    }

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn bans_double_up_to_the_longest_and_are_forgotten_as_slowly() {
        let bans = Bans::new(2, FIRST, MOST);
        let mut now = at(0);
        let mut lengths = Vec::new();
        for _ in 0..14 {
            assert_eq!((bans.refuse(address(1), now), bans.refuse(address(1), now)), (None, None));
            assert_eq!(bans.until(address(1), now), None);
            let until = bans.refuse(address(1), now).expect("one too many");
            assert_eq!(bans.until(address(1), Nanos(until.0 - 1)), Some(until));
            assert_eq!(bans.until(address(2), now), None);
            lengths.push(until.since(now).as_secs());
            now = until;
            assert_eq!(bans.until(address(1), now), None);
        }
        assert_eq!(lengths[..4], [120, 240, 480, 960]);
        assert_eq!(lengths[12..], [MOST.as_secs(); 2]);

        let later = now.plus(MOST + Duration::from_secs(60));
        (0..2).for_each(|_| assert_eq!(bans.refuse(address(1), later), None));
        assert_eq!(bans.refuse(address(1), later).expect("one too many").since(later), FIRST);
    }

    #[test]
    fn refusals_of_other_minutes_do_not_add_up() {
        let bans = Bans::new(2, FIRST, MOST);
        for minute in 0..10 {
            assert_eq!(
                (bans.refuse(address(1), at(60 * minute)), bans.refuse(address(1), at(60 * minute))),
                (None, None)
            );
        }
        let never = Bans::new(0, FIRST, MOST);
        assert!((0..1000).all(|_| never.refuse(address(1), at(0)).is_none()));
    }

    #[test]
    fn the_table_is_bounded_and_makes_room_but_not_of_the_banned() {
        let bans = Bans::new(1, FIRST, MOST);
        let one = |index: u32| IpAddr::V4((0x0a00_0000 + index).into());
        bans.refuse(one(0), at(0));
        assert!(bans.refuse(one(0), at(0)).is_some());
        for index in 1..ADDRESSES_MAX as u32 + 9 {
            bans.refuse(one(index), at(0));
        }
        let len = || bans.addresses.lock().unwrap().records.len();
        assert_eq!(len(), ADDRESSES_MAX);
        assert_eq!(bans.refuse(address(1), at(60)), None);
        assert_eq!(len(), 2, "the banned one and the new one");
        assert!(bans.until(one(0), at(60)).is_some());
        assert!(bans.refuse(address(1), at(60)).is_some());
    }
}
