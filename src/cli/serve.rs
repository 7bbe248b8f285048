//! `tickcast serve`.

use super::{Console, Failure};
use crate::{
    app::{self, App},
    config::Config,
};

pub(super) fn run(config: Config, console: Console) -> Result<(), Failure> {
    let app = App::start(config, Box::new(console))?;
    if app::run_until_signal(app, announce) {
        return Ok(());
    }
    Err(defect())
}

/// What is said when a thread is gone.
pub(super) fn defect() -> Failure {
    Failure::new(Failure::DEFECT, "a thread ended with a defect; please report what the log says above")
}

/// Tells a newcomer where everything is.
pub(super) fn announce(app: &App) {
    let (public, ops) = (app.public_address(), app.ops_address());
    let [ws, http] = if app.is_secure() { ["wss", "https"] } else { ["ws", "http"] };
    eprintln!();
    eprintln!("  Tickcast serves {} instruments of {}.", app.instruments(), app.venues().join(", "));
    eprintln!("  Streams      {ws}://{public}/ws/{}@depth20@100ms", app.example_symbol().to_lowercase());
    if let Some(sbe) = app.sbe_address() {
        eprintln!("  SBE          {ws}://{sbe}/ws/{}@bestBidAsk", app.example_symbol().to_lowercase());
    }
    eprintln!("  REST         {http}://{public}/api/v3/depth?symbol={}&limit=5", app.example_symbol());
    eprintln!("  Page         {http}://{public}/");
    eprintln!("  Metrics      http://{ops}/metrics");
    eprintln!("  Status       http://{ops}/status");
    eprintln!("  Stop it with Ctrl-C.");
    eprintln!();
}
