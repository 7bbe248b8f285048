//! The client protocol without I/O: text in, command and reply out, limits, close reasons.
