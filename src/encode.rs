//! Typed update to wire bytes, and the WebSocket frame around them.
//!
//! `json` makes the body, once per update and time unit; `sbe` makes the binary messages; `frame` puts a header and, for
//! combined sessions, the wrapper with the stream's name around it. All append to a buffer of the caller and allocate nothing of their own.

mod digits;
pub mod frame;
pub mod json;
pub mod sbe;

pub use digits::{decimal, decimal_wide, integer};
