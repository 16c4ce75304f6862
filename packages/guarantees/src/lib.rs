//! Dev only: promises that need the whole house, each proved by a test that has been seen to fail.
//!
//! What one crate can prove is tested beside that crate. Here stand the tests that start several of the real
//! binaries and drive them together: the drills of the alerts against the real Prometheus and Alertmanager, the
//! smoke scripts, the dashboards' queries, the proxy. They look for the binaries beside their own folder
//! (`cargo build --workspace` makes them).
