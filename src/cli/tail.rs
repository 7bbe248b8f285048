//! `tickcast tail`: prints streams as they come, for a person, a table or a pipe.

mod csv;
mod kind;
mod ladder;
mod rows;
mod show;
mod table;

use std::{fs, path::PathBuf, pin::pin, sync::Arc, time::Duration};

use clap::{Args, ColorChoice, builder::NonEmptyStringValueParser};
use futures_util::StreamExt;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_tungstenite::{Connector, connect_async_tls_with_config, tungstenite::Message};

use self::show::Show;
use super::{
    Failure,
    terminal::{printed, write},
};
use crate::{clock, config::Config};

/// Options of `tickcast tail`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Stream names, e.g. btcusdt@trade ethusdt@depth20@100ms kraken:btcusd@bookTicker !miniTicker@arr.
    #[arg(required = true, value_name = "STREAM", value_parser = NonEmptyStringValueParser::new())]
    streams: Vec<String>,
    /// The server, with the path of a venue if not the first is meant; default: this machine's, as `server.listen` says.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A table for a person; a single partial book is drawn as a ladder. The default on a terminal.
    #[arg(long, conflicts_with_all = ["raw", "csv"])]
    pretty: bool,
    /// The payloads as they came, one a line. The default in a pipe.
    #[arg(long, conflicts_with = "csv")]
    raw: bool,
    /// Comma-separated values with a header, for streams of one kind; numbers as they came.
    #[arg(long)]
    csv: bool,
    /// End after so many events.
    #[arg(long, short = 'n', value_name = "COUNT")]
    count: Option<u64>,
    /// Ask the server for times in microseconds.
    #[arg(long)]
    micros: bool,
    /// Connect again when the connection is lost, instead of ending.
    #[arg(long)]
    reconnect: bool,
    /// Trust these certificates (PEM) too, for wss:// with a certificate of one's own.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Colours in the table: auto looks for a terminal and NO_COLOR.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
}

const EXAMPLES: &str = "\
Table: `received` is this machine's clock (UTC); `lag ms` is from the event's own time to it, by two clocks.
CSV: columns begin with received_us,stream; books have a row per level. Lines end with a line feed alone, fields are \
quoted as in RFC 4180, and what an event lacks is empty. Streams of several kinds are refused: run one tail for each.
Without --reconnect a lost connection ends with code 1, and a reader that goes away (`| head`) with 0.
  tickcast tail btcusdt@depth20@100ms                         a ladder
  tickcast tail btcusdt@trade ethusdt@trade --csv > trades.csv
  tickcast tail btcusdt@kline_1m --raw | jq .k.c
  tickcast tail btcusd@trade --url wss://feeds.example.com/kraken --reconnect";

pub(super) fn run(config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let show = Show::chosen(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(Failure::DEFECT, error))?.block_on(tail(config, arguments, show))
}

/// How a connection ended.
enum End {
    /// There were as many events as were asked for, or they can be printed no longer.
    Over(Result<(), Failure>),
    /// The server or the network ended it.
    Lost(Failure),
}

async fn tail(config: &Config, arguments: &Arguments, mut show: Show) -> Result<(), Failure> {
    let base = base(config, arguments.url.as_deref());
    let unit = if arguments.micros { "&timeUnit=MICROSECOND" } else { "" };
    let names = arguments.streams.join("/");
    let names = utf8_percent_encode(&names, RESERVED);
    let url = format!("{}/stream?streams={names}{unit}", base.trim_end_matches('/'));
    let trust = base.starts_with("wss://").then(|| trust(arguments)).transpose()?;
    let mut left = arguments.count.unwrap_or(u64::MAX);
    let mut pause = PAUSE_FIRST;
    loop {
        let before = left;
        let failure = match connection(&base, &url, trust.as_ref(), &mut show, &mut left).await {
            End::Over(result) => return result,
            End::Lost(failure) if arguments.reconnect => failure,
            End::Lost(failure) => return Err(failure),
        };
        if left < before {
            pause = PAUSE_FIRST;
        }
        eprintln!("tickcast: {}; connecting again", failure.message);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MOST);
    }
}

/// Between two tries to connect: doubling from first to most, over with the next event.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MOST: Duration = Duration::from_secs(10);

