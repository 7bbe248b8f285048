//! Sockets that listen, and the loop that accepts from them.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};

use crate::metrics;

/// Pause after a failed accept (out of descriptors, mostly): doubling from first to most, over with the next success.
const PAUSE_FIRST: Duration = Duration::from_millis(10);
const PAUSE_MOST: Duration = Duration::from_secs(1);

/// A door could not be opened.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {source}{advice} (set another address with `{key}`)")]
pub struct BindError {
    /// The configured address.
    pub address: SocketAddr,
    /// The key that sets it.
    pub key: &'static str,
    /// What the system said.
    pub source: io::Error,
    advice: &'static str,
}

/// Opens a listening socket. It is exclusive unless `reuse_port` is on: a port that another process listens on is an error.
///
/// # Errors
/// If the address cannot be had.
pub(super) fn bind(
    address: SocketAddr,
    key: &'static str,
    backlog: i32,
    reuse_port: bool,
) -> Result<std::net::TcpListener, BindError> {
    open(address, backlog, reuse_port).map_err(|source| BindError::new(address, key, source))
}

impl BindError {
    /// What `source` said of an address that is set by `key`.
    pub(crate) fn new(address: SocketAddr, key: &'static str, source: io::Error) -> Self {
        let advice = match source.kind() {
            io::ErrorKind::AddrInUse => "; another process listens there, perhaps another tickcast",
            io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege",
            io::ErrorKind::AddrNotAvailable => "; this machine does not have that address",
            _ => "",
        };
        Self { address, key, source, advice }
    }
}

fn open(address: SocketAddr, backlog: i32, reuse_port: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // On Unix this lets a restart have the port while old connections are in TIME_WAIT; a listener keeps it exclusive.
    // On Windows it would let two processes share the port in silence.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    #[cfg(not(unix))]
    let _ = reuse_port;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// Accepts until `stop` is ready, handing each connection to `take`; then the listener is closed.
pub(super) async fn accept(
    listener: TcpListener,
    metrics: metrics::Server,
    stop: impl Future<Output = ()>,
    mut take: impl FnMut(TcpStream, SocketAddr),
) {
    let mut stop = std::pin::pin!(stop);
    let mut pause = PAUSE_FIRST;
    loop {
        let accepted = tokio::select! {
            () = &mut stop => return,
            accepted = listener.accept() => accepted,
        };
        let error = match accepted {
            Ok((stream, peer)) => {
                pause = PAUSE_FIRST;
                metrics.accepted.increment(1);
                // Refused only on a socket that is dead already, which its reader finds out.
                let _ = stream.set_nodelay(true);
                take(stream, peer);
                // A storm on a core that is shared with shards is let in by turns with their updates: a thread that has a
                // time slice to itself uses all of it (docs/decisions/015-storms.md).
                std::thread::yield_now();
                continue;
            }
            Err(error) => error,
        };
        metrics.accept_errors.increment(1);
        if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
            continue;
        }
        if pause == PAUSE_FIRST {
            tracing::warn!(%error, "cannot accept connections; trying again with pauses");
        }
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSE_MOST),
        }
    }
}

/// Raises the soft limit of open descriptors to the hard one: each client is a descriptor.
#[cfg(unix)]
pub(super) fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let shown = |value: Option<u64>| value.map_or_else(|| "unlimited".to_owned(), |value| value.to_string());
    if limit.current == limit.maximum {
        tracing::info!(descriptors = shown(limit.current), "descriptor limit is at its hard limit already");
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        Ok(()) => tracing::info!(
            from = shown(limit.current),
            descriptors = shown(limit.maximum),
            "raised the soft descriptor limit to the hard one"
        ),
        Err(error) => tracing::warn!(%error, descriptors = shown(limit.current), "cannot raise the descriptor limit"),
    }
}

/// There is no such limit here.
#[cfg(not(unix))]
pub(super) fn raise_descriptor_limit() {}
