//! Dev only: promises that need the whole house, each proved by a test that has been seen to fail.
//!
//! What one crate can prove is tested beside that crate. Here stand the tests that start several of the real
//! binaries and drive them together: the drills of the alerts against the real Prometheus and Alertmanager, the
//! smoke scripts, the dashboards' queries, the proxy. They look for the binaries beside their own folder
//! (`cargo build --workspace` makes them).
//!
//! What those tests stand on is this library:
//!
//! - [`LiveStack`] is the house on an evening's database: five services, Prometheus, Alertmanager and a
//!   [`Receiver`] of its notifications, all on free ports, all gone with the value. Prometheus and Alertmanager run
//!   what is shipped in `prometheus/`, at the [`Pace`] that is asked for.
//! - [`Process`] is one service alone; [`Persistent`] clients use it under any fault, and note what they know.
//! - [`Load`] is sent by the clock and not by the answers; [`Gate`] sends it, [`Vitals`] say what it costs.
//! - [`Collector`] takes traces as OpenTelemetry's does, and can misbehave.
//! - [`Prometheus`] answers queries, [`Guests`] and [`Sender`] use the doors as guests and senders do, [`Wire`] is
//!   the line between a service and its database, to be slowed and cut.
//!
//! ```no_run
//! # async fn example() {
//! use seatpilot_guarantees::{LiveStack, Pace, monitoring};
//!
//! let Some(tools) = monitoring() else { return }; // says why on standard error
//! let stack = LiveStack::start(tools, Pace::Fast, 100).await;
//! let traffic = stack.light_traffic(); // real requests until it is dropped
//! let series = stack.prometheus.query("sum by (job) (up)").await.unwrap();
//! # drop((traffic, series));
//! # }
//! ```
//!
//! It may panic: a test that cannot have its house has failed.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "only tests use this: what goes wrong here is a failed test, said where it is called"
)]

mod alertmanager;
mod collector;
mod gate;
mod guests;
mod live_stack;
mod load;
mod metrics_proxy;
mod node_exporter;
mod pace;
mod persistent;
mod prometheus;
mod receiver;
mod sender;
mod shipped;
mod supabase;
mod tls_front;
mod tools;
mod vitals;
mod wiring;

pub use alertmanager::Alertmanager;
pub use collector::{Behaviour, Collector, Post, Span};
pub use gate::Gate;
pub use guests::{Guests, Traffic};
pub use live_stack::{JWT_SECRET, LiveStack, METRICS_KEY, Process, Service};
pub use load::{Load, Shot};
pub use metrics_proxy::{MetricsProxy, ProxyOptions, nginx};
pub use node_exporter::NodeExporter;
pub use pace::Pace;
pub use persistent::{Again, Client, Crowd, Persistent, Request};
pub use prometheus::{ActiveAlert, Prometheus, Sample};
pub use receiver::{Notified, Receiver};
pub use seatpilot_testkit::{Way, Wire};
pub use sender::Sender;
pub use shipped::{Shipped, root};
pub use supabase::Supabase;
pub use tls_front::TlsFront;
pub use tools::{Tools, monitoring};
pub use vitals::Vitals;