async fn connection(base: &str, url: &str, trust: Option<&Arc<ClientConfig>>, show: &mut Show, left: &mut u64) -> End {
    let connector = trust.map(|config| Connector::Rustls(Arc::clone(config)));
    let opening = connect_async_tls_with_config(url, None, true, connector);
    let opened = match tokio::time::timeout(CONNECT_WITHIN, opening).await {
        Ok(opened) => opened.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", CONNECT_WITHIN.as_secs())),
    };
    let mut socket = match opened {
        Ok((socket, _)) => socket,
        Err(error) => {
            let own = if error.contains("UnknownIssuer") { " --ca trusts a certificate of one's own." } else { "" };
            let hint = format!("is `tickcast serve` running there? --url names another server.{own}");
            return End::Lost(Failure::new(Failure::UNAVAILABLE, format_args!("{base}: {error}; {hint}")));
        }
    };
    let mut silence = pin!(tokio::time::sleep(SILENCE));
    let mut heard = false;
    while *left > 0 {
        let next = tokio::select! {
            next = socket.next() => next,
            () = &mut silence, if !heard => {
                eprintln!("tickcast: nothing has come so far; {SPELLING}");
                heard = true;
                continue;
            }
        };
        let message = match next {
            None => return End::Lost(Failure::new(Failure::RUNTIME, "the server closed the connection")),
            Some(Err(error)) => return End::Lost(Failure::new(Failure::RUNTIME, error)),
            Some(Ok(message)) => message,
        };
        match message {
            Message::Text(text) => {
                heard = true;
                if let Err(error) = write(show.event(clock::now(), &text).as_bytes()) {
                    return End::Over(printed(Err(error)));
                }
                *left -= 1;
            }
            Message::Close(frame) => {
                let reason = frame.map_or("without a reason".to_owned(), |frame| frame.to_string());
                let message = format_args!("the server closed the connection: {reason}");
                return End::Lost(Failure::new(Failure::RUNTIME, message));
            }
            _ => {}
        }
    }
    End::Over(Ok(()))
}

/// The server as a person may write it: the address of its page or of its REST is one as well.
fn base(config: &Config, url: Option<&str>) -> String {
    let Some(url) = url else {
        let scheme = if config.tls.certificate.is_empty() { "ws" } else { "wss" };
        let mut address = config.server.listen;
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { [0, 0, 0, 0, 0, 0, 0, 1_u16].into() });
        }
        return format!("{scheme}://{address}");
    };
    match url.split_once("://") {
        Some(("http", rest)) => format!("ws://{rest}"),
        Some(("https", rest)) => format!("wss://{rest}"),
        Some(_) => url.to_owned(),
        None => format!("ws://{url}"),
    }
}

/// The authorities that browsers trust, and those that the user names.
fn trust(arguments: &Arguments) -> Result<Arc<ClientConfig>, Failure> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = &arguments.ca {
        let wrong = |error: String| Failure::new(Failure::NO_INPUT, format_args!("--ca {}: {error}", path.display()));
        let pem = fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
        if roots.len() == before {
            return Err(wrong("it holds no certificate (PEM)".to_owned()));
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring offers the cipher suites of TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// What would end or split the parameter; the rest of a name may stand in a URL as it is.
const RESERVED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'&').add(b'<').add(b'>').add(b'?');

/// A stream that exists speaks sooner than this, unless its market sleeps.
const SILENCE: Duration = Duration::from_secs(5);

/// TCP, TLS and the upgrade take no longer than this.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);

const SPELLING: &str = "a stream is symbol@channel with the symbol in lower case (btcusdt@trade), and a name that the \
                        server does not know is silent, as on Binance. Waiting on.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_as_a_person_names_it() {
        let mut config = Config::embedded();
        for (url, expected) in [
            (Some("127.0.0.1:1/kraken"), "ws://127.0.0.1:1/kraken"),
            (Some("http://x/"), "ws://x/"),
            (Some("https://x"), "wss://x"),
            (Some("wss://x"), "wss://x"),
            (None, "ws://127.0.0.1:9443"),
        ] {
            assert_eq!(base(&config, url), expected);
        }
        config.server.listen = "0.0.0.0:1".parse().expect("an address");
        config.tls.certificate = "x.pem".to_owned();
        assert_eq!(base(&config, None), "wss://127.0.0.1:1");
        config.server.listen = "[::]:1".parse().expect("an address");
        assert_eq!(base(&config, None), "wss://[::1]:1");
    }
}
