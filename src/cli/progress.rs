//! How far something is: a line that is drawn again on a terminal, else a line every few seconds.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{clock, market::Nanos};

/// Tells how far something is, on standard error.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    begun: Nanos,
    is_on_terminal: bool,
    told: Nanos,
}

/// In a log nobody wants more.
const TELL_EVERY: Duration = Duration::from_secs(10);

impl Progress {
    /// Something without a known end.
    pub(super) fn without_end() -> Self {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(250));
        Self::of(bar)
    }

    /// Something of which the end is known, sooner or later.
    pub(super) fn with_end() -> Self {
        Self::of(ProgressBar::new(0).with_style(style()))
    }

    fn of(bar: ProgressBar) -> Self {
        let now = clock::now();
        Self { bar, begun: now, is_on_terminal: io::stderr().is_terminal(), told: now }
    }

    /// Since it was begun.
    pub(super) fn elapsed(&self) -> Duration {
        clock::now().since(self.begun)
    }

    /// How much of how much; only a bar shows it.
    pub(super) fn reach(&self, done: u64, of: u64) {
        self.bar.set_length(of);
        self.bar.set_position(done);
    }

    /// What else there is to say; `text` is made only if it is shown.
    pub(super) fn say(&mut self, text: impl FnOnce() -> String) {
        if self.is_on_terminal {
            self.bar.set_message(text());
            return;
        }
        let now = clock::now();
        if now.since(self.told) >= TELL_EVERY {
            self.told = now;
            eprintln!("{}", text());
        }
    }

    /// Takes the drawing away and leaves `text` in its place.
    pub(super) fn end(&self, text: &str) {
        self.clear();
        eprintln!("{text}");
    }

    /// Takes the drawing away.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}").expect("a template that a test has drawn")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_can_be_drawn() {
        let _drawn = style();
        let mut progress = Progress::with_end();
        progress.reach(1, 2);
        progress.say(|| "text".to_owned());
    }
}
