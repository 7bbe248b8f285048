//! Book and event to the values that are published, each at its cadence.
//!
//! Everything here is one instrument's, without I/O or clock: the engine brings events, the time and the batch to fill.

mod average;
mod best;
mod candles;
mod depth;
mod moment;
mod seconds;
mod statistics;
mod trades;

pub use average::Average;
pub use best::BestGate;
pub use candles::{Candles, Edition, Since, Told, longer, number};
pub use depth::{Demand, DepthCadence, Tick};
pub use moment::{Due, Moment};
pub use seconds::Seconds;
pub use statistics::{Around, Statistics, is_other_day, is_other_rolling};
pub use trades::{Identified, Offer, TradeGate};
