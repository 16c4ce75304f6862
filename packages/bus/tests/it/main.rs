//! The bus over a real nats-server.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails, fails")]

mod adversary;
mod desk;
mod example;
mod outage;
mod writers;
