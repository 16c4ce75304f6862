//! Tokens of role, HS256: signed as Supabase's legacy keys are, and verified as PostgREST verifies.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// Of this stand-in only.
const SECRET: &[u8] = b"a secret of thirty-two bytes, that is only of tests";

/// A token that lasts for an hour.
pub(super) fn of_role(role: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let expires = now() + 3_600;
    let head = part(&json!({ "alg": "HS256", "typ": "JWT" }));
    let claims = part(&json!({ "iss": "supabase", "role": role, "exp": expires }));
    let signed = format!("{head}.{claims}");
    let tag = tag(&signed).finalize().into_bytes();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// The claims of a token, or PostgREST's code and message.
pub(super) fn claims(token: &str) -> Result<Value, (&'static str, String)> {
    let parts: Vec<&str> = token.split('.').collect();
    let [head, claims, tag] = parts[..] else {
        return Err(("PGRST301", format!("Expected 3 parts in JWT; got {}", parts.len())));
    };
    let undecodable = || ("PGRST301", "JWT cryptographic operation failed".to_owned());
    let signature = URL_SAFE_NO_PAD.decode(tag).map_err(|_| undecodable())?;
    self::tag(&format!("{head}.{claims}"))
        .verify_slice(&signature)
        .map_err(|_| ("PGRST301", "No suitable key or wrong key type".to_owned()))?;
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| undecodable())?;
    let claims: Value = serde_json::from_slice(&claims).map_err(|_| undecodable())?;
    if claims["exp"].as_i64().is_some_and(|exp| exp + 30 < now()) {
        return Err(("PGRST303", "JWT expired".to_owned()));
    }
    Ok(claims)
}

fn tag(text: &str) -> Hmac<Sha256> {
    let mut tag = Hmac::<Sha256>::new_from_slice(SECRET).expect("any length will do");
    tag.update(text.as_bytes());
    tag
}

fn now() -> i64 {
    seatpilot_runtime::Clock::system().now().as_second()
}
