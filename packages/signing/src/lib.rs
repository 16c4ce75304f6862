//! Signatures over raw bytes: SP1 and Standard Webhooks (contract section 4), for whoever checks one and
//! whoever makes one.
//!
//! A server goes through it in this order: [`SignedHeaders::parse`] (grammar), [`SignedRequest::new`] (hashes
//! the body once), [`KeyRing::verify`] (constant time; [`KeyRing::dummy`] where the key is unknown), and only
//! then [`is_fresh`], so that nobody without a key can probe the clock. A sender calls [`sign_sp1`] or
//! [`sign_standard_webhooks`].
//!
//! A browser signs with a session key ([`SessionKeyId`]), whose ring [`KeyRing::session`] makes of its parent's.
//!
//! Administrators' tokens and login codes are made here too ([`sign_admin_token`]).
//!
//! It knows no HTTP library, no clock, no tenant, and never looks inside a body.

mod admin_token;
mod freshness;
mod headers;
mod key;
mod request;
mod session_key;
mod sign;

pub use admin_token::{
    ADMIN_AUDIENCE, AdminSubject, LOGIN_AUDIENCE, LOGIN_CODE_SECONDS, sign_admin_token, sign_login_code,
};
pub use freshness::{FRESH_SECONDS, is_fresh};
pub use headers::{
    HEADERS, MalformedHeader, Scheme, SignedHeaders, TAGS_MAX, WEBHOOK_ID, WEBHOOK_SIGNATURE,
    WEBHOOK_TIMESTAMP, X_KEY, X_NONCE, X_SIG, X_TS,
};
pub use key::{Key, KeyRing, SECRET_BYTES_MIN, WeakSecret};
pub use request::SignedRequest;
pub use session_key::{SESSION_PARENT_MAX, SESSION_SECONDS_MAX, SessionKeyId, SessionScopes};
pub use sign::{Signature, sign_sp1, sign_standard_webhooks};
