//! A server for one run: this program again, as another process, so that its CPU time and memory are its own.

use std::{
    io::{BufRead, BufReader},
    process::{self, Command, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use crate::{
    cli::{Failure, Settings},
    load::{self, LoadError},
};

/// A running `tickcast serve`; it ends with this value.
#[derive(Debug)]
pub(super) struct Child {
    process: process::Child,
    /// `host:port` of its public door.
    pub public: String,
    /// `host:port` of its door for operators.
    pub ops: String,
}

/// Whatever the user's settings say, a server for one run takes free ports and keeps nothing.
const ITS_OWN: [&str; 4] = ["server.listen=127.0.0.1:0", "ops.listen=127.0.0.1:0", "sbe.listen=", "store.path="];

/// It is looked for it to come up, and for its books to be there, for a minute.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOOKS_MAX: u32 = 1200;

/// After so many looks without more history none will come soon, and the memory that it took has been given back.
const QUIET_LOOKS: u32 = 40;

/// Looks at history that goes on coming, 20 s, before clients come all the same. How soon it pauses depends on where in its
/// minute the exchange's limit of requests stands.
const HISTORY_LOOKS_MAX: u32 = 400;

/// Last lines of it that are shown if it does not come up.
const LINES_SHOWN: usize = 10;

impl Child {
    /// Starts it and waits until it serves, or until `stop` is set.
    pub(super) fn start(settings: &Settings, stop: &AtomicBool) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(|error| Failure::new(Failure::DEFECT, error))?;
        let mut command = Command::new(program);
        command.arg("serve").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        if let Some(file) = &settings.config {
            command.arg("--config").arg(file);
        }
        command.args(["--log", settings.log.as_deref().unwrap_or("warn")]);
        let given = settings.set.iter().map(|(key, value)| format!("{key}={value}"));
        for setting in given.chain(ITS_OWN.map(str::to_owned)) {
            command.args(["--set", &setting]);
        }
        let failed = |what: &str| Failure::new(Failure::RUNTIME, format_args!("the server for this run {what}"));
        let mut process = command.spawn().map_err(|error| failed(&format!("does not start: {error}")))?;
        let stderr = process.stderr.take().expect("it is piped");
        // From here on dropping it ends it.
        let mut child = Self { process, public: String::new(), ops: String::new() };
        let lines = read(stderr, settings.log.is_some());
        let mut said = Vec::new();
        let mut silent = 0;
        loop {
            let line = match lines.recv_timeout(LOOK_EVERY) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) if silent < LOOKS_MAX => {
                    silent += 1;
                    go_on(stop)?;
                    continue;
                }
                Err(_) => {
                    let from = said.len().saturating_sub(LINES_SHOWN);
                    return Err(failed(&format!("does not come up:\n{}", said[from..].join("\n"))));
                }
            };
            let after = |mark: &str| Some(line.split_once(mark)?.1.split('/').next()?.to_owned());
            if let Some(address) = after("Streams      ws://") {
                child.public = address;
            }
            if let Some(address) = after("Metrics      http://") {
                child.ops = address;
            }
            if line.contains("Stop it with") {
                break;
            }
            said.push(line);
        }
        drop(lines);
        child.wait_until_ready(stop)?;
        Ok(child)
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Books are joined, and history pauses, before clients come: what is measured is the steady state. All of the history
    /// takes minutes, because venues limit how much may be asked for in one.
    fn wait_until_ready(&self, stop: &AtomicBool) -> Result<(), Failure> {
        let mut history = History::default();
        for _ in 0..LOOKS_MAX {
            go_on(stop)?;
            if load::is_ready(&self.ops) && history.is_over(load::history_pending(&self.ops)) {
                return Ok(());
            }
            thread::sleep(LOOK_EVERY);
        }
        let said = format!("the server for this run is not ready after a minute; http://{}/readyz says why", self.ops);
        Err(Failure::new(Failure::RUNTIME, said))
    }
}

/// What was seen of a ready server's history.
#[derive(Debug, Default)]
struct History {
    looks: u32,
    quiet: u32,
    pending: Option<u64>,
}

impl History {
    /// Takes a look at how many answers are still missing; returns whether there is no more reason to wait for them.
    fn is_over(&mut self, pending: Option<u64>) -> bool {
        self.looks += 1;
        self.quiet = if pending == self.pending { self.quiet + 1 } else { 0 };
        self.pending = pending;
        self.quiet == QUIET_LOOKS || self.looks == HISTORY_LOOKS_MAX
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let _ended_already = self.process.wait();
    }
}

fn go_on(stop: &AtomicBool) -> Result<(), Failure> {
    if stop.load(Ordering::Relaxed) { Err(LoadError::Interrupted.into()) } else { Ok(()) }
}

/// Its lines, until nobody wants them; its pipe is emptied until it ends.
fn read(stderr: process::ChildStderr, is_shown: bool) -> mpsc::Receiver<String> {
    let (say, said) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if is_shown {
                eprintln!("| {line}");
            }
            let _nobody_listens = say.send(line);
        }
    });
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks until it is over; a busy machine was seen to fetch history for longer than all looks take.
    fn looks(pending: impl Fn(u32) -> Option<u64>) -> u32 {
        let mut history = History::default();
        (1..=LOOKS_MAX).find(|look| history.is_over(pending(*look))).expect("a ready server is measured some time")
    }

    #[test]
    fn history_is_waited_for_until_it_pauses_and_not_for_ever() {
        assert_eq!(looks(|_| None), QUIET_LOOKS, "a server that does not say");
        assert_eq!(looks(|look| Some(u64::from(look.min(100)))), 100 + QUIET_LOOKS, "it paused");
        assert_eq!(looks(|look| Some(u64::from(look))), HISTORY_LOOKS_MAX, "it never paused");
    }
}
