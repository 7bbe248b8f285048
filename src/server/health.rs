//! Whether this process lives, and whether traffic should come here.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{Adjusted, Phase};
use crate::{
    clock::{self, Age, Beats},
    market::{Catalogue, Nanos, Venue},
    views::{VenueHealth, Views},
};

/// What is known of it. `/livez`, `/readyz`, `/status` and systemd ask the same.
#[derive(Clone, Debug)]
pub struct Health {
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) views: Arc<Views>,
    pub(super) beats: Beats,
    pub(super) adjusted: Arc<Adjusted>,
    pub(super) phase: watch::Receiver<Phase>,
}

impl Health {
    /// The loops that have been silent for longer than `ops.beat_max_ms`; empty: the process lives.
    pub fn late(&self) -> Vec<Age> {
        let most = Duration::from_millis(self.adjusted.config().ops.beat_max_ms);
        let mut ages = self.beats.ages(clock::now());
        ages.retain(|age| age.age > most);
        ages
    }

    /// Whether the doors for clients have been closed for good.
    pub fn is_draining(&self) -> bool {
        *self.phase.borrow() > Phase::Serving
    }

    /// Why traffic should not come here yet or any more; empty: it should.
    ///
    /// Each venue has to have its list read, and each book on it its first snapshot. Nobody waits for an instrument that
    /// is not on the list or that the venue refuses: that is for a person to mend, and the others are worth serving. One
    /// book that heals does not count either, it takes a moment; when all of them do, the feed is lost. A venue of which
    /// nothing has come for `ops.silence_max_ms` has books as old as that, whatever they are called.
    pub fn unready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.is_draining() {
            reasons.push("draining".to_owned());
        }
        self.views.catch_up();
        let now = clock::now();
        let silence_max = self.adjusted.config().ops.silence_max_ms;
        for health in self.views.health() {
            let venue = &self.catalogue.venues()[health.venue.0 as usize];
            let silence = self.silence(venue, now).filter(|&silence| silence_max > 0 && silence > silence_max);
            reasons.extend(reason(&venue.name, &health, silence));
        }
        reasons
    }

    /// Milliseconds since anything of a venue was received; `None` before the first.
    pub(super) fn silence(&self, venue: &Venue, now: Nanos) -> Option<u64> {
        let updated =
            self.catalogue.of_venue(venue.id).filter_map(|instrument| self.views.updated(instrument.id)).max();
        updated.map(|updated| now.since(updated).as_millis() as u64)
    }
}

fn reason(name: &str, health: &VenueHealth, silence_ms: Option<u64>) -> Option<String> {
    let VenueHealth { listed, waiting, live, healing, .. } = *health;
    if listed == 0 {
        let text = "its list of instruments has not been read, or has none of those configured";
        return Some(format!("venue {name}: {text}"));
    }
    if waiting > 0 {
        return Some(format!("venue {name}: {waiting} of {listed} books wait for their first snapshot"));
    }
    if healing > 0 && live == 0 {
        return Some(format!("venue {name}: all {healing} books show what they were before the feed was lost"));
    }
    let silence_ms = silence_ms?;
    Some(format!(
        "venue {name}: nothing has come for {} s, so its books may be as old (ops.silence_max_ms)",
        silence_ms / 1000
    ))
}
