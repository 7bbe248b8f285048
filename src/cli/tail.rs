//! `tickcast tail`: prints streams as they come, for a person or for a pipe.

mod pretty;

use std::io::{self, IsTerminal, Write};

use clap::Args;
use futures_util::StreamExt;
use tokio_tungstenite::{connect_async, tungstenite::Message};

use super::Failure;
use crate::config::Config;

/// Options of `tickcast tail`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Stream names, e.g. btcusdt@trade ethusdt@depth20@100ms kraken:btcusd@bookTicker.
    #[arg(required = true, value_name = "STREAM")]
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
    let base = arguments.url.clone().unwrap_or_else(|| format!("ws://{}", config.server.listen));
    let unit = if arguments.micros { "&timeUnit=MICROSECOND" } else { "" };
    let url = format!("{}/stream?streams={}{unit}", base.trim_end_matches('/'), arguments.streams.join("/"));
    let unreachable = |error| {
        let hint = "is `tickcast serve` running there? --url names another server";
        Failure::new(Failure::UNAVAILABLE, format_args!("{base}: {error}; {hint}"))
    };
    let (mut socket, _) = connect_async(&url).await.map_err(unreachable)?;
    let for_a_person = arguments.pretty || (!arguments.raw && io::stdout().is_terminal());
    let mut lines = pretty::Lines::new(io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let mut left = arguments.count.unwrap_or(u64::MAX);
    while left > 0 {
        let message = match socket.next().await {
            None => return Err(Failure::new(Failure::RUNTIME, "the server closed the connection")),
            Some(Err(error)) => return Err(Failure::new(Failure::RUNTIME, error)),
            Some(Ok(message)) => message,
        };
        match message {
            Message::Text(text) => {
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

fn print(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
