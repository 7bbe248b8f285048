//! `tickcast exchange`.

use std::net::SocketAddr;

use clap::Args;

use super::Failure;
use crate::{app, config::Config};

/// Options of `tickcast exchange`; faults and rate are settings: --set exchange.gap_per_minute=6.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where to listen, instead of `exchange.listen`.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Same seed, same market; instead of `exchange.seed`.
    #[arg(long)]
    seed: Option<u64>,
}

pub(super) fn run(mut config: Config, arguments: &Arguments) -> Result<(), Failure> {
    config.exchange.listen = arguments.listen.unwrap_or(config.exchange.listen);
    config.exchange.seed = arguments.seed.unwrap_or(config.exchange.seed);
    let exchange = app::start_exchange(&config, config.exchange.listen)?;
    let address = exchange.addr();
    eprintln!();
    eprintln!("  The simulated exchange speaks Binance's protocol (seed {}).", config.exchange.seed);
    eprintln!("  Streams      ws://{address}/stream?streams=btcusdt@depth@100ms");
    eprintln!("  REST         http://{address}/api/v3/exchangeInfo");
    eprintln!("  Stop it with Ctrl-C.");
    eprintln!();
    app::wait_for_signal();
    exchange.stop();
    Ok(())
}
