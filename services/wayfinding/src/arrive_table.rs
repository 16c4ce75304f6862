//! `POST /api/wayfinding/arrive-table`.

use actix_web::{
    HttpRequest,
    web::{Data, Payload},
};
use seatpilot_domain_model::{
    ArrivalPing, ArrivalRefusal, Fault, FaultCode, Feature, Nonce, Place, TenantId,
};
use seatpilot_http::{Answer, Problem, RequestContext, Success, parse_json, read_body};
use seatpilot_runtime::traces;
use seatpilot_store::ArriveAnswer;

use crate::{
    caller, quota,
    state::State,
    wire::{Ping, Seated},
};

/// Largest body, in bytes.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// Closes a guest's door-to-seat time.
#[utoipa::path(
    post,
    path = "/api/wayfinding/arrive-table",
    operation_id = "arrive_table",
    request_body(content = crate::openapi::PlacedPing),
    security(("device" = []), ("signature" = [])),
    responses(
        (status = 201, description = "The first arrival.", body = Seated),
        (status = 200, description = "A repeat, by the same `ping_id` or any later ping of the session: the first answer.", body = Seated),
        (status = 400, description = "`bad_json`, `malformed_header`", body = Object, content_type = "application/problem+json"),
        (status = 401, description = "`unauthorized`: neither a device nor a valid signature.", body = Object, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: the key is not scoped `arrive`, or is one of another session.", body = Object, content_type = "application/problem+json"),
        (status = 404, description = "`session_unknown`", body = Object, content_type = "application/problem+json"),
        (status = 409, description = "`table_mismatch` (any other place than the guest's), `nonce_reused`", body = Object, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`: over 16 KiB.", body = Object, content_type = "application/problem+json"),
        (status = 422, description = "`schema_violation`, `arrived_at_out_of_range`", body = Object, content_type = "application/problem+json"),
        (status = 429, description = "`quota_exceeded`: the plan's hard limit of arrivals is reached; `usage` says when it resets. `rate_limited`: over 60 pings a minute by the keys of one session.", body = Object, content_type = "application/problem+json"),
        (status = 503, description = "`overloaded` or `database_unavailable`: send the same ping again.", body = Object, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn arrive_table(
    request: HttpRequest,
    context: RequestContext,
    payload: Payload,
    state: Data<State>,
) -> Result<Answer, Problem> {
    let _under_way = state.pings.enter()?;
    if state.store.is_full() {
        return Err(Fault::overloaded().into());
    }
    let signed = caller::signed(&request)?;
    let (tenant, sender, body) = match signed {
        Some(signed) => {
            let body = read_body(&request, payload, BODY_BYTES_MAX).await?;
            let sender = caller::verified(&state, &request, &signed, &body).await?;
            (sender.tenant.clone(), Some(sender), body)
        }
        None => {
            let device = caller::device(&state, &request).await?;
            (device.tenant.clone(), None, read_body(&request, payload, BODY_BYTES_MAX).await?)
        }
    };
    let read = parse_json(&body).and_then(|ping: Ping| {
        sender.as_ref().map_or(Ok(()), |sender| sender.check_session(ping.session_id))?;
        ping.place().map(|place| (ping, place))
    });
    match (read, sender) {
        (Ok((ping, place)), sender) => {
            let nonce = sender.map(|sender| sender.nonce);
            arrive(&state, &tenant, nonce, &ping, place, &context).await
        }
        (Err(fault), None) => Err(fault.into()),
        // A used nonce is said before anything that is wrong with the body.
        (Err(fault), Some(sender)) => {
            match state.store.knows_nonce(&tenant, &sender.nonce).await.map_err(Fault::from)? {
                true => Err(nonce_reused()),
                false => Err(fault.into()),
            }
        }
    }
}

fn nonce_reused() -> Problem {
    Fault::new(
        FaultCode::NonceReused,
        "The nonce was used for another body: sign each request with a nonce of its own.",
    )
    .into()
}

async fn arrive(
    state: &State,
    tenant: &TenantId,
    nonce: Option<Nonce>,
    ping: &Ping,
    place: Place,
    context: &RequestContext,
) -> Result<Answer, Problem> {
    let row = ArrivalPing {
        tenant: tenant.clone(),
        ping_id: ping.ping_id,
        session_id: ping.session_id,
        telemetry_id: state.clock.uuid_v7(),
        place,
        sign: ping.sign_id.clone(),
        arrived_at: ping.arrived_at,
        received_at: state.clock.now(),
        trace: context.kept_trace,
    };
    quota::take(state, tenant, Feature::Arrivals)?;
    let answer = state.store.arrive(row, nonce).await;
    if !matches!(&answer, Ok(ArriveAnswer::Seated { arrival, replayed: false, .. }) if arrival.first) {
        state.store.give_back(tenant, Feature::Arrivals, 1);
    }
    match answer.map_err(Fault::from)? {
        ArriveAnswer::Seated { arrival, replayed, check_in_trace } => {
            // Minutes lie between, and another device: a trace of its own, which points to the guest's first.
            if let Some(check_in) = check_in_trace {
                traces::link(check_in);
            }
            if arrival.first && !replayed {
                let walk = arrival.door_to_seat();
                state.metrics.observe(tenant, arrival.channel, walk.seconds());
                if walk.is_outlier() {
                    let request_id = &context.id;
                    tracing::info!(%request_id, session_id = %arrival.session_id, "a door-to-seat time over 15 min");
                }
            }
            let success = if arrival.first { Success::Created } else { Success::Ok };
            let answer = Answer::json(success, &Seated::from(&arrival));
            Ok(if replayed { answer.replayed() } else { answer })
        }
        ArriveAnswer::Refused(refusal) => Err(refused(refusal).into()),
        ArriveAnswer::NonceReused => Err(nonce_reused()),
    }
}

fn refused(refusal: ArrivalRefusal) -> Fault {
    let detail = match refusal {
        ArrivalRefusal::SessionUnknown => "No such session.",
        ArrivalRefusal::TableMismatch => "The guest of this session was told another place.",
        ArrivalRefusal::ArrivedAtOutOfRange => {
            "arrived_at must not be before the check-in, nor more than 5 seconds ahead."
        }
    };
    Fault::new(refusal.code(), detail)
}
