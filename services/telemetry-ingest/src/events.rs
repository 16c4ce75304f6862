//! `POST /v1/events`: from a request to its receipts.

use actix_web::{
    HttpRequest,
    http::header,
    web::{Data, Payload},
};
use seatpilot_domain_model::{
    CountedOnly, Fault, FaultCode, Item, Outcome, Receipt, RejectReason, Shape, Submission, SubmitAnswer,
    TenantId, parse_items,
};
use seatpilot_http::{Answer, Problem, RequestContext, Success, read_body};

use crate::{
    authenticate::{Sender, authenticate, signed_headers, unauthorized},
    quota,
    receipts::Receipts,
    state::State,
};

/// Largest body.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// Stores signed events.
#[utoipa::path(
    post,
    path = "/v1/events",
    tag = "telemetry",
    operation_id = "post_events",
    security(("signature" = [])),
    params(
        ("origin" = Option<String>, Header, description = "Set by browsers. With a session key it must be the origin that the key was minted for."),
        ("x-key" = String, Header, description = "The key's id, `[A-Za-z0-9_-]{8,64}`."),
        ("x-ts" = Option<String>, Header, description = "SP1: Unix seconds, ten digits, at most 300 s off."),
        ("x-nonce" = Option<String>, Header, description = "SP1: `[A-Za-z0-9_-]{22,64}`, used once for its key and second."),
        ("x-sig" = Option<String>, Header, description = "SP1: `v1=<64 lower hex>`, once or twice, separated by a comma."),
        ("webhook-id" = Option<String>, Header, description = "Standard Webhooks, instead of the three: `[A-Za-z0-9_-]{8,64}`."),
        ("webhook-timestamp" = Option<String>, Header, description = "Standard Webhooks: Unix seconds."),
        ("webhook-signature" = Option<String>, Header, description = "Standard Webhooks: `v1,<base64>`, separated by spaces."),
    ),
    request_body(
        content = crate::openapi::Events,
        description = "One event, or an array of 1 to 500; at most 256 KiB, an event at most 32 KiB. An event with a `specversion` is read as CloudEvents 1.0 in JSON: `time`, `venueid`, `sessionid`, `channel` and `tenantid` are the members of an event here; `application/cloudevents+json` and `application/cloudevents-batch+json` are taken, and not looked at, since they are not signed."
    ),
    responses(
        (
            status = 202, body = Receipts,
            description = "Committed: every item with what became of it, in the order sent. An array is answered so even if all of it was rejected.",
            headers(("Idempotent-Replayed" = Option<String>, description = "`true` where the same signed request was answered before: this is the first outcome."))
        ),
        (status = 400, body = ref("#/components/schemas/Problem"), content_type = "application/problem+json", description = "`malformed_header`: a signed header outside its grammar, doubled or missing, or a query string."),
        (status = 401, body = ref("#/components/schemas/Problem"), content_type = "application/problem+json", description = "`unauthorized`: unknown or revoked key, bad tag, stale time; of a session key also another origin than its own, or none, and its end."),
        (status = 403, body = ref("#/components/schemas/Problem"), content_type = "application/problem+json", description = "`forbidden`: the key may not send events."),
        (status = 409, body = ref("#/components/schemas/Problem"), content_type = "application/problem+json", description = "`nonce_reused`: the nonce was used for another body."),
        (status = 413, body = ref("#/components/schemas/Problem"), content_type = "application/problem+json", description = "`body_too_large`."),
        (status = 415, body = ref("#/components/schemas/Problem"), content_type = "application/problem+json", description = "`unsupported_encoding`."),
        (
            status = 422, body = crate::openapi::Refused, content_type = "application/problem+json",
            description = "The one event was rejected and kept in the dead-letter queue (`code` is the reason), or the body is an array of none or of more than 500 (`schema_violation`, nothing stored)."
        ),
        (status = 429, body = ref("#/components/schemas/Problem"), content_type = "application/problem+json", description = "`rate_limited`, with `RateLimit-Policy` and `RateLimit`."),
        (status = 503, body = ref("#/components/schemas/Problem"), content_type = "application/problem+json", description = "`overloaded` or `database_unavailable`: not stored, or not known whether; send the same bytes again."),
    )
)]
pub(crate) async fn post_events(
    state: Data<State>,
    context: RequestContext,
    request: HttpRequest,
    payload: Payload,
) -> Result<Answer, Problem> {
    let counted = |fault: Fault| {
        match fault.code() {
            FaultCode::Overloaded => state.refuse(None, CountedOnly::Overloaded),
            FaultCode::BodyTooLarge => state.refuse(None, CountedOnly::BodyTooLarge),
            _ => {}
        }
        Problem::from(fault)
    };
    let _under_way = state.load.enter(announced_bytes(&request)).map_err(counted)?;
    let headers = signed_headers(&state, &request)?;
    let body = read_body(&request, payload, BODY_BYTES_MAX).await.map_err(counted)?;
    let sender = authenticate(&state, &request, &headers, &body).await?;

    let received_at = state.clock.now();
    let batch = match parse_items(&body, sender.bounds(), received_at) {
        Ok(batch) => batch,
        Err(fault) => return Err(unless_nonce_used(&state, &sender, fault).await),
    };
    let (items, mut allowed) = quota::allow(&state.store, &sender.tenant, batch.items);
    let only = Only::of(&items, batch.shape);
    let submission = Submission {
        tenant: sender.tenant.clone(),
        nonce: sender.nonce,
        request_id: context.id.as_str().to_owned(),
        received_at,
        items,
    };
    match state.submit(submission, context.trace).await {
        Ok(SubmitAnswer::Stored(receipts)) => {
            state.count(&sender.tenant, &receipts);
            allowed.used_by(&receipts);
            only.answer(&receipts)
        }
        Ok(SubmitAnswer::Replayed(receipts)) => {
            only.answer(&receipts).map(Answer::replayed).map_err(Problem::replayed)
        }
        Ok(SubmitAnswer::NonceReused) => Err(nonce_reused(&state, &sender.tenant)),
        // By this process' clock it was fresh, by what the database remembers it is not.
        Err(error) if error.is_forgotten_time() => {
            Err(unauthorized(&state, Some(&sender.tenant), CountedOnly::Stale))
        }
        Err(error) => {
            let fault = Fault::from(error);
            if fault.code() == FaultCode::Overloaded {
                state.refuse(Some(&sender.tenant), CountedOnly::Overloaded);
            }
            Err(fault.into())
        }
    }
}

