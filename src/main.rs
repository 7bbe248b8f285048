//! The `tickcast` program: reads what the user typed and does it. Everything else lives in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    tickcast::cli::run()
}
