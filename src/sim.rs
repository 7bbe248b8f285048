//! A seeded exchange and a replayed one that speak a venue's protocol over loopback sockets.
