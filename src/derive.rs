//! Book and event to the values that are published, each at its cadence.
