//! A real server on a port of its own, asked politely with reqwest and rudely with bare sockets.
#![expect(clippy::unwrap_used, reason = "a test that fails, fails")]

mod admin_guard;
mod admin_keys;
mod bodies;
mod draining;
mod framing;
mod issuer;
mod observing;
mod openapi;
mod probes;
mod problems;
mod server;
mod signals;
