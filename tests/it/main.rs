//! All integration tests in one binary: linked once, run side by side.
#![allow(missing_docs, reason = "tests")]

mod answers;
mod books;
mod client;
mod command_line;
mod doors;
mod engine;
mod house;
mod intake;
mod kraken_books;
mod oracle;
mod process;
mod rest;
mod tidy;
mod venue_captures;
