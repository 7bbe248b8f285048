//! All integration tests in one binary: linked once, run side by side.
#![allow(missing_docs, reason = "tests")]

mod answers;
mod doors;
mod house;
mod rest;
mod books;
mod client;
mod engine;
mod kraken_books;
mod intake;
mod oracle;
mod tidy;
mod venue_captures;
