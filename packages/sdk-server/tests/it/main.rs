//! The SDK against servers that fail as a test wants it, and its types against the schemas.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that fails, fails; it may read the time, and tell the test that started it"
)]

mod event_data;
mod outboxes;
mod sending;
mod server;
