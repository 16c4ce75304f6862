//! Who sent a request, from its raw bytes: key, tag, time, scope, rate, in this order. Nothing of a body is parsed
//! here.

use actix_web::HttpRequest;
use seatpilot_domain_model::{Bounds, CountedOnly, Fault, FaultCode, KeyScope, Nonce, TenantId};
use seatpilot_http::{Problem, note_caller, only_origin};
use seatpilot_signing::{MalformedHeader, SignedHeaders, SignedRequest, is_fresh};
use seatpilot_store::keys::Signer;
use uuid::Uuid;

use crate::state::State;

/// A sender whose tag verified, and what it used its nonce for.
pub(crate) struct Sender {
    pub(crate) tenant: TenantId,
    pub(crate) nonce: Nonce,
    /// The one session that it may speak of, where its key is one of a session.
    session: Option<Uuid>,
}

impl Sender {
    /// What its events may say of it.
    pub(crate) fn bounds(&self) -> Bounds<'_> {
        Bounds { tenant: &self.tenant, session: self.session }
    }
}

/// Reads the signed headers of a request without a query.
///
/// # Errors
/// `malformed_header`.
pub(crate) fn signed_headers(state: &State, request: &HttpRequest) -> Result<SignedHeaders, Problem> {
    let malformed = |detail: String| {
        state.refuse(None, CountedOnly::MalformedHeader);
        Problem::from(Fault::new(FaultCode::MalformedHeader, detail))
    };
    // Neither scheme signs a query: one that is there could be anything.
    if request.uri().query().is_some() {
        return Err(malformed("The request must have no query string.".to_owned()));
    }
    let values =
        |name: &'static str| request.headers().get_all(name).map(|value| value.as_bytes().trim_ascii());
    SignedHeaders::parse(values).map_err(|error: MalformedHeader| malformed(format!("{}.", sentence(&error))))
}

fn sentence(error: &MalformedHeader) -> String {
    let mut text = error.to_string();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

/// Finds out who signed a body: key, tag, time.
///
/// # Errors
/// `unauthorized`, the same whatever the reason; the store's, where a key has to be looked up and cannot be.
pub(crate) async fn identify(
    state: &State,
    request: &HttpRequest,
    headers: &SignedHeaders,
    signed: &SignedRequest<'_>,
) -> Result<Signer, Problem> {
    let now = state.clock.now();
    let origin = only_origin(request);
    let verified = state.keys.verify(headers.key_id(), origin, signed, now).await.map_err(Fault::from)?;
    let signer = verified.map_err(|reason| unauthorized(state, None, reason))?;
    state.meet(signer.tenant());
    note_caller(request, signer.tenant(), signer.key_id());
    if !is_fresh(now.as_second(), headers.ts()) {
        return Err(unauthorized(state, Some(signer.tenant()), CountedOnly::Stale));
    }
    Ok(signer)
}

/// Finds out who sent a body of events, and whether they may.
///
/// # Errors
/// As [`identify`]; `forbidden`, `rate_limited`.
pub(crate) async fn authenticate(
    state: &State,
    request: &HttpRequest,
    headers: &SignedHeaders,
    body: &[u8],
) -> Result<Sender, Problem> {
    let signed = SignedRequest::new(request.method().as_str(), request.uri().path(), headers, body);
    let signer = identify(state, request, headers, &signed).await?;
    if !signer.may(KeyScope::Ingest) {
        return Err(Fault::new(FaultCode::Forbidden, "The key may not send events.").into());
    }
    state.check_rate(&signer)?;
    Ok(Sender {
        tenant: signer.tenant().clone(),
        session: signer.session(),
        nonce: Nonce {
            key_id: signer.key_id().to_owned(),
            ts: headers.ts(),
            nonce: headers.nonce().to_owned(),
            body_sha256: *signed.body_sha256(),
        },
    })
}

/// One and the same answer; the reason is in the metrics and in the log only.
pub(crate) fn unauthorized(state: &State, tenant: Option<&TenantId>, reason: CountedOnly) -> Problem {
    state.refuse(tenant, reason);
    tracing::info!(reason = reason.as_str(), tenant = tenant.map(TenantId::as_str), "signature refused");
    Fault::unauthorized().into()
}
