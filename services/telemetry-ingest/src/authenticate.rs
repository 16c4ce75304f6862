//! Who sent a request, from its raw bytes: key, tag, time, scope, rate, in this order. Nothing of a body is parsed
//! here.

use actix_web::HttpRequest;
use seatpilot_domain_model::{CountedOnly, Fault, FaultCode, KeyScope, Nonce, TenantId};
use seatpilot_http::{Problem, note_caller};
use seatpilot_signing::{MalformedHeader, SignedHeaders, SignedRequest, is_fresh};

use crate::state::State;

/// A sender whose tag verified, and what it used its nonce for.
pub(crate) struct Sender {
    pub(crate) tenant: TenantId,
    pub(crate) nonce: Nonce,
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

/// Finds out who sent a body.
///
/// # Errors
/// `unauthorized`, the same whatever the reason; `forbidden`, `rate_limited`; the store's, where a key has to be
/// looked up and cannot be.
pub(crate) async fn authenticate(
    state: &State,
    request: &HttpRequest,
    headers: &SignedHeaders,
    body: &[u8],
) -> Result<Sender, Problem> {
    let now = state.clock.now();
    let signed = SignedRequest::new(request.method().as_str(), request.uri().path(), headers, body);
    let verified = state.keys.verify(headers.key_id(), &signed, now).await.map_err(Fault::from)?;
    let key = verified.map_err(|reason| unauthorized(state, None, reason))?;
    state.meet(&key.tenant);
    note_caller(request, &key.tenant, &key.key_id);
    if !is_fresh(now.as_second(), headers.ts()) {
        return Err(unauthorized(state, Some(&key.tenant), CountedOnly::Stale));
    }
    if !key.scopes.contains(&KeyScope::Ingest) {
        return Err(Fault::new(FaultCode::Forbidden, "The key may not send events.").into());
    }
    state
        .rates
        .check(&key.key_id)
        .inspect_err(|_| state.refuse(Some(&key.tenant), CountedOnly::RateLimited))?;
    Ok(Sender {
        tenant: key.tenant.clone(),
        nonce: Nonce {
            key_id: key.key_id.clone(),
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
