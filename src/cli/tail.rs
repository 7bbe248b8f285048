//! `tickcast tail`: prints streams as they come, for a person or for a pipe.

mod pretty;

use std::{
    borrow::Cow,
    io::{self, IsTerminal, Write},
    pin::pin,
    time::Duration,
};

use clap::{Args, builder::NonEmptyStringValueParser};
use futures_util::StreamExt;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use super::Failure;
use crate::config::Config;

/// Options of `tickcast tail`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Stream names, e.g. btcusdt@trade ethusdt@depth20@100ms kraken:btcusd@bookTicker.
    #[arg(required = true, value_name = "STREAM", value_parser = NonEmptyStringValueParser::new())]
    streams: Vec<String>,
    /// The server; default: this machine's, as `server.listen` says.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Lines for a person, in colour on a terminal. The default on a terminal.
    #[arg(long, conflicts_with = "raw")]
    pretty: bool,
    /// The payloads as they came, one a line. The default in a pipe.
    #[arg(long)]
    raw: bool,
    /// End after so many events.
    #[arg(long, short = 'n', value_name = "COUNT")]
    count: Option<u64>,
    /// Times in microseconds.
    #[arg(long)]
    micros: bool,
}

pub(super) fn run(config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(Failure::DEFECT, error))?.block_on(tail(config, arguments))
}

async fn tail(config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let base = match &arguments.url {
        Some(url) => websocket_address(url),
        None => Cow::Owned(format!("ws://{}", config.server.listen)),
    };
    let unit = if arguments.micros { "&timeUnit=MICROSECOND" } else { "" };
    let names = arguments.streams.join("/");
    let names = utf8_percent_encode(&names, RESERVED);
    let url = format!("{}/stream?streams={names}{unit}", base.trim_end_matches('/'));
    let unreachable = |error| {
        let hint = "is `tickcast serve` running there? --url names another server";
        Failure::new(Failure::UNAVAILABLE, format_args!("{base}: {error}; {hint}"))
    };
    let (mut socket, _) = connect_async(&url).await.map_err(unreachable)?;
    let for_a_person = arguments.pretty || (!arguments.raw && io::stdout().is_terminal());
    let mut lines = pretty::Lines::new(io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let mut left = arguments.count.unwrap_or(u64::MAX);
    let mut silence = pin!(tokio::time::sleep(SILENCE));
    let mut heard = false;
    while left > 0 {
        let next = tokio::select! {
            next = socket.next() => next,
            () = &mut silence, if !heard => {
                eprintln!("tickcast: nothing has come so far; {SPELLING}");
                heard = true;
                continue;
            }
        };
        let message = match next {
            None => return Err(Failure::new(Failure::RUNTIME, "the server closed the connection")),
            Some(Err(error)) => return Err(Failure::new(Failure::RUNTIME, error)),
            Some(Ok(message)) => message,
        };
        match message {
            Message::Text(text) => {
                heard = true;
                let line = if for_a_person { lines.line(&text) } else { pretty::payload(&text).to_owned() };
                if print(&line).is_err() {
                    // Whoever read our output has seen enough (`| head`).
                    return Ok(());
                }
                left -= 1;
            }
            Message::Close(frame) => {
                let reason = frame.map_or("without a reason".to_owned(), |frame| frame.to_string());
                return Err(Failure::new(Failure::RUNTIME, format_args!("the server closed the connection: {reason}")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The server as a person may write it: the address of its page or of its REST is one as well.
fn websocket_address(url: &str) -> Cow<'_, str> {
    match url.split_once("://") {
        Some(("http", rest)) => Cow::Owned(format!("ws://{rest}")),
        Some(("https", rest)) => Cow::Owned(format!("wss://{rest}")),
        Some(_) => Cow::Borrowed(url),
        None => Cow::Owned(format!("ws://{url}")),
    }
}

/// What would end or split the parameter; the rest of a name may stand in a URL as it is.
const RESERVED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'&').add(b'<').add(b'>').add(b'?');

/// A stream that exists speaks sooner than this, unless its market sleeps.
const SILENCE: Duration = Duration::from_secs(5);

const SPELLING: &str = "a stream is symbol@channel with the symbol in lower case (btcusdt@trade), and a name that the \
                        server does not know is silent, as on Binance. Waiting on.";

fn print(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
