//! A real server on a port of its own, asked politely with reqwest and rudely with bare sockets.
#![expect(clippy::unwrap_used, reason = "a test that fails, fails")]

mod bodies;
mod draining;
mod framing;
mod observing;
mod openapi;
mod probes;
mod problems;
mod server;
mod signals;
