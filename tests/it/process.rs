//! The real program in a process of its own.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

/// A running `tickcast serve` (or `replay`), killed when dropped.
pub struct Served {
    child: Child,
    log: Arc<Mutex<String>>,
    /// Address of the public door.
    pub public: String,
    /// Address of the door of SBE.
    pub sbe: String,
    /// Address of the ops door.
    pub ops: String,
}

/// Nothing here takes so long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often the end is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(10);

impl Served {
    /// Starts the program with `arguments` on free ports and waits until it says where it serves.
    pub fn start(arguments: &[&str]) -> Self {
        Self::of(tickcast(arguments))
    }

    /// The same with more in its environment.
    pub fn start_with(environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let mut command = tickcast(arguments);
        command.envs(environment.iter().copied());
        Self::of(command)
    }

    /// The same with a hard limit of so many descriptors.
    pub fn start_with_descriptors(count: u32, arguments: &[&str]) -> Self {
        let mut command = Command::new("sh");
        let limited = format!("ulimit -Sn {count} && ulimit -Hn {count} && exec \"$0\" \"$@\"");
        command.args(["-c", &limited, env!("CARGO_BIN_EXE_tickcast")]).args(arguments).env("NO_COLOR", "1");
        Self::of(command)
    }

    fn of(mut command: Command) -> Self {
        let mut child = command
            .args([
                "--set",
                "server.listen=127.0.0.1:0",
                "--set",
                "ops.listen=127.0.0.1:0",
                "--set",
                "sbe.listen=127.0.0.1:0",
            ])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the program starts");
        let stderr = child.stderr.take().expect("stderr is piped");
        let log = Arc::new(Mutex::new(String::new()));
        let (said, heard) = mpsc::channel();
        let writing = Arc::clone(&log);
        // The thread goes on reading until the program ends, so that its log never fills the pipe.
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if std::env::var_os("TICKCAST_TEST_LOG").is_some() {
                    eprintln!("| {line}");
                }
                let is_up = line.contains("Stop it with");
                let mut log = writing.lock().expect("no panic while held");
                log.push_str(&line);
                log.push('\n');
                if is_up {
                    let _gone = said.send(());
                }
            }
        });
        let up = heard.recv_timeout(PATIENCE);
        let transcript = log.lock().expect("no panic while held").clone();
        if up.is_err() {
            let _ended_already = child.kill();
            let _ended_already = child.wait();
            panic!("the program did not come up:\n{transcript}");
        }
        let is_secure = transcript.contains("wss://");
        let after = |mark: &str| {
            let at = transcript.find(mark).unwrap_or_else(|| panic!("no `{mark}` in:\n{transcript}")) + mark.len();
            transcript[at..].split(['/', '\n']).next().expect("split yields a part").to_owned()
        };
        Self {
            public: after(if is_secure { "Streams      wss://" } else { "Streams      ws://" }),
            sbe: after(if is_secure { "SBE          wss://" } else { "SBE          ws://" }),
            ops: after("Metrics      http://"),
            child,
            log,
        }
    }

    /// All that it has said on standard error so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("no panic while held").clone()
    }

    /// How many lines of that contain `text`.
    pub fn lines_with(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux tells VmRSS");
        let kilobytes: u64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
        kilobytes * 1024
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("its own child").is_none()
    }

    /// Sends a signal: `TERM`, `INT`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().expect("kill is there").success());
    }

    /// Waits for the end; gives the exit code.
    pub fn wait(mut self) -> Option<i32> {
        for _ in 0..PATIENCE.as_millis() / LOOK_EVERY.as_millis() {
            if let Some(status) = self.child.try_wait().expect("its own child") {
                return status.code();
            }
            thread::sleep(LOOK_EVERY);
        }
        panic!("the program does not end:\n{}", self.log());
    }

    /// Sends SIGTERM and waits for the end; gives the exit code.
    pub fn terminate(self) -> Option<i32> {
        self.signal("TERM");
        self.wait()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_gone = self.child.wait();
    }
}

/// Runs the program to its end: exit code, standard output, standard error.
pub fn run(arguments: &[&str]) -> (i32, String, String) {
    let mut child =
        tickcast(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut errors = child.stderr.take().expect("stderr is piped");
    let errors = thread::spawn(move || {
        let mut text = String::new();
        errors.read_to_string(&mut text).map(|_| text)
    });
    let mut output = String::new();
    child.stdout.take().expect("stdout is piped").read_to_string(&mut output).expect("it prints UTF-8");
    let code = child.wait().expect("its own child").code().expect("it was not killed");
    (code, output, errors.join().expect("the reader lives").expect("it prints UTF-8"))
}

/// Starts the program and leaves it to the caller; nothing of what it says is kept.
pub fn spawn(arguments: &[&str]) -> Child {
    tickcast(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
}

fn tickcast(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickcast"));
    command.args(arguments).env("NO_COLOR", "1");
    command
}
