//! A session's clocks: how fast the client may speak, whether it is alive, how old it is.

use super::{CloseReason, Limits};
use crate::market::Nanos;

/// A token bucket in thousandths, so that a rate per second is a gain per millisecond.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    tokens: u32,
    filled_ms: i64,
}

const TOKEN: u32 = 1000;

impl Bucket {
    /// A full one.
    pub(super) fn new(limits: &Limits, now: Nanos) -> Self {
        Self { tokens: limits.messages_burst.saturating_mul(TOKEN), filled_ms: now.millis() }
    }

    /// Takes one message's token; `false`: there is none. A rate of zero is no limit.
    pub(super) fn take(&mut self, limits: &Limits, now: Nanos) -> bool {
        if limits.messages_per_second == 0 {
            return true;
        }
        let elapsed = now.millis().saturating_sub(self.filled_ms).max(0);
        let gain = u32::try_from(elapsed).unwrap_or(u32::MAX).saturating_mul(limits.messages_per_second);
        self.tokens = self.tokens.saturating_add(gain).min(limits.messages_burst.saturating_mul(TOKEN));
        self.filled_ms = now.millis();
        match self.tokens.checked_sub(TOKEN) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }
}

/// What is due for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// A ping whose payload is this number of milliseconds in decimal.
    Ping(i64),
    /// Its end.
    Close(CloseReason),
}

/// Pings sent and answered.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeat {
    opened_ms: i64,
    /// What chance takes off the lifetime.
    cut_ms: u32,
    /// The last two pings: an answer may cross the next ping on its way. Zero: none.
    pings_ms: [i64; 2],
    /// The oldest ping since the last answer; zero: all is answered.
    unanswered_ms: i64,
}

impl Heartbeat {
    /// One that begins now. `chance` picks how much of [`Limits::lifetime_jitter_ms`] is taken off its lifetime: sessions
    /// that came in one storm do not all end, and come back, in another.
    pub fn new(limits: &Limits, chance: u64, now: Nanos) -> Self {
        let cut_ms = chance % (u64::from(limits.lifetime_jitter_ms) + 1);
        Self { opened_ms: now.millis(), cut_ms: cut_ms as u32, pings_ms: [0; 2], unanswered_ms: 0 }
    }

    /// What is due now; a ping that it returns counts as sent.
    pub fn due(&mut self, limits: &Limits, now: Nanos) -> Due {
        let now_ms = now.millis();
        let has_passed = |since_ms: i64, limit_ms: u64| {
            u64::try_from(now_ms.saturating_sub(since_ms)).is_ok_and(|elapsed| elapsed >= limit_ms)
        };
        if has_passed(self.opened_ms, limits.lifetime_ms.saturating_sub(self.cut_ms.into())) {
            return Due::Close(CloseReason::Lifetime);
        }
        if self.unanswered_ms != 0 && has_passed(self.unanswered_ms, limits.pong_timeout_ms) {
            return Due::Close(CloseReason::PongTimeout);
        }
        if !has_passed(self.pings_ms[0].max(self.opened_ms), limits.ping_interval_ms) {
            return Due::Nothing;
        }
        self.pings_ms = [now_ms, self.pings_ms[0]];
        if self.unanswered_ms == 0 {
            self.unanswered_ms = now_ms;
        }
        Due::Ping(now_ms)
    }

