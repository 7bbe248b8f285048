//! The contract between the halves: what can be subscribed to, and what is published on it.
//!
//! Above the ring, [`Update`]s are made; below it, they are encoded. Neither half knows the other.

mod channel;
mod interest;
mod name;
mod update;

pub use channel::{Array, Cadence, Channel, Topic, TopicId, VENUES_MAX, Window};
pub use interest::Interest;
pub use name::{SYMBOL_CHARS_MAX, StreamName};
pub use update::{Batch, BookState, Element, Payload, Update};

/// What market data are made of on a door.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Text frames.
    #[default]
    Json,
    /// Binary frames of Binance's SBE schema 1:0 (binance.md section 9). Control messages stay JSON text.
    Sbe,
}

/// In which unit a client wants its times (`timeUnit`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TimeUnit {
    /// 13 digits.
    #[default]
    Milliseconds,
    /// 16 digits.
    Microseconds,
}
