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

/// Waits for Ctrl-C or SIGTERM, or until `goes_on`, which is asked every so often, says no.
pub fn wait_for_signal_while(every: Duration, mut goes_on: impl FnMut() -> bool) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime of one thread needs two descriptors");
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be listened for");
        let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be listened for");
        let mut look = interval(every);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                _ = look.tick() => if !goes_on() { return },
            }
        }
    });
    // Draining takes seconds; whoever has no patience for it says so again.
    std::thread::spawn(|| {
        let Ok(runtime) = runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            if let Ok(mut interrupt) = signal(SignalKind::interrupt()) {
                interrupt.recv().await;
                process::exit(INTERRUPTED);
            }
        });
    });
}

/// How often the caller is asked.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What a shell shows for a program ended by Ctrl-C.
const INTERRUPTED: i32 = 130;
