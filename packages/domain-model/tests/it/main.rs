//! The event fixtures, which SDKs share, and the laws of parsing.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that fails, fails")]

mod batches;
mod cloud_events;
mod corpus;
mod fixtures;
mod schemas;

use jiff::Timestamp;
use seatpilot_domain_model::{Item, Shape, TenantId, parse_items};

/// The tenant of the fixtures' reader.
fn tenant() -> TenantId {
    "acme".parse().expect("a tenant")
}

/// The time on the fixtures' reader's clock.
fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().expect("a time")
}

/// What becomes of each item: `accepted` or the reason.
fn verdicts(body: &[u8]) -> (Shape, Vec<&'static str>) {
    let batch = parse_items(body, &tenant(), now()).expect("1 to 500 items");
    let verdict = |item: &Item| match item {
        Item::Event(_) => "accepted",
        Item::DeadLetter(letter) => letter.reason.as_str(),
    };
    (batch.shape, batch.items.iter().map(verdict).collect())
}
