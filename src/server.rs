//! The doors: accept, upgrade, REST, ops endpoints.

mod decimal;
mod rest;

pub use rest::{Answer, Ask, Refusal, Rest};
