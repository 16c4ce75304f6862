//! Who calls: a device by its bearer token, or a sender whose signature verifies.

use std::sync::Arc;

use actix_web::HttpRequest;
use seatpilot_domain_model::{CountedOnly, Device, Fault, FaultCode, KeyScope, Nonce, TenantId, TokenHash};
use seatpilot_http::{bearer_token, note_caller};
use seatpilot_signing::{HEADERS, SignedHeaders, SignedRequest, is_fresh};

use crate::state::State;

/// The device of the request's bearer token.
///
/// # Errors
/// `unauthorized` where there is none, or it is unknown or revoked.
pub(crate) async fn device(state: &State, request: &HttpRequest) -> Result<Arc<Device>, Fault> {
    let token = bearer_token(request)?.ok_or_else(Fault::unauthorized)?;
    let hash = TokenHash::of(token.expose_secret().as_bytes());
    let device = state.store.device(hash).await?.ok_or_else(Fault::unauthorized)?;
    note_caller(request, &device.tenant, device.id);
    Ok(device)
}

/// A request that says it is signed.
pub(crate) struct Signed(SignedHeaders);

/// Whether a request is signed: none of the headers is there, or all of one scheme are, each once.
///
/// # Errors
/// `malformed_header` for anything between, and for a query string, which no scheme signs.
pub(crate) fn signed(request: &HttpRequest) -> Result<Option<Signed>, Fault> {
    if HEADERS.iter().all(|name| !request.headers().contains_key(*name)) {
        return Ok(None);
    }
    if request.uri().query().is_some() {
        return Err(Fault::new(FaultCode::MalformedHeader, "A signed request has no query string."));
    }
    let values =
        |name: &'static str| request.headers().get_all(name).map(|value| value.as_bytes().trim_ascii());
    let headers = SignedHeaders::parse(values).map_err(|error| {
        Fault::new(FaultCode::MalformedHeader, format!("A signed header is wrong: {error}."))
    })?;
    Ok(Some(Signed(headers)))
}

/// Verifies a signed request, in the order of contract section 4: key, tag, time, scope.
///
/// # Errors
/// `unauthorized`, the same whatever the reason, and `forbidden` for a key that is not scoped `arrive`.
pub(crate) async fn verified(
    state: &State,
    request: &HttpRequest,
    signed: &Signed,
    body: &[u8],
) -> Result<(TenantId, Nonce), Fault> {
    let headers = &signed.0;
    let now = state.clock.now();
    let signed = SignedRequest::new(request.method().as_str(), request.uri().path(), headers, body);
    let refused = |reason: CountedOnly| {
        tracing::info!(reason = reason.as_str(), "refused a signed ping");
        Fault::unauthorized()
    };
    let key = state.keys.verify(headers.key_id(), &signed, now).await?.map_err(refused)?;
    if !is_fresh(now.as_second(), headers.ts()) {
        return Err(refused(CountedOnly::Stale));
    }
    note_caller(request, &key.tenant, &key.key_id);
    if !key.scopes.contains(&KeyScope::Arrive) {
        return Err(Fault::new(FaultCode::Forbidden, "The key may not send arrivals."));
    }
    let nonce = Nonce {
        key_id: key.key_id.clone(),
        ts: headers.ts(),
        nonce: headers.nonce().to_owned(),
        body_sha256: *signed.body_sha256(),
    };
    Ok((key.tenant.clone(), nonce))
}
