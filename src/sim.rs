//! A seeded exchange and a replayed one that speak a venue's protocol over loopback sockets.
//!
//! [`start`] runs the simulated one: it is the embedded default of `tickcast serve`, and with [`Faults`] the adversary in
//! tests. It speaks every stream and REST path of market data, has two years of history from its first moment on, and sums
//! its candles and statistics in its own way: what the program derives is held against it. Both sit behind the real connector: nothing in the program knows that the other side is no venue.

mod bar;
mod channel;
mod control;
mod decimal;
mod door;
mod exchange;
mod faults;
mod floor;
mod frame;
mod market;
pub mod replay;
mod rest;
mod symbols;
mod timeframe;

pub use exchange::{Counters, Running, Settings, start};
pub use faults::{Fault, Faults};
