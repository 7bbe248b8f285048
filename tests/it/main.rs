//! All integration tests in one binary: linked once, run side by side.
#![allow(missing_docs, reason = "tests")]

mod against_exchange;
mod answers;
mod books;
mod captures;
mod client;
mod command_line;
mod conformance;
mod derived;
mod doors;
mod engine;
mod engine_socket;
mod fanout;
mod house;
mod intake;
mod kraken;
mod kraken_books;
mod life;
mod load;
mod ops;
mod oracle;
mod process;
mod recorded_sessions;
mod recording;
mod replay;
mod rest;
mod sbe;
mod sim;
mod soak;
mod storm;
mod tidy;
mod tls;
mod tools;
mod venue_captures;
mod venue_client;
mod ws_api;
