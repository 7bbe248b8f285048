//! A venue's list of instruments, fetched at start until it is there.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use thiserror::Error;
use tokio::time;
use tokio_tungstenite::tungstenite::{self, Message};
use tracing::{info, warn};

use super::{
    backoff::Backoff,
    rest::{FetchError, Rest},
    socket::{self, DialError},
    upstream::Upstream,
};
use crate::{
    market::{InstrumentId, Listing},
    normalise::Refusal,
    venue::ListingSource,
};

/// Fetches the venue's list, tells the catalogue, and returns the configured instruments that are on it.
///
/// Tries for ever. Instruments that are not on the list are named in the log once, and stay silent.
pub(super) async fn listed(upstream: &Arc<Upstream>, rest: &Rest) -> Vec<InstrumentId> {
    let natives: Vec<&str> =
        upstream.catalogue.of_venue(upstream.venue).map(|instrument| &*instrument.native).collect();
    if natives.is_empty() {
        return Vec::new();
    }
    let mut backoff = Backoff::new(&upstream.settings);
    loop {
        let error = match fetch_all(upstream, rest, &natives).await {
            Ok(listings) => return note(upstream, listings),
            Err(error) => error,
        };
        let wait = backoff.after_failure();
        let (venue, (key, url)) = (&upstream.name, address(upstream, &natives));
        warn!(
            %venue,
            "cannot fetch the list of instruments from {url}: {error}; trying again in {wait:.1?} (is {key} right, is the network up?)"
        );
        time::sleep(wait).await;
    }
}

/// Why one try brought no list.
#[derive(Debug, Error)]
enum ListingError {
    #[error("{0}")]
    Fetch(#[from] FetchError),
    #[error("{0}")]
    Dial(#[from] DialError),
    #[error("the answer cannot be read ({0})")]
    Unreadable(#[from] Refusal),
    #[error("the answer is no list of instruments")]
    NoList,
    #[error("no list within {0:?} (intake.rest_timeout_ms)")]
    Timeout(Duration),
    #[error("the connection broke: {0}")]
    Broken(#[from] Box<tungstenite::Error>),
}

/// One try for the whole list.
///
/// Binance answers 400 to a question about many symbols if it does not know one of them. A venue must not be lost for
/// that: the question is halved until the unknown symbols stand alone.
async fn fetch_all(upstream: &Arc<Upstream>, rest: &Rest, natives: &[&str]) -> Result<Vec<Listing>, ListingError> {
    let mut listings = Vec::new();
    let mut refused = 0;
    let mut parts = vec![natives];
    while let Some(part) = parts.pop() {
        match fetch(upstream, rest, &upstream.protocol.listing(part)).await {
            Ok(listed) => listings.extend(listed),
            Err(ListingError::Fetch(FetchError::Status { status: 400, .. })) if part.len() > 1 => {
                let (first, second) = part.split_at(part.len() / 2);
                parts.extend([second, first]);
            }
            Err(error @ ListingError::Fetch(FetchError::Status { status: 400, .. })) => {
                refused += 1;
                if refused == natives.len() || refused > REFUSED_MAX {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(listings)
}

async fn fetch(upstream: &Arc<Upstream>, rest: &Rest, source: &ListingSource) -> Result<Vec<Listing>, ListingError> {
    match source {
        ListingSource::Rest(request) => {
            let body = rest.fetch(request).await?;
            upstream.protocol.parse_listing(&body.bytes)?.ok_or(ListingError::NoList)
        }
        ListingSource::Socket { path, subscribe } => {
            let limit = Duration::from_millis(upstream.settings.rest_timeout_ms);
            upstream.connect_turn().await;
            time::timeout(limit, over_socket(upstream, path, subscribe))
                .await
                .unwrap_or(Err(ListingError::Timeout(limit)))
        }
    }
}

/// A socket of its own, which is closed as soon as the list has come.
async fn over_socket(upstream: &Upstream, path: &str, subscribe: &str) -> Result<Vec<Listing>, ListingError> {
    let mut stream = socket::dial(upstream, path).await?;
    stream.send(Message::text(subscribe)).await.map_err(Box::new)?;
    while let Some(message) = stream.next().await {
        let message = message.map_err(Box::new)?;
        if !(message.is_text() || message.is_binary()) {
            continue;
        }
        if let Some(listings) = upstream.protocol.parse_listing(&message.into_data())? {
            // The list is here; whether the goodbye arrives changes nothing.
            let _ = stream.close(None).await;
            return Ok(listings);
        }
    }
    Err(ListingError::NoList)
}

fn note(upstream: &Upstream, listings: Vec<Listing>) -> Vec<InstrumentId> {
    let count = listings.len();
    let mut by_native: HashMap<String, Listing> =
        listings.into_iter().map(|listing| (listing.native.clone(), listing)).collect();
    let (mut listed, mut missing) = (Vec::new(), Vec::new());
    for instrument in upstream.catalogue.of_venue(upstream.venue) {
        match by_native.remove(&*instrument.native) {
            Some(listing) => {
                instrument.list(listing);
                listed.push(instrument.id);
            }
            None => missing.push(&*instrument.native),
        }
    }
    info!(venue = %upstream.name, configured = listed.len() + missing.len(), listed = listed.len(), of = count, "list read");
    if !missing.is_empty() {
        let symbols = missing.join(", ");
        warn!(venue = %upstream.name, "not on the venue's list, so they stay silent (check their spelling): {symbols}");
    }
    listed
}

/// The configured key and address that the list comes from.
fn address<'a>(upstream: &'a Upstream, natives: &[&str]) -> (&'static str, &'a str) {
    match upstream.protocol.listing(natives) {
        ListingSource::Rest(_) => ("rest_url", &upstream.rest_url),
        ListingSource::Socket { .. } => ("ws_url", &upstream.ws_url),
    }
}

/// Symbols that may be refused one by one; with more, the address or the whole list is wrong, and asking costs weight.
const REFUSED_MAX: usize = 16;
