//! Tickcast: exchange feeds in once, Binance Spot wire format out to thousands of WebSocket subscribers.
//!
//! This page is the table of contents, in the order in which an update flows. `ARCHITECTURE.md` draws it,
//! and `tests/it/tidy.rs` holds every room to the neighbours it may name.

// The vocabulary.

// The trade's words as types: prices, levels, instruments, and what a venue can tell us.
pub mod market;

// The contract between the halves: topics, the updates published on them, stream names, interest.
pub mod topic;

// The one place that reads time.
pub mod clock;

// Metric names, help texts and handles.
pub mod metrics;

// File, environment and flags, merged into one checked, typed configuration.
pub mod config;

// Single-writer broadcast ring of batches that never waits for a reader.
pub mod ring;

// Raw venue frames with receive times on disk: written, read again, and the foreign formats we understand.
pub mod recording;

// Once per update: everything above the ring.

// One file per exchange: bytes in, events out, and what to ask it; no I/O, no clock.
pub mod venue;

// Decimal text to scaled integers, JSON tokens, venue spelling to instruments, reasons of refusal.
pub mod normalise;

// All I/O towards venues: connect, subscribe, watch, reconnect, fetch, record.
pub mod intake;

// Price ladders with stamped levels, snapshot and diff joining, checksums.
pub mod book;

// Book and event to the values that are published, each at its cadence.
pub mod derive;

// One partition of instruments: decode, apply, derive, publish.
pub mod engine;

// Beside the ring.

// Mirror of books and last values, one more ring reader; REST reads it.
pub mod views;

// History: closed candles and recent trades, on disk or in memory, one more ring reader.
pub mod store;

// Once per subscriber: everything below the ring.

// Typed update to wire bytes, and the WebSocket frame around them.
pub mod encode;

// The client protocol without I/O: text in, command and reply out, limits, close reasons.
pub mod session;

// One thread's sockets: subscription tables, the arena of a pass, outboxes, one write per session.
pub mod shard;

// The doors: accept, upgrade, REST, ops endpoints.
pub mod server;

// Around it.

// A seeded exchange and a replayed one that speak a venue's protocol over loopback sockets.
pub mod sim;

// A load generator: clients in numbers, and the report.
pub mod load;

// Builds and joins everything, one stage a line; signals and drain.
pub mod app;

// What the user typed, and what is run for it.
pub mod cli;
