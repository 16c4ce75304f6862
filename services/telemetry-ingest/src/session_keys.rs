//! `POST /v1/keys/session`: a tenant's server gets a key for the page that it serves.
//!
//! The key is made, not kept: [`SessionKeyId`] says how, [ADR 0010](../../../docs/adr/0010-session-keys.md) why. So minting
//! writes nothing, and the same signed request has the same answer within the second for which it asks.

use std::collections::BTreeSet;

use actix_web::{
    HttpRequest,
    http::header,
    web::{Data, Payload},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use seatpilot_domain_model::{CountedOnly, Fault, FaultCode, KeyScope, WebOrigin, member};
use seatpilot_http::{Answer, Problem, Success, parse_json, read_body};
use seatpilot_signing::{
    SESSION_PARENT_MAX, SESSION_SECONDS_MAX, Scheme, SessionKeyId, SessionScopes, SignedRequest,
};
use seatpilot_store::keys::Signer;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    authenticate::{identify, signed_headers, unauthorized},
    state::State,
};

/// Largest body, in bytes.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// What a page's key is to be good for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionKeyWish {
    /// The one origin whose pages may use the key, as browsers send it in `Origin`: `https`, or `http` on this machine.
    #[schema(value_type = String, example = "https://tickets.example", max_length = 270)]
    origin: WebOrigin,
    /// The one session of which it may speak: an event with another `session_id` is rejected, a ping refused.
    #[serde(deserialize_with = "member::uuid")]
    session_id: Uuid,
    /// `ingest`, `arrive`, or both; nothing that the key which mints may not do itself. Default `ingest`.
    #[serde(default, deserialize_with = "member::present")]
    #[schema(value_type = Option<Vec<String>>, nullable = false, example = json!(["ingest"]))]
    scopes: Option<BTreeSet<KeyScope>>,
    /// How long it is good, from the signed time on: 1 to 900, default 900.
    #[serde(default, deserialize_with = "seconds")]
    #[schema(value_type = Option<u32>, nullable = false, minimum = 1, maximum = 900)]
    expires_in_seconds: Option<u32>,
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    member::whole(deserializer).map(Some)
}

/// A page's key.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionKey {
    /// Goes into `x-key`.
    key_id: String,
    /// 32 bytes in base64; shown here and nowhere else.
    secret: String,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// The same from the answer's moment on, for a page whose clock is off.
    expires_in_seconds: i64,
    origin: String,
    session_id: Uuid,
    #[schema(value_type = Vec<String>)]
    scopes: BTreeSet<KeyScope>,
}

