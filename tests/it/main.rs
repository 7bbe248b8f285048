//! All integration tests in one binary: linked once, run side by side.
#![allow(missing_docs, reason = "tests")]

mod answers;
mod doors;
mod house;
mod rest;
mod books;
mod client;
mod command_line;
mod engine;
mod intake;
mod kraken_books;
mod oracle;
mod process;
mod tidy;
mod venue_captures;