fn nonce_reused(state: &State, tenant: &TenantId) -> Problem {
    state.refuse(Some(tenant), CountedOnly::NonceReused);
    Fault::new(FaultCode::NonceReused, "The nonce was used for another body. Sign with a new one.").into()
}

/// What is answered to a body of no items or of too many: it never comes to the statement, which would have looked at
/// the nonce first.
async fn unless_nonce_used(state: &State, sender: &Sender, fault: Fault) -> Problem {
    match state.store.knows_nonce(&sender.tenant, &sender.nonce).await {
        Ok(true) => nonce_reused(state, &sender.tenant),
        Ok(false) => fault.into(),
        Err(error) => Fault::from(error).into(),
    }
}

/// What the head says about the body, at most what is read of it; all of that where it says nothing.
fn announced_bytes(request: &HttpRequest) -> usize {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    length
        .and_then(|length| length.parse().ok())
        .map_or(BODY_BYTES_MAX, |length: usize| length.min(BODY_BYTES_MAX))
}

/// Whether the body was a single item, and why that was refused before it came to the store.
enum Only {
    /// An array.
    No,
    /// A single item.
    Yes(Option<(RejectReason, String)>),
}

impl Only {
    fn of(items: &[Item], shape: Shape) -> Self {
        match (shape, items) {
            (Shape::Single, [Item::DeadLetter(letter)]) => {
                Self::Yes(Some((letter.reason, letter.detail.clone())))
            }
            (Shape::Single, _) => Self::Yes(None),
            (Shape::Array, _) => Self::No,
        }
    }

    /// 202 with the receipts, or 422 with them where the one item was rejected.
    fn answer(self, receipts: &[Receipt]) -> Result<Answer, Problem> {
        let body = Receipts::from(receipts);
        match (self, receipts) {
            (Self::Yes(why), [Receipt { outcome: Outcome::Rejected(reason), .. }]) => {
                Err(rejected(*reason, why, &body))
            }
            _ => Ok(Answer::json(Success::Accepted, &body)),
        }
    }
}

fn rejected(reason: RejectReason, why: Option<(RejectReason, String)>, receipts: &Receipts) -> Problem {
    // A repeat may be read otherwise than at first, its time may be out of range by now: then the first reason holds
    // and nothing more is said.
    let why = why.filter(|(read, _)| *read == reason).map(|(_, detail)| detail);
    let mut sentence = "The event was rejected and is kept in the dead-letter queue".to_owned();
    if let Some(detail) = &why {
        sentence.extend([": ", detail]);
    }
    sentence.push('.');
    let mut fault = Fault::new(FaultCode::SchemaViolation, sentence);
    match why.as_deref().and_then(|detail| detail.split_once(": ")) {
        Some((pointer, rule)) if pointer.starts_with('/') => fault = fault.with_error(pointer, rule),
        _ if reason == RejectReason::SchemaViolation => {
            fault = fault.with_error("", why.unwrap_or_else(|| "must match its schema".to_owned()));
        }
        _ => {}
    }
    for (name, value) in [
        ("accepted", serde_json::json!(receipts.accepted)),
        ("duplicates", serde_json::json!(receipts.duplicates)),
        ("rejected", serde_json::json!(receipts.rejected)),
        ("items", serde_json::json!(receipts.items)),
    ] {
        fault = fault.with_member(name, value);
    }
    Problem::from(fault).for_item(reason)
}
