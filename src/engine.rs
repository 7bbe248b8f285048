//! One partition of instruments: decode, apply, derive, publish.
