//! All integration tests in one binary: linked once, run side by side.
#![allow(missing_docs, reason = "tests")]

mod captures;
mod client;
mod recording;
mod replay;
mod sim;
mod tidy;
