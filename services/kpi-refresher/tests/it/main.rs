//! The KPIs on a real Postgres, and the service that keeps them fresh.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails, fails")]

mod bites;
mod broken;
mod clusters;
mod cost;
mod evening;
mod in_flight;
mod openapi;
mod order;
mod quantiles;
mod retention;
mod service;
mod tenancy;
