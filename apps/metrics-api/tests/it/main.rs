//! metrics-api as its senders and Prometheus see it: the real server, on a free port.
#![expect(clippy::unwrap_used, reason = "a test that fails, fails")]

mod database;
mod door;
mod openapi;
mod probes;
mod refusals;
mod running;
