//! The store.

use ::metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// Of the store.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "describe() says what each one is")]
pub struct Store {
    pub bytes: Gauge,
    pub file_bytes: Gauge,
    pub rows: Gauge,
    pub commits: Counter,
    pub commit: Histogram,
    pub lapped: Counter,
    pub dropped: Counter,
    pub left_out: Counter,
    pub failures: Counter,
}

impl Store {
    /// The handles.
    pub fn new() -> Self {
        // So that it is there before the first one.
        counter!("tickcast_store_set_aside_total").increment(0);
        Self {
            bytes: gauge!("tickcast_store_bytes"),
            file_bytes: gauge!("tickcast_store_file_bytes"),
            rows: gauge!("tickcast_store_rows"),
            commits: counter!("tickcast_store_commits_total"),
            commit: histogram!("tickcast_store_commit_seconds"),
            lapped: counter!("tickcast_store_lapped_total"),
            dropped: counter!("tickcast_store_dropped_total"),
            left_out: counter!("tickcast_store_left_out_total"),
            failures: counter!("tickcast_store_failures_total"),
        }
    }

    /// Counts a file set aside.
    pub fn set_aside() {
        counter!("tickcast_store_set_aside_total").increment(1);
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}
