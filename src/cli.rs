//! What the user typed, and what is run for it.

mod console;
mod doctor;
mod exchange;
mod inspect;
mod load;
mod manual;
mod progress;
mod record;
mod replay;
mod serve;
mod tail;
mod terminal;

use std::{fmt::Display, fs, path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory, Parser, Subcommand};

use console::{Console, Log};

use crate::{
    app::StartError,
    config::{Config, ConfigError, DEFAULT_TOML, Overrides},
};

/// Exchange feeds in once, Binance Spot wire format out to thousands of WebSocket subscribers.
///
/// Without a command, `tickcast` serves a complete simulated market on 127.0.0.1:9443: no account, no internet.
#[derive(Debug, Parser)]
#[command(name = "tickcast", version, max_term_width = 110, after_help = format!("{EXIT_CODES}\n\n{FIRST_STEPS}"))]
struct Line {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

const EXIT_CODES: &str = "\
Exit codes:
   0  done                              69  an address cannot be used or reached
   1  failed while running              70  a defect of ours
   2  wrong use of the command line     73  a file cannot be written
  66  a file cannot be read             78  the configuration is wrong";

const FIRST_STEPS: &str = "\
First steps:
  tickcast                                  serve the simulated market
  tickcast tail btcusdt@depth20@100ms       watch a book of it
  tickcast doctor                           see whether this machine is fit
  tickcast load                             measure this machine
  tickcast serve --config FILE              serve real exchanges (config/binance.toml is a start)";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve market data (the default): connect to the venues, fan out to subscribers.
    Serve,
    /// Run the simulated exchange alone, for tests of other software: Binance's protocol on a loopback port.
    Exchange(exchange::Arguments),
    /// Record what the venues send, byte for byte with receive times.
    Record(record::Arguments),
    /// Serve a recording: a stand-in plays the exchange, the real connector takes it in.
    Replay(replay::Arguments),
    /// Tell what is in a recording: venues, streams, counts, span, silences, holes in ids.
    Inspect(inspect::Arguments),
    /// Print streams as they come: a table for a person on a terminal, JSON in a pipe, or CSV.
    Tail(tail::Arguments),
    /// Examine this machine, the configuration and the way to the venues; say what is wrong and what to do.
    Doctor(doctor::Arguments),
    /// Measure a server, by default one of its own on this machine: many clients, rates, latency, loss, memory.
    Load(load::Arguments),
    /// Read the configuration, say what is wrong with it or what it comes to.
    CheckConfig,
    /// Print every key with its default, unit, limit and reason.
    DefaultConfig,
    /// Print the script that completes commands and options in a shell.
    Completions(manual::Completions),
    /// Print the manual page.
    Man(manual::Pages),
}

/// Where settings come from, weakest first: built-in, file, environment (TICKCAST__SERVER__LISTEN), flags.
#[derive(Debug, Args)]
struct Settings {
    /// Settings that differ from the built-in ones (TOML; `tickcast default-config` prints all).
    #[arg(long, short, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// One setting by its dotted key, e.g. --set server.listen=127.0.0.1:9000 (may be repeated).
    #[arg(long = "set", value_name = "KEY=VALUE", global = true, value_parser = key_value)]
    set: Vec<(String, String)>,
    /// What to log: error, warn, info, debug, trace, or per room: info,tickcast::intake=debug.
    #[arg(long, value_name = "LEVEL", global = true)]
    log: Option<String>,
}

