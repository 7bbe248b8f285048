//! Waiting for somebody to say that it is enough.

use std::{process, time::Duration};

use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

use super::App;

/// Serves until Ctrl-C or SIGTERM, then drains. Returns whether it ended in order: `false` after a defect of ours.
pub fn run_until_signal(app: App) -> bool {
    let mut sound = true;
    wait_for_signal_while(LOOK_EVERY, || {
        sound = app.is_sound();
        sound
    });
    if sound {
        tracing::info!("draining; a second signal ends at once");
    }
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
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime of one thread needs two descriptors");
    let (mut interrupt, mut terminate) = runtime.block_on(async {
        let interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be listened for");
        (interrupt, signal(SignalKind::terminate()).expect("SIGTERM can be listened for"))
    });
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
    // The same listeners go on, so that no signal falls between two of them.
    std::thread::spawn(move || {
        let code = runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => INTERRUPTED,
                _ = terminate.recv() => TERMINATED,
            }
        });
        process::exit(code);
    });
}

/// How often the caller is asked.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What a shell shows for a program ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// What a shell shows for a program ended by SIGTERM.
const TERMINATED: i32 = 143;
