//! The door of `/admin`: who gets in, by which token, and what keeps others from acting in their name.
//!
//! A route under `/admin` is made with [`Routes::guarded`](crate::Routes::guarded), which takes the
//! [`AdminAction`](seatpilot_domain_model::AdminAction) that the route is. What comes before its handler:
//!
//! 1. without a database: 503 `database_required`, whoever asks;
//! 2. the token, of `Authorization: Bearer` or of the cookie `seatpilot_admin`, by [`token`]: 401;
//! 3. the role, by the table in `domain-model`: 403;
//! 4. by cookie and for a change: the request comes from a page of ours ([`origin`]), and carries the token that only
//!    a page of this session knows ([`session`]): 403.
//!
//! The handler takes a [`Session`], which only the guard makes. Reads then go to the database under the session's
//! claims: what the table lets through is still limited to the tenant by row level security.

mod guard;
mod jwks;
mod origin;
mod page;
mod session;
mod token;

pub use guard::{AdminGuard, AdminGuardFault, AdminGuardSettings, Database, OpenedSession};
pub use page::{Page, prefers_html};
pub use session::{COOKIE, CSRF_FIELD, CSRF_HEADER, Session, parse_form};
