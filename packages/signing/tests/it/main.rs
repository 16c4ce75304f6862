//! The signing crate as its callers see it: published vectors, header grammar, forgeries.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails, fails")]

mod corpus;
mod forgery;
mod grammar;
mod secrecy;
mod session_keys;
mod timing;
mod vectors;
mod wire;
