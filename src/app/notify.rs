//! What a service manager is told (sd_notify(3)): a datagram to the socket that `NOTIFY_SOCKET` names, if one does.

use std::{
    env, fmt,
    os::unix::{
        ffi::OsStrExt,
        net::{SocketAddr, UnixDatagram},
    },
    process,
    time::Duration,
};

/// The way to the service manager, if there is one.
#[derive(Debug, Default)]
pub(super) struct Notifier {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// As the environment says. Without a service manager it says nothing to nobody.
    pub(super) fn from_environment() -> Self {
        let Some(path) = env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()) else { return Self::default() };
        let socket = address(path.as_bytes()).and_then(|address| {
            let socket = UnixDatagram::unbound()?;
            socket.connect_addr(&address)?;
            // A manager that does not read must not stop us.
            socket.set_nonblocking(true)?;
            Ok(socket)
        });
        match socket {
            Ok(socket) => Self { socket: Some(socket), watchdog: watchdog() },
            Err(error) => {
                tracing::warn!(%error, socket = %path.display(), "the service manager cannot be told anything (NOTIFY_SOCKET)");
                Self::default()
            }
        }
    }

    /// Half of the time within which the manager wants a sign of life; `None`: it wants none.
    pub(super) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Tells the manager something: lines of `NAME=value`.
    pub(super) fn say(&self, state: impl fmt::Display) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(state.to_string().as_bytes()) {
            tracing::debug!(%error, "the service manager was not told");
        }
    }
}

/// A path, or behind an `@` an abstract name.
fn address(path: &[u8]) -> std::io::Result<SocketAddr> {
    match path.strip_prefix(b"@") {
        #[cfg(target_os = "linux")]
        Some(name) => <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name),
        _ => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path)),
    }
}

/// Half of `WATCHDOG_USEC`, if it is meant for this process.
fn watchdog() -> Option<Duration> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    if number("WATCHDOG_PID").is_some_and(|pid| pid != u64::from(process::id())) {
        return None;
    }
    let micros = number("WATCHDOG_USEC").filter(|&micros| micros > 0)?;
    Some(Duration::from_micros(micros / 2).max(WATCHDOG_MIN))
}

/// No manager is fed more often than this, whatever it says.
const WATCHDOG_MIN: Duration = Duration::from_millis(10);
