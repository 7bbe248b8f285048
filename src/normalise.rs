//! Decimal text to scaled integers, JSON tokens, venue spelling to instruments, and reasons of refusal.

mod decimal;
mod json;
mod symbols;
mod tape;
mod time;

pub use decimal::{DECIMALS_MAX, nearest, print, signed, unsigned, wide};
pub use json::{DEPTH_MAX, Scanner, TEXT_BYTES_MAX, Text};
pub use symbols::Symbols;
pub use tape::Tape;
pub use time::rfc3339;

use thiserror::Error;

/// Why bytes of a venue were not taken. Each is a metric label: a closed set.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Not the JSON that the venue documents.
    #[error("{}", self.label())]
    Malformed,
    /// A number that the instrument's decimals or 64 bits do not hold exactly.
    #[error("{}", self.label())]
    Number,
    /// An instrument that was not asked for.
    #[error("{}", self.label())]
    UnknownInstrument,
    /// Well-formed, but of a kind that nobody documented.
    #[error("{}", self.label())]
    UnknownMessage,
    /// The venue answered with an error of its own.
    #[error("{}", self.label())]
    VenueError,
}

impl Refusal {
    /// The metric label: what [`Refusal`] prints.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Number => "number",
            Self::UnknownInstrument => "unknown_instrument",
            Self::UnknownMessage => "unknown_message",
            Self::VenueError => "venue_error",
        }
    }
}
