//! Data watchdog: a stream that used to speak and fell silent while its venue goes on has died without a word.

use std::time::Duration;

use crate::{
    intake::ConnectionId,
    market::{InstrumentId, Nanos},
};

/// The streams watched for each instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Book,
    Trades,
    Best,
}

const STREAMS: usize = 3;

/// What is known of one stream of one instrument.
#[derive(Clone, Copy, Debug, Default)]
struct Pulse {
    last: Nanos,
    /// Mean nanoseconds between two messages; zero until there were enough to tell.
    mean_ns: i64,
    count: u32,
}

/// All streams of one partition.
#[derive(Debug)]
pub(super) struct Watch {
    pulses: Vec<[Pulse; STREAMS]>,
    connections: Vec<Option<ConnectionId>>,
    stale_after: Duration,
    /// When any stream of the partition spoke last.
    heard: Nanos,
}

impl Watch {
    pub(super) fn new(instruments: usize, stale_after: Duration) -> Self {
        Self {
            pulses: vec![[Pulse::default(); STREAMS]; instruments],
            connections: vec![None; instruments],
            stale_after,
            heard: Nanos::default(),
        }
    }

    /// A connection carries these instruments from now on; their silence counts from now.
    pub(super) fn opened(&mut self, connection: ConnectionId, instruments: &[InstrumentId], now: Nanos) {
        for instrument in instruments {
            self.connections[instrument.index()] = Some(connection);
            for pulse in &mut self.pulses[instrument.index()] {
                pulse.last = now;
            }
        }
    }

    /// A connection is gone: intake is at it, the watchdog is not needed.
    pub(super) fn closed(&mut self, connection: ConnectionId) {
        for slot in &mut self.connections {
            if *slot == Some(connection) {
                *slot = None;
            }
        }
    }

    /// A message of a stream came.
    pub(super) fn heard(&mut self, instrument: InstrumentId, stream: Stream, now: Nanos) {
        self.heard = now;
        let pulse = &mut self.pulses[instrument.index()][stream as usize];
        if pulse.count > 0 {
            let gap = now.since(pulse.last).as_nanos() as i64;
            // A mean over about the last 32 messages.
            pulse.mean_ns += (gap - pulse.mean_ns) / i64::from(pulse.count.min(32));
        }
        pulse.count = pulse.count.saturating_add(1);
        pulse.last = now;
    }

    /// The connections with a stream that is silent for too long, measured by its own habit, while others speak.
    pub(super) fn stale(&mut self, now: Nanos) -> Vec<ConnectionId> {
        let mut found = Vec::new();
        if now.since(self.heard) > self.stale_after {
            // Nobody speaks: that is the connection's watchdog's business.
            return found;
        }
        for (pulses, slot) in self.pulses.iter_mut().zip(&mut self.connections) {
            let Some(connection) = *slot else { continue };
            let dead = pulses.iter().any(|pulse| {
                let silence = now.since(pulse.last);
                let habit = Duration::from_nanos(pulse.mean_ns.max(0) as u64);
                pulse.count > MESSAGES_MIN && silence > self.stale_after && silence > habit * HABIT_FACTOR
            });
            if dead && !found.contains(&connection) {
                found.push(connection);
            }
        }
        for slot in &mut self.connections {
            if slot.is_some_and(|connection| found.contains(&connection)) {
                *slot = None;
            }
        }
        found
    }
}

/// A stream with fewer messages has no habit yet.
const MESSAGES_MIN: u32 = 20;

/// Silence of so many times the usual gap is unusual.
const HABIT_FACTOR: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    const STALE: Duration = Duration::from_secs(60);

    fn seconds(count: i64) -> Nanos {
        Nanos(count * 1_000_000_000)
    }

    #[test]
    fn a_stream_that_dies_among_living_ones_is_found_once() {
        let mut watch = Watch::new(2, STALE);
        let (alive, dead) = (InstrumentId(0), InstrumentId(1));
        watch.opened(ConnectionId(1), &[alive], seconds(0));
        watch.opened(ConnectionId(2), &[dead], seconds(0));
        for second in 0..30 {
            watch.heard(alive, Stream::Book, seconds(second));
            watch.heard(dead, Stream::Book, seconds(second));
        }
        for second in 30..120 {
            watch.heard(alive, Stream::Book, seconds(second));
            let expected = if second == 90 { vec![ConnectionId(2)] } else { vec![] };
            assert_eq!(watch.stale(seconds(second)), expected, "at {second} s");
        }
    }

    #[test]
    fn quiet_symbols_and_quiet_venues_are_left_alone() {
        let mut watch = Watch::new(2, STALE);
        watch.opened(ConnectionId(1), &[InstrumentId(0), InstrumentId(1)], seconds(0));
        for second in 0..30 {
            watch.heard(InstrumentId(0), Stream::Trades, seconds(second * 10));
        }
        watch.heard(InstrumentId(1), Stream::Trades, seconds(300));
        assert!(watch.stale(seconds(380)).is_empty(), "90 s of silence are nothing after gaps of 10 s");
        assert!(watch.stale(seconds(3_000)).is_empty(), "all are silent");
    }
}
