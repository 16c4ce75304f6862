//! Administrators' tokens that are made here: JWTs with HS256 (RFC 7515, 7519), as Supabase makes them with the same
//! secret. Checking one is `http`'s, by another implementation.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

/// The audience of a token that opens `/admin` (contract section 4).
pub const ADMIN_AUDIENCE: &str = "authenticated";
/// The audience of a code that is good for one login and for nothing else.
pub const LOGIN_AUDIENCE: &str = "seatpilot-login";
/// How long a login code is good, in seconds: long enough to walk to the desk, short enough to be worthless in a
/// terminal's history.
pub const LOGIN_CODE_SECONDS: i64 = 600;

/// Whom a token is for.
#[derive(Debug, Clone, Copy)]
pub struct AdminSubject<'a> {
    /// The tenant's id.
    pub tenant: &'a str,
    /// `viewer`, `editor`, `admin` or `owner`.
    pub role: &'a str,
    /// Who: at Supabase the user's id.
    pub subject: &'a str,
}

/// A token for `/admin`, good for so many seconds from `now` (Unix seconds).
pub fn sign_admin_token(secret: &[u8], who: AdminSubject<'_>, now: i64, seconds: i64) -> String {
    sign(secret, &claims(who, ADMIN_AUDIENCE, now, seconds))
}

/// A code that a login link carries. `id` makes it one of its kind: it is remembered when it is used.
pub fn sign_login_code(secret: &[u8], who: AdminSubject<'_>, id: &str, now: i64) -> String {
    let mut claims = claims(who, LOGIN_AUDIENCE, now, LOGIN_CODE_SECONDS);
    claims["jti"] = id.into();
    sign(secret, &claims)
}

fn claims(who: AdminSubject<'_>, audience: &str, now: i64, seconds: i64) -> Value {
    json!({
        "aud": audience,
        "role": "authenticated",
        "sub": who.subject,
        "iat": now,
        "exp": now.saturating_add(seconds),
        "app_metadata": { "tenant_id": who.tenant, "seatpilot_role": who.role },
    })
}

fn sign(secret: &[u8], claims: &Value) -> String {
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    // A key of any length is taken (RFC 2104): the error has no occasion.
    let tag: [u8; 32] = Hmac::<Sha256>::new_from_slice(secret)
        .map_or([0; 32], |mac| mac.chain_update(signed.as_bytes()).finalize().into_bytes().into());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}
