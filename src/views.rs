//! Mirror of books and last values, one more ring reader; REST reads it.
