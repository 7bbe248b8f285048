//! Who may come in by WebSocket, and to whom the socket then goes.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;

use super::{
    super::{Rejection, Shards, api_key::ApiKey, stream::Stream, ws_api},
    Door,
};
use crate::{clock, metrics, topic::Encoding};

/// Close frame 1013 "try again later", for a socket that no shard took after its 101 was written.
const CLOSE_TRY_AGAIN_LATER: [u8; 4] = [0x88, 0x02, 0x03, 0xF5];

/// Where a WebSocket goes.
pub(super) enum Admitted<O> {
    Shard(O),
    Api(ws_api::Admitted),
}

/// Who wants in where.
pub(super) struct Knock<'a> {
    pub(super) peer: SocketAddr,
    /// Path and query.
    pub(super) target: &'a str,
    pub(super) encoding: Encoding,
    pub(super) key: ApiKey,
}

/// Decides about a handshake: what it opens, or why not and after how many seconds to come again.
pub(super) fn admission<S: Shards>(
    door: &Door<S>,
    knock: &Knock<'_>,
) -> Result<Admitted<S::Opening>, (Rejection, Option<u64>)> {
    let now = clock::now();
    let peer = knock.peer;
    if let Err(exhausted) = door.adjusted.connects.check(peer.ip(), now) {
        metrics::Server::refused("connects");
        let rejection = Rejection { status: 429, body: "too many connections from this address".to_owned() };
        return Err((rejection, Some(exhausted.retry_after_s)));
    }
    door.adjusted.connects.spend(peer.ip(), 1, now);
    if let Some(rejection) = knock.key.rejection() {
        metrics::Server::refused("key");
        return Err((rejection, None));
    }
    let refused = |rejection| {
        metrics::Server::refused("path");
        (rejection, None)
    };
    let api =
        (knock.encoding == Encoding::Json).then(|| ws_api::Opening::read(knock.target, &door.catalogue)).flatten();
    match api {
        Some(opening) => door.api.admit(opening.map_err(refused)?, peer).map(Admitted::Api),
        None => door.shards.opening(knock.target, knock.encoding).map(Admitted::Shard).map_err(refused),
    }
}

/// Gives an upgraded socket to whom it is for.
pub(super) fn hand_over<S: Shards>(
    door: &Door<S>,
    stream: Stream,
    early: Bytes,
    admitted: Admitted<S::Opening>,
    peer: SocketAddr,
) {
    let opening = match admitted {
        Admitted::Shard(opening) => opening,
        Admitted::Api(admitted) => {
            door.metrics.upgrades.increment(1);
            tokio::spawn(Arc::clone(&door.api).serve(stream, early, admitted, peer));
            return;
        }
    };
    let Ok((transport, unread)) = stream.leave() else { return };
    let early = if unread.is_empty() { early } else { [early, unread].concat().into() };
    match door.shards.admit(transport, early, opening, peer) {
        Ok(()) => door.metrics.upgrades.increment(1),
        Err(mut transport) => {
            metrics::Server::refused("shards");
            transport.try_say(&CLOSE_TRY_AGAIN_LATER);
        }
    }
}
