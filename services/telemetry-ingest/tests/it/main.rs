//! The service against a real Postgres, over real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test that fails, fails; it may read the time, and say what it measured or skipped"
)]

mod access;
mod bill_download;
mod billing;
mod browser;
mod bus_behind;
mod captured;
mod clock;
mod cross_origin;
mod dlq;
mod forged;
mod hostile;
mod items;
mod limits;
mod login;
mod openapi;
mod poison;
mod process;
mod quota;
mod replays;
mod sdk_js;
mod sdk_server;
mod sender_libraries;
mod sending_page;
mod service;
mod session_keys;
mod session_rates;
mod signatures;
mod stores;
mod telling;
