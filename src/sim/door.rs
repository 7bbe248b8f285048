//! The socket side that both exchanges share: a thread of its own, HTTP answers, upgraded WebSockets.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, sync::Arc, thread, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Incoming, header, service::service_fn, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::server::create_response_with_body,
        protocol::{Role, WebSocketConfig},
    },
};

use super::control::Query;

/// A client's socket after the upgrade.
pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Bytes of one message from a client.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Bytes that wait inside one WebSocket before its writer has to: the outbox above it is what tells slow clients.
const WRITE_BUFFER_BYTES: usize = 64 << 10;
/// Pause after a failed accept (out of descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What is behind the door.
pub(super) trait Exchange: Send + Sync + 'static {
    /// What a WebSocket was admitted with.
    type Visit: Send + 'static;

    /// Answers a plain request.
    fn answer(&self, request: Plain) -> impl Future<Output = Answer> + Send;

    /// Whether there is a WebSocket under this path and query.
    fn admit(&self, path: &str, query: &Query) -> Option<Self::Visit>;

    /// Talks over a WebSocket until either side has enough; dropping the socket cuts the connection.
    fn talk(self: Arc<Self>, visit: Self::Visit, socket: Socket) -> impl Future<Output = ()> + Send;

    /// What goes on without clients, for as long as the door is open.
    fn run(self: Arc<Self>) -> impl Future<Output = ()> + Send;
}

/// A request without a body.
#[derive(Debug)]
pub(super) struct Plain {
    pub(super) path: String,
    pub(super) query: Query,
    /// The `X-MBX-TIME-UNIT` header.
    pub(super) time_unit: Option<String>,
}

/// The answer to one.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
    /// Request weight used in this minute, for the headers.
    pub(super) weight: u32,
    /// Seconds for `Retry-After`.
    pub(super) retry_after: Option<u32>,
    /// How long it is kept back.
    pub(super) delay: Duration,
}

impl Answer {
    /// Success.
    pub(super) fn ok(body: impl Into<Bytes>) -> Self {
        Self { status: 200, body: body.into(), weight: 0, retry_after: None, delay: Duration::ZERO }
    }

    /// Binance's error object under an HTTP status.
    pub(super) fn error(status: u16, code: i32, message: &str) -> Self {
        let body = format!(r#"{{"code":{code},"msg":{}}}"#, serde_json::Value::from(message));
        Self { status, ..Self::ok(body) }
    }
}

/// An open door; dropping it closes it and everything behind it.
#[derive(Debug)]
pub(super) struct Door {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Door {
    /// Listens at `listen` and serves `exchange` on a thread of its own.
    pub(super) fn open<E: Exchange>(listen: SocketAddr, name: &str, exchange: Arc<E>) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, mut stopped) = watch::channel(false);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped.wait_for(|stop| *stop) => {}
                    () = Arc::clone(&exchange).run() => {}
                    result = accept(listener, exchange) => {
                        if let Err(error) = result {
                            tracing::error!(%error, "the simulated exchange cannot listen");
                        }
                    }
                }
            });
        })?;
        Ok(Self { addr, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub(super) const fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the simulated exchange had panicked");
        }
    }
}

async fn accept<E: Exchange>(listener: std::net::TcpListener, exchange: Arc<E>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, Arc::clone(&exchange)))),
            Err(error) => {
                tracing::warn!(%error, "the simulated exchange could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve<E: Exchange>(stream: TcpStream, exchange: Arc<E>) {
    // Latency matters more than packets; where the option fails the connection still works.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| respond(Arc::clone(&exchange), request));
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // Clients come and go as they like; how they went is no news here.
    let _ = connection.with_upgrades().await;
}

async fn respond<E: Exchange>(
    exchange: Arc<E>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let query = Query::parse(request.uri().query().unwrap_or(""));
    if request.headers().contains_key(header::UPGRADE) {
        return Ok(upgrade(exchange, request, &query));
    }
    let time_unit = request.headers().get("X-MBX-TIME-UNIT").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let plain = Plain { path: request.uri().path().to_owned(), query, time_unit };
    let Answer { status, body, weight, retry_after, delay } = exchange.answer(plain).await;
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json;charset=UTF-8"));
    headers.insert("x-mbx-used-weight", weight.into());
    headers.insert("x-mbx-used-weight-1m", weight.into());
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-cache, no-store, must-revalidate"));
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    Ok(response)
}

fn upgrade<E: Exchange>(exchange: Arc<E>, mut request: Request<Incoming>, query: &Query) -> Response<Full<Bytes>> {
    let refuse = |status: StatusCode, body: &'static str| {
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = status;
        response
    };
    let Some(visit) = exchange.admit(request.uri().path(), query) else {
        return refuse(StatusCode::NOT_FOUND, "Invalid request path");
    };
    let Ok(response) = create_response_with_body(&request, Full::default) else {
        return refuse(StatusCode::BAD_REQUEST, "not a WebSocket handshake");
    };
    tokio::spawn(async move {
        if let Ok(upgraded) = hyper::upgrade::on(&mut request).await {
            let config = WebSocketConfig::default()
                .read_buffer_size(4 << 10)
                .write_buffer_size(WRITE_BUFFER_BYTES / 2)
                .max_write_buffer_size(WRITE_BUFFER_BYTES * 1024)
                .max_message_size(Some(MESSAGE_BYTES_MAX))
                .max_frame_size(Some(MESSAGE_BYTES_MAX));
            let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
            exchange.talk(visit, socket).await;
        }
    });
    response
}
