//! What a service manager hears (sd_notify(3)), with a socket of our own in its place.

use std::{
    fs,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    path::PathBuf,
};

use crate::{house::HANG, life::Scratch, process::Served};

/// The manager's ear; a path of its own is gone when dropped.
struct Manager {
    socket: UnixDatagram,
    path: Option<PathBuf>,
}

impl Manager {
    /// At a path, or at an abstract name.
    fn start(name: &str, is_abstract: bool) -> (Self, String) {
        let name = format!("tickcast-{}-{name}", std::process::id());
        let (socket, path, variable) = if is_abstract {
            let address = SocketAddr::from_abstract_name(name.as_bytes()).expect("a short name");
            (UnixDatagram::bind_addr(&address), None, format!("@{name}"))
        } else {
            let path = std::env::temp_dir().join(name);
            let variable = path.to_str().expect("a plain path").to_owned();
            (UnixDatagram::bind(&path), Some(path), variable)
        };
        let socket = socket.expect("a free name");
        socket.set_read_timeout(Some(HANG)).expect("not zero");
        (Self { socket, path }, variable)
    }

    /// Hears until a message has a line that begins with `wanted`; gives all lines up to there.
    fn hear(&self, wanted: &str) -> Vec<String> {
        let mut heard = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let count =
                self.socket.recv(&mut buffer).unwrap_or_else(|error| panic!("no {wanted}: {error}, after {heard:?}"));
            let text = std::str::from_utf8(&buffer[..count]).expect("UTF-8");
            heard.extend(text.lines().map(str::to_owned));
            if text.lines().any(|line| line.starts_with(wanted)) {
                return heard;
            }
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _gone_already = fs::remove_file(path);
        }
    }
}

#[test]
fn the_manager_hears_the_whole_life_and_the_watchdog_is_fed() {
    for is_abstract in [false, true] {
        let (manager, variable) = Manager::start(if is_abstract { "abstract" } else { "path" }, is_abstract);
        let file = Scratch::with(&format!("notify-{is_abstract}.toml"), "");
        let environment = [("NOTIFY_SOCKET", &*variable), ("WATCHDOG_USEC", "1000000")];
        let served = Served::start_with(&environment, &["serve", "--config", file.path()]);
        let heard = manager.hear("READY=1");
        assert_eq!(heard, ["READY=1"], "it is the first word");
        manager.hear("WATCHDOG=1");
        manager.hear("STATUS=Serving 24 instruments of binance");
        manager.hear("WATCHDOG=1");
        served.signal("HUP");
        let heard = manager.hear("RELOADING=1");
        assert!(heard.last().is_some_and(|line| line.starts_with("MONOTONIC_USEC=")), "{heard:?}");
        manager.hear("READY=1");
        fs::write(file.path(), "nonsense = 1").expect("writable");
        served.signal("HUP");
        manager.hear("RELOADING=1");
        manager.hear("READY=1");
        served.signal("TERM");
        manager.hear("STOPPING=1");
        assert_eq!(served.wait(), Some(0));
    }
}

#[test]
fn no_watchdog_is_fed_that_nobody_set_or_that_is_another_ones() {
    for environment in [vec![], vec![("WATCHDOG_USEC", "100000"), ("WATCHDOG_PID", "1")]] {
        let (manager, variable) = Manager::start(&format!("quiet-{}", environment.len()), false);
        let environment: Vec<_> = environment.into_iter().chain([("NOTIFY_SOCKET", &*variable)]).collect();
        let served = Served::start_with(&environment, &["serve"]);
        let mut heard = manager.hear("STATUS=Serving");
        served.signal("TERM");
        heard.extend(manager.hear("STOPPING=1"));
        assert!(!heard.iter().any(|line| line.starts_with("WATCHDOG=")), "{heard:?}");
        assert_eq!(served.wait(), Some(0));
    }
    // A manager that is not there stops nobody.
    let served = Served::start_with(&[("NOTIFY_SOCKET", "/nowhere/notify")], &["serve"]);
    assert_eq!(served.lines_with("NOTIFY_SOCKET"), 1);
    assert_eq!(served.terminate(), Some(0));
}