/// Runs what was typed; the exit code says how it went.
pub fn run() -> ExitCode {
    let line = Line::parse();
    match execute(line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("tickcast: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

/// Why a command ended, for the user and for scripts.
#[derive(Debug)]
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    const RUNTIME: u8 = 1;
    const USAGE: u8 = 2;
    const NO_INPUT: u8 = 66;
    const UNAVAILABLE: u8 = 69;
    const DEFECT: u8 = 70;
    const CANNOT_CREATE: u8 = 73;
    const CONFIG: u8 = 78;
    /// What a shell shows for a program ended by Ctrl-C.
    const INTERRUPTED: u8 = 130;

    fn new(code: u8, message: impl Display) -> Self {
        Self { code, message: message.to_string() }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Self::CONFIG, error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let code = match error {
            StartError::Config(_) => Self::CONFIG,
            StartError::Address(_) => Self::UNAVAILABLE,
            StartError::Certificate(_) => Self::NO_INPUT,
            StartError::Store(_) => Self::CANNOT_CREATE,
            StartError::Recording(_) => Self::NO_INPUT,
            StartError::System { .. } => Self::DEFECT,
        };
        Self::new(code, error)
    }
}

fn execute(line: Line) -> Result<(), Failure> {
    let settings = line.settings;
    let config = || read_config(&settings);
    match line.command {
        None | Some(Command::Serve) => {
            let (config, console) = with_console(settings)?;
            serve::run(config, console)
        }
        Some(Command::Exchange(arguments)) => exchange::run(with_log(config()?)?, &arguments),
        Some(Command::Record(arguments)) => record::run(with_log(config()?)?, &arguments),
        Some(Command::Replay(arguments)) => {
            let (config, console) = with_console(settings)?;
            replay::run(config, console, &arguments)
        }
        Some(Command::Inspect(arguments)) => inspect::run(&arguments),
        Some(Command::Tail(arguments)) => tail::run(&config()?, &arguments),
        Some(Command::Load(arguments)) => {
            config()?;
            load::run(&settings, &arguments)
        }
        Some(Command::Doctor(arguments)) => doctor::run(&settings, &arguments),
        Some(Command::CheckConfig) => check_config(&config()?),
        Some(Command::DefaultConfig) => terminal::print(DEFAULT_TOML),
        Some(Command::Completions(arguments)) => manual::completions(Line::command(), &arguments),
        Some(Command::Man(arguments)) => manual::pages(Line::command(), &arguments),
    }
}

fn read_config(settings: &Settings) -> Result<Config, Failure> {
    let file = settings.config.as_ref();
    let file = file
        .map(|path| {
            let name = path.display().to_string();
            let text = fs::read_to_string(path)
                .map_err(|error| Failure::new(Failure::NO_INPUT, format_args!("--config {name}: {error}")))?;
            Ok::<_, Failure>((name, text))
        })
        .transpose()?;
    let mut flags = settings.set.clone();
    flags.extend(settings.log.clone().map(|level| ("log.level".to_owned(), level)));
    Ok(Config::load(&Overrides { file, environment: std::env::vars().collect(), flags })?)
}

/// Begins to log.
fn with_log(config: Config) -> Result<Config, Failure> {
    Log::start(&config.log.level)?;
    Ok(config)
}

/// The settings, and what a running server may ask of us.
fn with_console(settings: Settings) -> Result<(Config, Console), Failure> {
    let config = read_config(&settings)?;
    let log = Log::start(&config.log.level)?;
    Ok((config, Console { settings, log }))
}

fn check_config(config: &Config) -> Result<(), Failure> {
    crate::app::check(config)?;
    crate::server::check(config).map_err(StartError::from)?;
    if let Some(core) = doctor::strange_core(config) {
        eprintln!("tickcast: `server.shard_cores` names core {core}, which this process may not use on this machine");
    }
    terminal::print(summary(config))
}

/// What a good configuration comes to.
fn summary(config: &Config) -> String {
    let sbe = match config.sbe.listen {
        Some(address) if config.sbe.api_keys.is_empty() => address.to_string(),
        Some(address) => format!("{address}, for {} API keys", config.sbe.api_keys.len()),
        None => "none".to_owned(),
    };
    let tls = match config.tls.certificate.as_str() {
        "" => "none".to_owned(),
        certificate => format!("at both, with {certificate}"),
    };
    let admin = if config.ops.admin_key.is_some() { ", with the admin API" } else { "" };
    let mut text = format!(
        "The configuration is good.\n  public door   {}\n  SBE door      {sbe}\n  TLS           {tls}\n  ops door      {}{admin}\n",
        config.server.listen, config.ops.listen
    );
    for venue in &config.venues {
        let count = venue.symbols.len();
        text += &format!("  venue         {} ({}) at {}, {count} symbols\n", venue.name, venue.kind, venue.ws_url);
    }
    text
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it has to be KEY=VALUE, e.g. server.shards=2".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Line::command().debug_assert();
    }

    #[test]
    fn settings_are_key_and_value() {
        assert_eq!(key_value("a.b=c=d"), Ok(("a.b".to_owned(), "c=d".to_owned())));
        for text in ["a.b", "=", "=x", " =x", ""] {
            assert!(key_value(text).is_err(), "{text}");
        }
    }
}
