//! The doors: accept, upgrade, REST, ops endpoints.
