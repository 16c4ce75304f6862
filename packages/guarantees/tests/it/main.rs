//! One binary for all of them: it links once.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that fails, fails; one that is skipped says so where its reader looks"
)]

mod compose;
mod container_start;
mod dashboards;
mod documents;
mod doors;
mod drills;
mod durability;
mod flood;
mod framing;
mod fuzzed;
mod hostile_text;
mod images;
mod linters;
mod malformed;
mod metrics_proxy;
mod overload;
mod planted;
mod pooler;
mod production;
mod published;
mod replica;
mod rest_over_tls;
mod rotation;
mod rules;
mod secrets;
mod smoke;
mod statements;
mod supply_chain;
mod traces;
