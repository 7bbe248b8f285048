//! All I/O towards venues. Frames go up to the engine in batches, requests come back from it.

mod message;

pub use message::{ConnectionId, Frame, Inbound, Request};
