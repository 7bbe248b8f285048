//! How far the history of a venue is: two gauges, and a line at the start, at each quarter and at the end.

use metrics::Gauge;

/// The requests of one venue.
#[derive(Debug)]
pub(in crate::engine) struct Progress {
    wanted: i64,
    pending: i64,
    /// Quarters that were told of; `None` before the start.
    told: Option<i64>,
    gauges: [Gauge; 2],
}

impl Progress {
    pub(in crate::engine) fn new(gauges: [Gauge; 2]) -> Self {
        Self { wanted: 0, pending: 0, told: None, gauges }
    }

    /// So many more requests are to be made.
    pub(super) fn wanted(&mut self, requests: i64) {
        self.wanted += requests;
        self.pending += requests;
        self.set();
    }

    /// So many are answered or given up.
    pub(super) fn done(&mut self, requests: i64) {
        self.pending = (self.pending - requests).max(0);
        self.set();
    }

    /// Says in the log what is worth a line. What an outage lacks later is not.
    pub(super) fn log(&mut self, venue: &str) {
        let Self { wanted, pending, .. } = *self;
        let quarter = if wanted == 0 { 4 } else { (wanted - pending) * 4 / wanted };
        match self.told {
            None => {
                tracing::info!(%venue, requests = wanted, "fetching the history that lacks; more symbols may follow");
                self.told = Some(0);
            }
            Some(told) if quarter > told => {
                if quarter == 4 {
                    tracing::info!(%venue, requests = wanted, "history is complete");
                } else {
                    tracing::info!(%venue, requests = wanted, pending, "history is {} % there", quarter * 25);
                }
                self.told = Some(quarter);
            }
            Some(_) => {}
        }
    }

    fn set(&self) {
        self.gauges[0].set(self.wanted as f64);
        self.gauges[1].set(self.pending as f64);
    }
}
