//! Book and event to the values that are published, each at its cadence.
//!
//! Everything here is one instrument's, without I/O or clock: the engine brings events, the time and the batch to fill.

mod best;
mod depth;
mod trades;

pub use best::BestGate;
pub use depth::{Demand, DepthCadence, Tick};
pub use trades::{Identified, Offer, TradeGate};
