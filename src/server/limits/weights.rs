//! Request weight per address: what is left of the minute, and what follows when nothing is.

use std::{net::IpAddr, time::Duration};

use super::{Allowance, bans::Bans, key, seconds_until};
use crate::{config, market::Nanos, server::rest::Refusal};

/// Binance's window, aligned to the clock.
const WINDOW: Duration = Duration::from_secs(60);

/// The weight that each address may use up, and the bans of those that go on.
#[derive(Debug)]
pub(in super::super) struct Weights {
    allowance: Allowance,
    bans: Bans,
}

/// Why a request is not even read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Limited {
    /// 429, or 418 during a ban.
    pub(in super::super) refusal: Refusal,
    /// Whole seconds, at least 1.
    pub(in super::super) retry_after_s: u64,
    /// When the address may ask again: the end of the minute, or of the ban.
    pub(in super::super) until: Nanos,
}

impl Weights {
    pub(in super::super) fn new(settings: &config::Server) -> Self {
        let [first, longest] = [settings.ban_first_ms, settings.ban_max_ms].map(Duration::from_millis);
        Self {
            allowance: Allowance::new(settings.rest_weight_per_minute, WINDOW, settings.exempt_loopback),
            bans: Bans::new(settings.ban_after_refusals, first, longest),
        }
    }

    /// Other limits for everyone. What was used stays used, and who is banned stays banned.
    pub(in super::super) fn adjust(&self, settings: &config::Server) {
        let [first, longest] = [settings.ban_first_ms, settings.ban_max_ms].map(Duration::from_millis);
        self.allowance.adjust(settings.rest_weight_per_minute, settings.exempt_loopback);
        self.bans.adjust(settings.ban_after_refusals, first, longest);
    }

    /// What each address may use up in a minute; 0: no limit.
    pub(in super::super) fn most(&self) -> u32 {
        self.allowance.most()
    }

    /// Whether `address` may ask now.
    ///
    /// # Errors
    /// If its weight is used up, or if it is banned for having gone on after that.
    pub(in super::super) fn admit(&self, address: IpAddr, now: Nanos) -> Result<(), Limited> {
        let banned = |until: Nanos| Limited {
            refusal: Refusal::banned(until.millis()),
            retry_after_s: seconds_until(until, now),
            until,
        };
        if let Some(until) = self.bans.until(key(address), now) {
            return Err(banned(until));
        }
        let Err(exhausted) = self.allowance.check(address, now) else { return Ok(()) };
        if let Some(until) = self.bans.refuse(key(address), now) {
            tracing::info!(%address, until_ms = until.millis(), "banned: it went on asking after 429");
            return Err(banned(until));
        }
        let until = Nanos(now.0 - now.0.rem_euclid(WINDOW.as_nanos() as i64)).plus(WINDOW);
        let refusal = Refusal::too_much_weight(self.most());
        Err(Limited { refusal, retry_after_s: exhausted.retry_after_s, until })
    }

    /// Counts `weight` for `address`, exempt or not, and returns what it has used in this minute.
    pub(in super::super) fn spend(&self, address: IpAddr, weight: u32, now: Nanos) -> u32 {
        self.allowance.spend(address, weight, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(change: impl Fn(&mut config::Server)) -> Weights {
        let mut settings = config::Config::embedded().server;
        (settings.rest_weight_per_minute, settings.ban_after_refusals) = (10, 3);
        change(&mut settings);
        Weights::new(&settings)
    }

    #[test]
    fn whoever_goes_on_after_429_gets_418_until_the_ban_ends() {
        let weights = weights(|_| ());
        let address: IpAddr = [192, 0, 2, 1].into();
        let at = |second: i64| Nanos::from_millis(1_788_999_960_000 + second * 1000);
        assert_eq!(weights.admit(address, at(0)), Ok(()));
        assert_eq!(weights.spend(address, 10, at(0)), 10);
        for _ in 0..3 {
            let limited = weights.admit(address, at(20)).expect_err("used up");
            assert_eq!((limited.refusal.status, limited.refusal.code, limited.retry_after_s), (429, -1003, 40));
        }
        let banned = weights.admit(address, at(20)).expect_err("one too many");
        assert_eq!((banned.refusal.status, banned.refusal.code, banned.retry_after_s), (418, -1003, 120));
        let text = "Way too much request weight used; IP banned until 1789000100000. \
                    Please use WebSocket Streams for live updates to avoid bans.";
        assert_eq!(banned.refusal.text, text);
        assert_eq!(weights.admit(address, at(139)).expect_err("still banned").retry_after_s, 1);
        assert_eq!(weights.admit(address, at(140)), Ok(()));
        assert_eq!(weights.admit([192, 0, 2, 2].into(), at(20)), Ok(()));
    }

    #[test]
    fn loopback_is_never_banned_unless_configured() {
        let now = Nanos::from_millis(1_788_999_960_000);
        let address: IpAddr = [127, 0, 0, 1].into();
        let exempt = weights(|_| ());
        exempt.spend(address, 99, now);
        assert!((0..99).all(|_| exempt.admit(address, now).is_ok()));
        let strict = weights(|settings| settings.exempt_loopback = false);
        strict.spend(address, 99, now);
        let last = (0..99).map(|_| strict.admit(address, now).expect_err("used up").refusal.status).last();
        assert_eq!(last, Some(418));
    }
}
