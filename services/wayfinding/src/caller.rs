//! Who calls: a device by its bearer token, or a sender whose signature verifies.

use std::sync::Arc;

use actix_web::HttpRequest;
use seatpilot_domain_model::{CountedOnly, Device, Fault, FaultCode, KeyScope, Nonce, TenantId, TokenHash};
use seatpilot_http::{Problem, bearer_token, note_caller, only_origin};
use seatpilot_signing::{HEADERS, SignedHeaders, SignedRequest, is_fresh};
use uuid::Uuid;

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

/// A sender whose tag verified, and what it used its nonce for.
pub(crate) struct Sender {
    pub(crate) tenant: TenantId,
    pub(crate) nonce: Nonce,
    /// The one session for which it may ping, where its key is one of a session.
    session: Option<Uuid>,
}

impl Sender {
    /// # Errors
    /// `forbidden` where the key is of another session.
    pub(crate) fn check_session(&self, session: Uuid) -> Result<(), Fault> {
        if self.session.is_none_or(|own| own == session) {
            return Ok(());
        }
        Err(Fault::new(FaultCode::Forbidden, "The key is one of another session."))
    }
}

/// Verifies a signed request, in the order of contract section 4: key, tag, time, scope, and for a session key its rate.
///
/// # Errors
/// `unauthorized`, the same whatever the reason, `forbidden` for a key that is not scoped `arrive`, and `rate_limited`.
pub(crate) async fn verified(
    state: &State,
    request: &HttpRequest,
    signed: &Signed,
    body: &[u8],
) -> Result<Sender, Problem> {
    let headers = &signed.0;
    let now = state.clock.now();
    let signed = SignedRequest::new(request.method().as_str(), request.uri().path(), headers, body);
    let refused = |reason: CountedOnly| {
        tracing::info!(reason = reason.as_str(), "refused a signed ping");
        Fault::unauthorized()
    };
    let verified = state.keys.verify(headers.key_id(), only_origin(request), &signed, now).await;
    let signer = verified.map_err(Fault::from)?.map_err(refused)?;
    if !is_fresh(now.as_second(), headers.ts()) {
        return Err(refused(CountedOnly::Stale).into());
    }
    note_caller(request, signer.tenant(), signer.key_id());
    if !signer.may(KeyScope::Arrive) {
        return Err(Fault::new(FaultCode::Forbidden, "The key may not send arrivals.").into());
    }
    if let Some(session) = signer.session() {
        state.session_rates.check(&(signer.stored().key_id.clone(), session))?;
    }
    let nonce = Nonce {
        key_id: signer.key_id().to_owned(),
        ts: headers.ts(),
        nonce: headers.nonce().to_owned(),
        body_sha256: *signed.body_sha256(),
    };
    Ok(Sender { tenant: signer.tenant().clone(), session: signer.session(), nonce })
}
