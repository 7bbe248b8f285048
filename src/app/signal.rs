//! Waiting for somebody to say that it is enough, and what is done meanwhile.

use std::{process, sync::Arc, time::Duration};

use tokio::{
    runtime::{self, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

use super::App;
use crate::server::Operations;

/// Serves until Ctrl-C, SIGTERM or an operator's drain, then drains. `begun` is called once a signal would be heard. Returns whether it ended in order: `false` after a
/// defect of ours.
pub fn run_until_signal(app: App, begun: impl FnOnce(&App)) -> bool {
    run_while(app, LOOK_EVERY, begun, |_| true)
}

/// The same, and it ends as well when `goes_on`, which is asked every so often, says no. SIGHUP reloads the configuration.
/// The service manager is told that the doors are open (READY; when there are books is for `/readyz` to say, since a venue may
/// be out of reach for long), and fed for as long as every loop takes its turns.
pub fn run_while(app: App, every: Duration, begun: impl FnOnce(&App), mut goes_on: impl FnMut(&App) -> bool) -> bool {
    let mut signals = Signals::listen();
    let operator = Arc::clone(&app.operator);
    let mut report = Report::default();
    let every = operator.notifier.watchdog().map_or(every, |watchdog| watchdog.min(every));
    let mut sound = true;
    let Signals { runtime, interrupt, terminate } = &mut signals;
    runtime.block_on(async {
        let mut hangup = signal(SignalKind::hangup()).expect("SIGHUP can be listened for");
        begun(&app);
        operator.notifier.say("READY=1");
        let mut look = interval(every);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = interrupt.recv() => return,
                _ = terminate.recv() => return,
                () = operator.drain_wanted() => return,
                _ = hangup.recv() => {
                    // What came of it is in the log.
                    let _reloaded = operator.reload();
                }
                _ = look.tick() => {
                    sound = app.is_sound();
                    report.look(&app);
                    if !sound || !goes_on(&app) {
                        return;
                    }
                }
            }
        }
    });
    signals.end_at_the_next();
    if sound {
        tracing::info!("draining; a second signal ends at once");
    }
    operator.notifier.say("STOPPING=1\nSTATUS=Draining");
    app.stop();
    sound
}

/// Waits for Ctrl-C or SIGTERM.
pub fn wait_for_signal() {
    wait_for_signal_while(LOOK_EVERY, || true);
}

/// Waits for Ctrl-C or SIGTERM, or until `goes_on`, which is asked every so often, says no. From then on, either of them
/// ends the process at once: draining takes seconds, and whoever has no patience for it says so (again).
pub fn wait_for_signal_while(every: Duration, mut goes_on: impl FnMut() -> bool) {
    let mut signals = Signals::listen();
    let Signals { runtime, interrupt, terminate } = &mut signals;
    runtime.block_on(async {
        let mut look = interval(every);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = interrupt.recv() => return,
                _ = terminate.recv() => return,
                _ = look.tick() => if !goes_on() { return },
            }
        }
    });
    signals.end_at_the_next();
}

/// The signals that end the process, and the runtime that listens for them.
struct Signals {
    runtime: Runtime,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Self {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime of one thread needs two descriptors");
        let (interrupt, terminate) = runtime.block_on(async {
            let interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be listened for");
            (interrupt, signal(SignalKind::terminate()).expect("SIGTERM can be listened for"))
        });
        Self { runtime, interrupt, terminate }
    }

    /// The same listeners go on, so that no signal falls between two of them.
    fn end_at_the_next(mut self) {
        std::thread::spawn(move || {
            let code = self.runtime.block_on(async {
                tokio::select! {
                    _ = self.interrupt.recv() => INTERRUPTED,
                    _ = self.terminate.recv() => TERMINATED,
                }
            });
            process::exit(code);
        });
    }
}

/// What the service manager hears, and the log with it.
#[derive(Debug, Default)]
struct Report {
    /// What was said last of readiness.
    status: String,
    is_late: bool,
}

impl Report {
    fn look(&mut self, app: &App) {
        let (health, notifier) = (app.server.health(), &app.operator.notifier);
        let late = health.late();
        if late.is_empty() {
            // Only half of the time that the manager waits passes between two looks.
            if notifier.watchdog().is_some() {
                notifier.say("WATCHDOG=1");
            }
        } else if !self.is_late {
            let threads: Vec<_> = late.iter().map(|age| &*age.name).collect();
            tracing::error!(threads = threads.join(", "), "loops take no turns (ops.beat_max_ms); /livez says so");
        }
        self.is_late = !late.is_empty();
        let reasons = health.unready();
        let status = match reasons.first() {
            None => format!("Serving {} instruments of {}", app.instruments(), app.venues().join(", ")),
            Some(first) => format!("Not ready: {first}"),
        };
        if status != self.status {
            notifier.say(format_args!("STATUS={status}"));
            self.status = status;
        }
    }
}

/// How often the caller is asked.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What a shell shows for a program ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// What a shell shows for a program ended by SIGTERM.
const TERMINATED: i32 = 143;
