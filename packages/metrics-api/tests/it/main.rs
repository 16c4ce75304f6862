//! The metrics as a scraper sees them.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails, fails")]

mod bounds;
mod first_scrape;
mod observations;
mod reference;
mod refresher;
mod scrape;
mod windows;
