//! The shards, and which of them gets the next session.

use crate::{
    config::Config,
    market::Catalogue,
    ring::Publisher,
    server, session,
    topic::{Batch, Interest},
};
use bytes::Bytes;
use std::{
    io,
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

#[derive(Debug)]
pub(super) struct Shards {
    catalogue: Arc<Catalogue>,
}

impl Shards {
    pub(super) fn start(
        _config: &Config,
        catalogue: &Arc<Catalogue>,
        _interest: &Arc<Interest>,
        _publisher: &Publisher<Batch>,
    ) -> io::Result<Self> {
        Ok(Self { catalogue: Arc::clone(catalogue) })
    }
    pub(super) fn are_running(&self) -> bool {
        true
    }
    pub(super) fn drain(&self, _deadline: Duration) {}
}

impl server::Shards for Shards {
    type Opening = session::Opening;
    fn opening(&self, target: &str) -> Result<Self::Opening, server::Rejection> {
        session::opening(target, &self.catalogue)
            .map_err(|r| server::Rejection { status: r.status, body: r.body.to_owned() })
    }
    fn admit(
        &self,
        socket: TcpStream,
        _early: Bytes,
        _opening: Self::Opening,
        _peer: SocketAddr,
    ) -> Result<(), TcpStream> {
        Err(socket)
    }
}
