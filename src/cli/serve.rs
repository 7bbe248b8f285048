//! `tickcast serve`.

use super::Failure;
use crate::{
    app::{self, App},
    config::Config,
};

pub(super) fn run(config: Config) -> Result<(), Failure> {
    let app = App::start(config)?;
    announce(&app);
    app::run_until_signal(app);
    Ok(())
}

/// Tells a newcomer where everything is.
pub(super) fn announce(app: &App) {
    let (public, ops) = (app.public_address(), app.ops_address());
    eprintln!();
    eprintln!("  Tickcast serves {} instruments of {}.", app.instruments(), app.venues().join(", "));
    eprintln!("  Streams      ws://{public}/ws/{}", app.example_stream());
    eprintln!("  REST         http://{public}/api/v3/depth?symbol={}&limit=5", app.example_symbol());
    eprintln!("  Page         http://{public}/");
    eprintln!("  Metrics      http://{ops}/metrics");
    eprintln!("  Stop it with Ctrl-C.");
    eprintln!();
}
