//! What the benches share: their size, a clock, and ratios taken inside one run.

use std::time::{Duration, Instant};

use criterion::Criterion;

/// Whether `TICKCAST_BENCH=small` asks for a run of a few seconds, as CI does so that no bench rots.
pub fn is_small() -> bool {
    std::env::var("TICKCAST_BENCH").is_ok_and(|size| size == "small")
}

/// Criterion with the size that was asked for.
pub fn criterion() -> Criterion {
    let criterion = Criterion::default().configure_from_args();
    if is_small() {
        return criterion
            .sample_size(10)
            .warm_up_time(Duration::from_millis(50))
            .measurement_time(Duration::from_millis(200));
    }
    criterion.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2))
}

/// How long `work` takes.
#[allow(clippy::disallowed_methods, reason = "a bench measures with the monotonic clock")]
pub fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// One of those that are compared: does its work once more and says how long that took.
pub type Contestant<'a> = (&'static str, Box<dyn FnMut() -> Duration + 'a>);

/// Lets the contestants work in turn, round by round, and prints how long each takes per item and how that compares with the
/// first one, which is ours. What else the machine does meets all of them alike, so the ratios of a round
/// are worth more than the times: printed are their median and their middle half. Returns the median of each in nanoseconds.
pub fn compare(title: &str, items: u64, contestants: &mut [Contestant<'_>]) -> Vec<f64> {
    let rounds = if is_small() { 11 } else { 41 };
    let mut times = vec![Vec::with_capacity(rounds); contestants.len()];
    for round in 0..rounds {
        for turn in 0..contestants.len() {
            // Nobody always follows the same one.
            let index = (round + turn) % contestants.len();
            times[index].push(contestants[index].1().as_nanos() as f64 / items as f64);
        }
    }
    println!("\n{title}\n  {:<28} {:>10}   {:>6}   middle half", "", "ns", "ratio");
    for ((name, _), mine) in contestants.iter().zip(&times) {
        let ratios: Vec<_> = mine.iter().zip(&times[0]).map(|(mine, ours)| mine / ours).collect();
        let (ns, ratio) = (quartiles(mine), quartiles(&ratios));
        println!("  {name:<28} {:>10.1} x {:>6.2}   {:.2} - {:.2}", ns[1], ratio[1], ratio[0], ratio[2]);
    }
    times.iter().map(|mine| quartiles(mine)[1]).collect()
}

fn quartiles(samples: &[f64]) -> [f64; 3] {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| sorted[sorted.len() * quarter / 4])
}
