//! Counts of durations in buckets that are finer the smaller the duration is.

use std::time::Duration;

/// Durations from 1 ns to centuries, each known to within 1/32 of itself. 15 KB, and adding one allocates nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    longest: u64,
}

/// Buckets per doubling: what bounds the error.
const STEPS: u64 = 32;
/// Below this every nanosecond has its own bucket.
const EXACT: u64 = 2 * STEPS;
/// Bits that tell a bucket from the others of its doubling, the leading one included.
const KEPT_BITS: u32 = EXACT.ilog2();
const BUCKETS: usize = (EXACT + (u64::BITS - KEPT_BITS) as u64 * STEPS) as usize;

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, longest: 0 }
    }
}

impl Histogram {
    /// Counts one.
    pub fn add(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
        self.longest = self.longest.max(nanos);
    }

    /// Counts all of `other` as well.
    pub fn merge(&mut self, other: &Self) {
        for (mine, others) in self.counts.iter_mut().zip(&other.counts) {
            *mine += others;
        }
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The longest one, exactly.
    pub fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest)
    }

    /// What `share` (0 to 1) of all do not exceed: at most 1/32 too long, never longer than the longest. Zero if there is
    /// none.
    pub fn percentile(&self, share: f64) -> Duration {
        let rank = ((self.total as f64 * share).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                let (first, width) = span(index);
                return Duration::from_nanos((first + (width - 1)).min(self.longest));
            }
        }
        Duration::ZERO
    }

    /// Buckets that are not empty, in order: the middle of each, in nanoseconds, and its count.
    pub fn filled(&self) -> impl Iterator<Item = (u64, u64)> {
        let filled = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        filled.map(|(index, &count)| {
            let (first, width) = span(index);
            (first + width / 2, count)
        })
    }
}

fn bucket(nanos: u64) -> usize {
    if nanos < EXACT {
        return nanos as usize;
    }
    let shift = u64::BITS - nanos.leading_zeros() - KEPT_BITS;
    (EXACT + u64::from(shift - 1) * STEPS + (nanos >> shift) - STEPS) as usize
}

/// The first duration of a bucket, and how many nanoseconds it is wide.
fn span(bucket: usize) -> (u64, u64) {
    let bucket = bucket as u64;
    if bucket < EXACT {
        return (bucket, 1);
    }
    let shift = (bucket - EXACT) / STEPS + 1;
    let step = (bucket - EXACT) % STEPS + STEPS;
    (step << shift, 1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_in_its_bucket_and_buckets_tile() {
        let mut expected_first = 0;
        for index in 0..BUCKETS {
            let (first, width) = span(index);
            assert_eq!(first, expected_first, "bucket {index}");
            assert_eq!((bucket(first), bucket(first + (width - 1))), (index, index));
            assert!(index < EXACT as usize || width * STEPS <= first, "bucket {index} is too wide");
            expected_first = first.wrapping_add(width);
        }
        assert_eq!(expected_first, 0, "the last bucket ends with the last number");
    }

    #[test]
    fn percentiles_are_near_and_never_too_short() {
        let mut histogram = Histogram::default();
        for micros in 1..=10_000 {
            histogram.add(Duration::from_micros(micros));
        }
        for (share, exact) in [(0.5, 5000.0), (0.9, 9000.0), (0.99, 9900.0), (0.999, 9990.0), (1.0, 10_000.0)] {
            let ratio = histogram.percentile(share).as_secs_f64() * 1e6 / exact;
            assert!((1.0..=1.0 + 1.0 / 32.0).contains(&ratio), "{share}: {ratio}");
        }
        assert_eq!(histogram.percentile(1.0), Duration::from_micros(10_000));
        assert_eq!(histogram.longest(), Duration::from_micros(10_000));
    }

    #[test]
    fn an_empty_one_says_zero_and_two_add_up() {
        let mut one = Histogram::default();
        assert_eq!((one.percentile(0.5), one.count()), (Duration::ZERO, 0));
        let mut other = Histogram::default();
        other.add(Duration::from_nanos(7));
        one.add(Duration::MAX);
        one.merge(&other);
        assert_eq!((one.count(), one.percentile(0.5)), (2, Duration::from_nanos(7)));
        assert_eq!(one.filled().map(|(_, count)| count).sum::<u64>(), 2);
    }
}
