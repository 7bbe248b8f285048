//! The real program in a process of its own.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// A running `tickcast serve` (or `replay`), killed when dropped.
pub struct Served {
    child: Child,
    /// Address of the public door.
    pub public: String,
    /// Address of the ops door.
    pub ops: String,
}

/// Nothing here takes so long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

impl Served {
    /// Starts the program with `arguments` on free ports and waits until it says where it serves.
    pub fn start(arguments: &[&str]) -> Self {
        let mut child = tickcast(arguments)
            .args(["--set", "server.listen=127.0.0.1:0", "--set", "ops.listen=127.0.0.1:0"])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the program starts");
        let stderr = child.stderr.take().expect("stderr is piped");
        let (said, heard) = mpsc::channel();
        // The thread goes on reading until the program ends, so that its log never fills the pipe.
        thread::spawn(move || {
            let mut transcript = String::new();
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if std::env::var_os("TICKCAST_TEST_LOG").is_some() {
                    eprintln!("| {line}");
                }
                transcript.push_str(&line);
                transcript.push('\n');
                if line.contains("Stop it with") {
                    let _gone = said.send(Ok(transcript.clone()));
                }
            }
            let _gone = said.send(Err(transcript));
        });
        let transcript = match heard.recv_timeout(PATIENCE) {
            Ok(Ok(transcript)) => transcript,
            Ok(Err(transcript)) => panic!("the program ended:\n{transcript}"),
            Err(_) => panic!("the program said nothing"),
        };
        let after = |mark: &str| {
            let at = transcript.find(mark).unwrap_or_else(|| panic!("no `{mark}` in:\n{transcript}")) + mark.len();
            transcript[at..].split(['/', '\n']).next().expect("split yields a part").to_owned()
        };
        Self { public: after("Streams      ws://"), ops: after("Metrics      http://"), child }
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

    /// Sends SIGTERM and waits for the end; gives the exit code.
    pub fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill is there").success());
        self.child.wait().expect("its own child").code()
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

fn tickcast(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickcast"));
    command.args(arguments).env("NO_COLOR", "1");
    command
}
