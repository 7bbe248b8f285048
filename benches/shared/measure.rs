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
    criterion.sample_size(50).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4))
}

/// How long `work` takes.
#[allow(clippy::disallowed_methods, reason = "a bench measures with the monotonic clock")]
pub fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// All samples of a run, because criterion keeps its own to itself.
#[derive(Default)]
pub struct Ratios {
    rows: Vec<(String, Vec<f64>)>,
}

impl Ratios {
    /// Adds a sample of the contestant `name`; the first one to be added is "ours".
    pub fn add(&mut self, name: &str, time: Duration, items: u64) {
        let ns = time.as_nanos() as f64 / items as f64;
        match self.rows.iter_mut().find(|(row, _)| row == name) {
            Some((_, samples)) => samples.push(ns),
            None => self.rows.push((name.to_owned(), vec![ns])),
        }
    }

    /// Prints the median of each contestant and how many times as long as ours it is.
    pub fn print(&mut self, title: &str) {
        println!("\n{title} (medians; only the ratios inside one run mean anything)");
        let mut ours = None;
        for (name, samples) in &mut self.rows {
            samples.sort_by(f64::total_cmp);
            let median = samples[samples.len() / 2];
            let ours = *ours.get_or_insert(median);
            println!("  {name:<28} {median:>10.1} ns   x {:.2}", median / ours);
        }
    }
}