    /// Hears a pong: only one that repeats a ping's payload counts.
    pub fn pong(&mut self, payload: &[u8]) {
        let Some(answered) = std::str::from_utf8(payload).ok().and_then(|text| text.parse::<i64>().ok()) else {
            return;
        };
        let [newest, older] = self.pings_ms;
        if answered != 0 && answered == newest {
            self.unanswered_ms = 0;
        } else if answered != 0 && answered == older {
            self.unanswered_ms = newest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_789_000_000_000;

    fn limits() -> Limits {
        Limits {
            streams_max: 1024,
            messages_per_second: 5,
            messages_burst: 10,
            ping_interval_ms: 20_000,
            pong_timeout_ms: 60_000,
            lifetime_ms: 86_400_000,
            lifetime_jitter_ms: 3_600_000,
            unknown_bytes_max: 1000,
        }
    }

    fn at(ms: i64) -> Nanos {
        Nanos::from_millis(START + ms)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_counts() {
        let mut bucket = Bucket::new(&limits(), at(0));
        assert_eq!((0..12).filter(|_| bucket.take(&limits(), at(0))).count(), 10);
        assert!(!bucket.take(&limits(), at(199)));
        assert!(bucket.take(&limits(), at(200)));
        assert!(!bucket.take(&limits(), at(201)));
        // A long silence fills no more than the burst; a clock set back takes nothing away.
        assert_eq!((0..50).filter(|_| bucket.take(&limits(), at(3_600_000))).count(), 10);
        assert!(!bucket.take(&limits(), at(0)));
        let unlimited = Limits { messages_per_second: 0, ..limits() };
        assert!((0..1000).all(|_| bucket.take(&unlimited, at(0))));
    }

    #[test]
    fn pings_come_at_their_interval_and_answers_keep_the_session() {
        let mut heartbeat = Heartbeat::new(&limits(), 0, at(0));
        assert_eq!(heartbeat.due(&limits(), at(19_999)), Due::Nothing);
        for round in 1..20 {
            let now = 20_000 * round;
            assert_eq!(heartbeat.due(&limits(), at(now)), Due::Ping(START + now));
            assert_eq!(heartbeat.due(&limits(), at(now + 1)), Due::Nothing);
            heartbeat.pong((START + now).to_string().as_bytes());
        }
    }

    #[test]
    fn only_a_pong_with_our_payload_counts() {
        let mut heartbeat = Heartbeat::new(&limits(), 0, at(0));
        for now in [20_000, 40_000, 60_000] {
            assert_eq!(heartbeat.due(&limits(), at(now)), Due::Ping(START + now));
            for foreign in [&b""[..], b"0", b"1789", b"\xFF", b"99999999999999999999"] {
                heartbeat.pong(foreign);
            }
        }
        assert_eq!(heartbeat.due(&limits(), at(80_000)), Due::Close(CloseReason::PongTimeout));
    }

    #[test]
    fn an_answer_that_crosses_the_next_ping_counts_for_its_own() {
        let mut heartbeat = Heartbeat::new(&limits(), 0, at(0));
        assert_eq!(heartbeat.due(&limits(), at(20_000)), Due::Ping(START + 20_000));
        assert_eq!(heartbeat.due(&limits(), at(40_000)), Due::Ping(START + 40_000));
        heartbeat.pong((START + 20_000).to_string().as_bytes());
        assert_eq!(heartbeat.due(&limits(), at(80_000)), Due::Ping(START + 80_000));
        assert_eq!(heartbeat.due(&limits(), at(100_000)), Due::Close(CloseReason::PongTimeout));
    }

    #[test]
    fn age_ends_a_session() {
        let mut heartbeat = Heartbeat::new(&limits(), 0, at(0));
        assert_ne!(heartbeat.due(&limits(), at(86_399_999)), Due::Close(CloseReason::Lifetime));
        assert_eq!(heartbeat.due(&limits(), at(86_400_000)), Due::Close(CloseReason::Lifetime));
    }

    #[test]
    fn those_who_came_together_do_not_go_together() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let mut ends_by_minute = [0; 60];
        for _ in 0..6000 {
            let heartbeat = Heartbeat::new(&limits(), random.u64(..), at(0));
            // A copy each time: pings do not matter here.
            let ends = |ms| { heartbeat }.due(&limits(), at(ms)) == Due::Close(CloseReason::Lifetime);
            assert!(!ends(82_799_999) && ends(86_400_000), "at most an hour is taken off");
            let (mut alive, mut over) = (82_799_999, 86_400_000);
            while over - alive > 1 {
                let middle = i64::midpoint(alive, over);
                *(if ends(middle) { &mut over } else { &mut alive }) = middle;
            }
            ends_by_minute[((over - 82_800_000) / 60_000).min(59) as usize] += 1;
        }
        assert!(ends_by_minute.iter().all(|&count| count < 200), "evenly, not at once: {ends_by_minute:?}");
    }
}
