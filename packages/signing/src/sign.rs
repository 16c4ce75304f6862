//! The sender's side: headers for a body that is about to leave.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    Key, MalformedHeader, Scheme, SignedHeaders, SignedRequest, WEBHOOK_ID, WEBHOOK_SIGNATURE,
    WEBHOOK_TIMESTAMP, X_KEY, X_NONCE, X_SIG, X_TS,
};

/// The four headers of a signed request, as name and value.
pub type Signature = [(&'static str, String); 4];

/// Signs a request with SP1. `method` in upper case, `path` without a query, `ts` in Unix seconds, `nonce`
/// never used before with this key and second.
///
/// # Errors
/// [`MalformedHeader`] where key, time or nonce is outside its grammar, or method or path is no single line: no
/// server would take it.
pub fn sign_sp1(
    key: &Key,
    method: &str,
    path: &str,
    key_id: &str,
    ts: i64,
    nonce: &str,
    body: &[u8],
) -> Result<Signature, MalformedHeader> {
    let headers = SignedHeaders::unsigned(key_id, ts, nonce, Scheme::Sp1)?;
    let request = SignedRequest::new(method, path, &headers, body);
    if !request.has_own_lines() || path.contains('?') {
        return Err(MalformedHeader::new(X_SIG, "cannot be made for such a method or path"));
    }
    let tag = key.tag(&request);
    Ok([
        (X_KEY, key_id.to_owned()),
        (X_TS, headers.ts_text().to_owned()),
        (X_NONCE, nonce.to_owned()),
        (X_SIG, format!("v1={}", hex::encode(tag))),
    ])
}

/// Signs a body by Standard Webhooks. `id` is the nonce, `ts` is in Unix seconds.
///
/// # Errors
/// [`MalformedHeader`] where key, time or id is outside its grammar.
pub fn sign_standard_webhooks(
    key: &Key,
    key_id: &str,
    id: &str,
    ts: i64,
    body: &[u8],
) -> Result<Signature, MalformedHeader> {
    let headers = SignedHeaders::unsigned(key_id, ts, id, Scheme::StandardWebhooks)?;
    // Neither method nor path is in this scheme's signed string.
    let tag = key.tag(&SignedRequest::new("POST", "/", &headers, body));
    Ok([
        (X_KEY, key_id.to_owned()),
        (WEBHOOK_ID, id.to_owned()),
        (WEBHOOK_TIMESTAMP, headers.ts_text().to_owned()),
        (WEBHOOK_SIGNATURE, format!("v1,{}", STANDARD.encode(tag))),
    ])
}
