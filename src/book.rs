//! Price ladders with stamped levels, snapshot and diff joining, checksums.
