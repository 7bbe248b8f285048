//! One thread's sockets: subscription tables, the arena of a pass, outboxes, one write per session.
