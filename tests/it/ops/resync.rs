//! A book that an operator has replaced, under load: bots notice nothing.

use super::{KEY, command};
use crate::{
    life::{DepthClient, Metrics, Scratch, exchange, until_ready, venue},
    process::Served,
};

#[tokio::test]
async fn a_resync_under_load_keeps_ids_tiling_and_books_right() {
    let market = exchange(&["BTCUSDT", "ETHUSDT"], |settings| settings.rate = 2000);
    let config = Scratch::with("resync.toml", &venue(&market));
    let served = Served::start_with(&[("TICKCAST__OPS__ADMIN_KEY", KEY)], &["serve", "--config", config.path()]);
    until_ready(&served).await;
    let mut clients = Vec::new();
    for symbol in ["BTCUSDT", "ETHUSDT"] {
        for cadence in ["", "@100ms"] {
            clients.push(DepthClient::join(&served.public, symbol, cadence).await);
        }
    }
    for round in 1..=5 {
        let (status, body) = command(&served.ops, "/admin/resync?venue=binance&symbol=BTCUSDT");
        assert_eq!(status, 200, "{body}");
        // Each step is a diff that follows the one before, or the client gives up.
        while Metrics::of(&served).await.sum("tickcast_book_resyncs_total", "") < f64::from(round) {
            for client in &mut clients {
                client.step().await;
            }
        }
    }
    market.pause();
    for client in &mut clients {
        client.follow_to(&market).await;
    }
    let metrics = Metrics::of(&served).await;
    assert_eq!(metrics.sum("tickcast_book_resyncs_total", ""), 5.0, "nothing else had to heal");
    for name in ["tickcast_book_gaps_total", "tickcast_session_closes_total", "tickcast_intake_disconnects_total"] {
        assert_eq!(metrics.sum(name, ""), 0.0, "{name}");
    }
    assert_eq!(metrics.sum("tickcast_book_state", "state=\"live\""), 2.0);
    assert_eq!(served.terminate(), Some(0));
}