/// Mints a key for a browser.
#[utoipa::path(
    post,
    path = "/v1/keys/session",
    tag = "telemetry",
    operation_id = "post_session_key",
    description = "For a tenant's own server, which hands the answer to the page that it serves; never for a page: there is no CORS here. The key signs `POST /v1/events` and `POST /api/wayfinding/arrive-table` from one origin, for one session, for at most 15 minutes, and ends with the key that minted it.",
    security(("signature" = [])),
    params(
        ("x-key" = String, Header, pattern = "^[A-Za-z0-9_-]{8,64}$", description = "The id of a key of the tenant, of at most 31 characters; no session key."),
        ("x-ts" = String, Header, pattern = "^[0-9]{10}$", description = "SP1: Unix seconds, ten digits, at most 300 s off."),
        ("x-nonce" = String, Header, pattern = "^[A-Za-z0-9_-]{22,64}$", description = "SP1: `[A-Za-z0-9_-]{22,64}`."),
        ("x-sig" = String, Header, pattern = "^v1=[0-9a-f]{64}(,v1=[0-9a-f]{64})?$", description = "SP1: `v1=<64 lower hex>`, once or twice, separated by a comma."),
    ),
    request_body(content = SessionKeyWish, description = "At most 4 KiB."),
    responses(
        (status = 201, body = SessionKey, description = "The key. Never cached."),
        (status = 400, body = ref("#/components/schemas/Problem"), content_type = "application/problem+json", description = "`malformed_header`: a signed header outside its grammar, doubled or missing, of Standard Webhooks, or a query string; `bad_json`."),
        (status = 401, body = ref("#/components/schemas/Problem"), content_type = "application/problem+json", description = "`unauthorized`: unknown or revoked key, bad tag, stale time."),
        (status = 403, body = ref("#/components/schemas/Problem"), content_type = "application/problem+json", description = "`forbidden`: a session key, a key that may not do what is asked for or whose id has over 31 characters, or a request of a page (`Origin`)."),
        (status = 413, body = ref("#/components/schemas/Problem"), content_type = "application/problem+json", description = "`body_too_large`."),
        (status = 422, body = ref("#/components/schemas/Problem"), content_type = "application/problem+json", description = "`schema_violation`, naming the member: an origin that is none or plain `http`, over 900 s."),
        (status = 429, body = ref("#/components/schemas/Problem"), content_type = "application/problem+json", description = "`rate_limited`: over 3,000 keys a minute of one key, with `RateLimit-Policy` and `RateLimit`."),
        (status = 503, body = ref("#/components/schemas/Problem"), content_type = "application/problem+json", description = "`overloaded` or `database_unavailable`."),
    )
)]
pub(crate) async fn post_session_key(
    state: Data<State>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Answer, Problem> {
    let _under_way = state.load.enter(BODY_BYTES_MAX)?;
    let headers = signed_headers(&state, &request)?;
    if headers.scheme() != Scheme::Sp1 {
        // Standard Webhooks sign no path: what was signed for events must not mint.
        state.refuse(None, CountedOnly::MalformedHeader);
        return Err(Fault::new(FaultCode::MalformedHeader, "A session key is minted by SP1 only.").into());
    }
    let body = read_body(&request, payload, BODY_BYTES_MAX).await?;
    let signed = SignedRequest::new(request.method().as_str(), request.uri().path(), &headers, &body);
    let signer = identify(&state, &request, &headers, &signed).await?;
    if signer.session().is_some() {
        return Err(forbidden("A session key mints no other."));
    }
    if request.headers().contains_key(header::ORIGIN) {
        return Err(forbidden("A page must not hold the key that mints: let its server ask."));
    }
    state.check_mint_rate(&signer)?;

    let wish: SessionKeyWish = parse_json(&body)?;
    let (scopes, words) = granted(&signer, wish.scopes)?;
    let asked = i64::from(wish.expires_in_seconds.unwrap_or(SESSION_SECONDS_MAX as u32));
    if !(1..=SESSION_SECONDS_MAX).contains(&asked) {
        let rule = format!("must be 1 to {SESSION_SECONDS_MAX}");
        return Err(Fault::schema("/expires_in_seconds", rule).into());
    }
    let now = state.clock.now();
    // From the signed time on: a captured request that is sent again gets a key that ends when the first does.
    let expires_at = headers.ts().min(now.as_second()).saturating_add(asked);
    if expires_at <= now.as_second() {
        let rule = "must be longer than the signed time is behind the server's";
        return Err(Fault::schema("/expires_in_seconds", rule).into());
    }
    let stored = &signer.stored().key_id;
    let Some(id) = SessionKeyId::new(stored, expires_at, wish.session_id.into_bytes(), scopes) else {
        let detail =
            format!("A key whose id has over {SESSION_PARENT_MAX} characters mints no session keys.");
        return Err(forbidden(detail));
    };
    let secret = state.keys.session_secret(&id, &wish.origin, now).await.map_err(Fault::from)?;
    // It was revoked a moment ago.
    let secret =
        secret.ok_or_else(|| unauthorized(&state, Some(signer.tenant()), CountedOnly::RevokedKey))?;
    let key = SessionKey {
        key_id: id.to_string(),
        secret: STANDARD.encode(secret.expose_secret()),
        expires_at: Timestamp::from_second(expires_at).unwrap_or(now),
        expires_in_seconds: expires_at.saturating_sub(now.as_second()),
        origin: wish.origin.to_string(),
        session_id: wish.session_id,
        scopes: words,
    };
    tracing::info!(tenant = signer.tenant().as_str(), key_id = %id, origin = %wish.origin, "minted a session key");
    Ok(Answer::json(Success::Created, &key))
}

fn forbidden(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Fault::new(FaultCode::Forbidden, detail).into()
}

/// What the key may do, of what its parent may.
fn granted(
    signer: &Signer,
    wanted: Option<BTreeSet<KeyScope>>,
) -> Result<(SessionScopes, BTreeSet<KeyScope>), Problem> {
    let words = wanted.unwrap_or_else(|| BTreeSet::from([KeyScope::Ingest]));
    let scopes = match (words.contains(&KeyScope::Ingest), words.contains(&KeyScope::Arrive)) {
        (true, true) => SessionScopes::IngestAndArrive,
        (true, false) => SessionScopes::Ingest,
        (false, true) => SessionScopes::Arrive,
        (false, false) => return Err(Fault::schema("/scopes", "must have at least one").into()),
    };
    match words.iter().find(|scope| !signer.may(**scope)) {
        Some(scope) => {
            Err(forbidden(format!("The key may not grant {}, which it may not do itself.", scope.as_str())))
        }
        None => Ok((scopes, words)),
    }
}
