//! A venue driven by the test: every upgrade and every REST request waits for what the test decides.

use std::{convert::Infallible, future::Future, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::handshake::server::{ErrorResponse, Request as Upgrade, Response as Upgraded},
};

/// Its two doors. All that serves them ends with it.
pub struct StandIn {
    pub ws: SocketAddr,
    pub rest: SocketAddr,
    sockets: mpsc::Receiver<Socket>,
    asked: mpsc::Receiver<Asked>,
    _tasks: JoinSet<()>,
}

/// The venue's side of a connection.
pub struct Socket {
    /// Path and query of the upgrade.
    pub path: String,
    pub stream: WebSocketStream<TcpStream>,
}

/// A REST request that waits for its answer.
pub struct Asked {
    /// Path and query.
    pub path: String,
    reply: oneshot::Sender<Response<Full<Bytes>>>,
}

/// Who came.
pub enum Visit {
    Socket(Box<Socket>),
    Asked(Asked),
}

impl StandIn {
    pub async fn open() -> Self {
        let (socket_sender, sockets) = mpsc::channel(64);
        let (asked_sender, asked) = mpsc::channel(64);
        let (ws_door, rest_door) = (door().await, door().await);
        let (ws, rest) = (address(&ws_door), address(&rest_door));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_sockets(ws_door, socket_sender));
        tasks.spawn(serve_rest(rest_door, asked_sender));
        Self { ws, rest, sockets, asked, _tasks: tasks }
    }

    pub async fn socket(&mut self) -> Socket {
        soon(self.sockets.recv()).await.expect("the door is open")
    }

    pub async fn asked(&mut self) -> Asked {
        soon(self.asked.recv()).await.expect("the door is open")
    }

    /// Whatever comes next, however long that takes.
    pub async fn either(&mut self) -> Visit {
        tokio::select! {
            socket = self.sockets.recv() => Visit::Socket(Box::new(socket.expect("the door is open"))),
            asked = self.asked.recv() => Visit::Asked(asked.expect("the door is open")),
        }
    }

    /// A request that came and waits already.
    pub fn asked_already(&mut self) -> Option<Asked> {
        self.asked.try_recv().ok()
    }

    /// Answers the next request with a list of `symbols`.
    pub async fn list(&mut self, symbols: &[&str]) {
        let asked = self.asked().await;
        assert!(asked.path.starts_with("/api/v3/exchangeInfo"), "{}", asked.path);
        asked.answer(200, &[], &exchange_info(symbols));
    }
}

impl Asked {
    pub fn answer(self, status: u16, headers: &[(&str, &str)], body: &str) {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let response = response.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).expect("a sound answer");
        // The asker may have given up meanwhile.
        let _ = self.reply.send(response);
    }
}

/// exchangeInfo in the documented shape.
pub fn exchange_info(symbols: &[&str]) -> String {
    let symbols: Vec<_> = symbols
        .iter()
        .map(|symbol| {
            let base = symbol.trim_end_matches("USDT");
            format!(
                r#"{{"symbol":"{symbol}","status":"TRADING","baseAsset":"{base}","baseAssetPrecision":8,"quoteAsset":"USDT","quotePrecision":8,"quoteAssetPrecision":8,"filters":[{{"filterType":"PRICE_FILTER","minPrice":"0.01000000","maxPrice":"1000000.00000000","tickSize":"0.01000000"}},{{"filterType":"LOT_SIZE","minQty":"0.00001000","maxQty":"9000.00000000","stepSize":"0.00001000"}}]}}"#
            )
        })
        .collect();
    format!(
        r#"{{"timezone":"UTC","serverTime":1789000000000,"rateLimits":[],"exchangeFilters":[],"symbols":[{}]}}"#,
        symbols.join(",")
    )
}

/// What `future` brings; a test that waits in vain fails instead of hanging.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("it happens within 30 s")
}

async fn door() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port")
}

fn address(door: &TcpListener) -> SocketAddr {
    door.local_addr().expect("a bound listener")
}

async fn serve_sockets(door: TcpListener, sockets: mpsc::Sender<Socket>) {
    while let Ok((stream, _)) = door.accept().await {
        let mut path = String::new();
        #[allow(clippy::result_large_err, reason = "the signature is tungstenite's")]
        let note = |request: &Upgrade, response: Upgraded| -> Result<Upgraded, ErrorResponse> {
            path = request.uri().to_string();
            Ok(response)
        };
        let Ok(stream) = accept_hdr_async(stream, note).await else { continue };
        if sockets.send(Socket { path, stream }).await.is_err() {
            return;
        }
    }
}

async fn serve_rest(door: TcpListener, asked: mpsc::Sender<Asked>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = door.accept().await {
        let asked = asked.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let asked = asked.clone();
            async move {
                let (reply, answer) = oneshot::channel();
                let _ = asked.send(Asked { path: request.uri().to_string(), reply }).await;
                let gone = || Response::builder().status(500).body(Full::default()).expect("a sound answer");
                Ok::<_, Infallible>(answer.await.unwrap_or_else(|_| gone()))
            }
        });
        connections.spawn(async move {
            // A client that hangs up in the middle is the test's own doing.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
