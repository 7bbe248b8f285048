//! All integration tests in one binary: linked once, run side by side.
#![allow(missing_docs, reason = "tests")]

mod client;
mod sim;
mod tidy;
