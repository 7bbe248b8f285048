//! Typed update to wire bytes, and the WebSocket frame around them.
