//! The store against a real Postgres: what it promises its callers, seen from the outside and in the rows.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails, fails")]

mod access;
mod arrivals;
mod audit;
mod backlogs;
mod bills;
mod check_ins;
mod claims;
mod contact;
mod dead_letters;
mod distribution;
mod evening;
mod event_bodies;
mod events;
mod grants;
mod lint;
mod metering;
mod migrations;
mod pg_cron;
mod pgtap;
mod plans;
mod retention;
mod signing_keys;
mod stores;
mod supabase_cli;
mod tenancy;
mod traces;
mod versions;
mod waits;
