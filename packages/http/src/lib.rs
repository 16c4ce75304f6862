//! actix, worn once: what every service would otherwise do in its own way.
//!
//! A service gives [`Server::bind`] its routes and gets a server that answers `/health`, `/ready`,
//! `/metrics` and `/openapi.json`, gives every request an id, answers every error as a problem document,
//! observes every request by its route template, and drains on SIGTERM. Handlers read a request with the
//! functions here ([`read_body`], [`parse_json`], [`parse_query`], [`bearer_token`]), which fail with a
//! [`Fault`](seatpilot_domain_model::Fault), and answer with an [`Answer`] or a [`Problem`].
//!
//! What administrators reach stands behind [`admin`]'s guard.
//!
//! The only crate that names a status code. It knows nothing of the database: the store and this crate meet
//! in `Fault` and in [`Readiness`](seatpilot_runtime::Readiness).

pub mod admin;
mod answer;
mod body;
mod connection;
mod credential;
mod cross_origin;
mod download;
mod edge;
mod in_flight;
mod json;
pub mod openapi;
mod probes;
mod problem;
mod query;
mod rate;
mod request;
mod routes;
mod server;
mod slow;

pub use answer::{Answer, Success};
pub use body::{BODY_DEADLINE, read_body};
pub use credential::{bearer_token, idempotency_key, only_origin, single_header};
pub use download::Download;
pub use in_flight::{InFlight, Permit};
pub use json::{parse_json, parse_json_items};
pub use probes::{Probes, health};
pub use problem::{PROBLEM_JSON, Problem};
pub use query::parse_query;
pub use rate::{KEYS_MAX, RateLimiter, RatePolicy, WindowLimiter};
pub use request::{RequestContext, RequestId, note_caller};
pub use routes::{Access, GuardedRoutes, RouteEntry, Routes};
pub use server::{BindError, ServeOptions, Server};
