//! `POST /api/checkin/success`.

use std::{sync::Arc, time::Instant};

use actix_web::{
    HttpRequest,
    web::{Data, Payload},
};
use jiff::{SignedDuration, Timestamp};
use seatpilot_domain_model::{
    Admission, CheckIn, Device, Fault, FaultCode, Profile, Refusal, ScanAnswer, Stage, TokenHash,
};
use seatpilot_http::{
    Answer, Problem, RequestContext, Success, bearer_token, idempotency_key, note_caller, parse_json,
    read_body,
};
use seatpilot_venue_graph::Way;

use crate::{
    state::State,
    wire::{Admitted, Scan},
};

/// Largest body, in bytes.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// How long a scan may wait at a gate that was offline.
const SCANNED_BEFORE_MAX: SignedDuration = SignedDuration::from_hours(72);
/// How far a gate's clock may be ahead.
const SCANNED_AFTER_MAX: SignedDuration = SignedDuration::from_mins(5);

/// Admits a ticket exactly once.
#[utoipa::path(
    post,
    path = "/api/checkin/success",
    operation_id = "check_in",
    request_body(content = Scan),
    security(("device" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Bare or quoted; must equal `scan_id`.")),
    responses(
        (status = 201, description = "Admitted. The same scan again gets the same answer, with `Idempotent-Replayed: true`.", body = Admitted),
        (status = 400, description = "`bad_json`", body = Object, content_type = "application/problem+json"),
        (status = 401, description = "`unauthorized`", body = Object, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: venue, event or door are unknown or not this device's. Or refused: `ticket_revoked`, `wrong_event`, `not_yet_valid`, `no_longer_valid`, `wrong_door`, with `\"decision\":\"refused\"`.", body = Object, content_type = "application/problem+json"),
        (status = 404, description = "Refused: `ticket_unknown`.", body = Object, content_type = "application/problem+json"),
        (status = 409, description = "Refused: `already_checked_in`, with `first_checked_in_at` and `first_door_id`.", body = Object, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`: over 16 KiB.", body = Object, content_type = "application/problem+json"),
        (status = 422, description = "`schema_violation` (also for more people than the ticket admits, which is said after every refusal), `scan_id_reused`, `idempotency_key_mismatch`, `scanned_at_out_of_range`.", body = Object, content_type = "application/problem+json"),
        (status = 429, description = "`rate_limited`: more than 60 unknown tickets of this device within a minute.", body = Object, content_type = "application/problem+json"),
        (status = 503, description = "`overloaded` or `database_unavailable`: send the same scan again.", body = Object, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn check_in(
    request: HttpRequest,
    context: RequestContext,
    payload: Payload,
    state: Data<State>,
) -> Result<Answer, Problem> {
    let mut stages = Stages::begin(context.began);
    let _under_way = state.scans.enter()?;
    if state.store.is_full() {
        return Err(Fault::overloaded().into());
    }
    let device = device(&state, &request).await?;
    state.unknown_tickets.check(&device.id)?;
    stages.end(Stage::Lookup, state.clock.monotonic());

    let body = read_body(&request, payload, BODY_BYTES_MAX).await?;
    let scan: Scan = parse_json(&body)?;
    // A UUID reads the same in either case (RFC 9562), and the body takes both.
    let scan_id = scan.scan_id.to_string();
    if idempotency_key(&request)?.is_some_and(|key| !key.eq_ignore_ascii_case(&scan_id)) {
        return Err(Fault::new(
            FaultCode::IdempotencyKeyMismatch,
            "Idempotency-Key differs from scan_id: leave it out, or send the same.",
        )
        .into());
    }
    let checked_in_at = checked_in_at(scan.scanned_at, state.clock.now())?;
    hold(&state, &device, Stage::Parse).await;
    stages.end(Stage::Parse, state.clock.monotonic());

    permit(&state, &device, &scan).await?;
    hold(&state, &device, Stage::Lookup).await;
    stages.end(Stage::Lookup, state.clock.monotonic());

    let ticket = scan.ticket.hash();
    let answer = state
        .store
        .check_in(CheckIn {
            tenant: device.tenant.clone(),
            scan_id: scan.scan_id,
            session_id: state.clock.uuid_v7(),
            telemetry_id: state.clock.uuid_v7(),
            fingerprint: scan.fingerprint(&ticket),
            venue: scan.venue_id.clone(),
            event: scan.event_id.clone(),
            door: scan.door_id.clone(),
            ticket,
            channel: scan.channel,
            device: device.id,
            party_size: scan.party_size,
            checked_in_at,
            received: context.began,
            trace: context.kept_trace,
        })
        .await
        .map_err(Fault::from)?;
    hold(&state, &device, Stage::Persist).await;
    stages.end(Stage::Persist, state.clock.monotonic());

    let answered = answer_of(&state, &device, &scan, &answer);
    observe(&state, &device, &scan, &answer, &stages);
    answered
}

/// Takes longer where an administrator asked for it; see [`crate::fault_point`].
async fn hold(state: &State, device: &Device, stage: Stage) {
    if let Some(point) = &state.fault_point {
        point.hold(&device.tenant, stage).await;
    }
}

async fn device(state: &State, request: &HttpRequest) -> Result<Arc<Device>, Fault> {
    let token = bearer_token(request)?.ok_or_else(Fault::unauthorized)?;
    let hash = TokenHash::of(token.expose_secret().as_bytes());
    let device = state.store.device(hash).await?.ok_or_else(Fault::unauthorized)?;
    note_caller(request, &device.tenant, device.id);
    Ok(device)
}

fn checked_in_at(scanned_at: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, Fault> {
    let Some(scanned_at) = scanned_at else { return Ok(now) };
    let age = now.duration_since(scanned_at);
    if age > SCANNED_BEFORE_MAX || age < -SCANNED_AFTER_MAX {
        return Err(Fault::new(
            FaultCode::ScannedAtOutOfRange,
            "scanned_at must be within the last 72 hours and at most 5 minutes ahead.",
        ));
    }
    Ok(scanned_at.min(now))
}

/// Whether the device may work there. That a place is unknown and that it is not this device's look the same.
async fn permit(state: &State, device: &Device, scan: &Scan) -> Result<(), Fault> {
    let permitted = device.may_venue(&scan.venue_id)
        && device.may_event(&scan.event_id)
        && device.may_door(&scan.door_id)
        && device.may_channel(scan.channel)
        && state.store.knows_place(&device.tenant, &scan.venue_id, &scan.event_id, &scan.door_id).await?;
    if permitted {
        return Ok(());
    }
    Err(Fault::new(
        FaultCode::Forbidden,
        "The venue, event or door is unknown, or this device may not work there or for this channel.",
    ))
}

fn answer_of(state: &State, device: &Device, scan: &Scan, answer: &ScanAnswer) -> Result<Answer, Problem> {
    match answer {
        ScanAnswer::Admitted(admission) => {
            let way = way(state, device, scan, admission);
            let answer = Answer::json(Success::Created, &Admitted::new(scan.scan_id, admission, way));
            Ok(if admission.replayed { answer.replayed() } else { answer })
        }
        ScanAnswer::Refused(refusal) => {
            if *refusal == Refusal::TicketUnknown {
                state.unknown_tickets.count(&device.id)?;
            }
            Err(refused(refusal).into())
        }
        ScanAnswer::ScanIdReused => Err(Fault::new(
            FaultCode::ScanIdReused,
            "This scan_id was used for another scan: give each scan an id of its own.",
        )
        .into()),
        ScanAnswer::PartyTooLarge { ticket_admits } => {
            Err(Fault::schema("/party_size", format!("must be at most {ticket_admits}, as the ticket says"))
                .into())
        }
    }
}

fn refused(refusal: &Refusal) -> Fault {
    let detail = match refusal {
        Refusal::TicketUnknown => "No such ticket.",
        Refusal::TicketRevoked => "The ticket was revoked.",
        Refusal::WrongEvent => "The ticket is for another event.",
        Refusal::NotYetValid => "The ticket is not valid yet.",
        Refusal::NoLongerValid => "The ticket is no longer valid.",
        Refusal::WrongDoor => "The ticket is for another door.",
        Refusal::AlreadyCheckedIn { .. } => "Somebody is in on this ticket.",
    };
    let fault = Fault::new(refusal.code(), detail).with_member("decision", "refused");
    match refusal {
        Refusal::AlreadyCheckedIn { first_checked_in_at, first_door } => fault
            .with_member("first_checked_in_at", first_checked_in_at.to_string())
            .with_member("first_door_id", first_door.as_str()),
        _ => fault,
    }
}

/// From the door of the admission to the guest's place; a few tens of microseconds, never stored.
fn way(state: &State, device: &Device, scan: &Scan, admission: &Admission) -> Option<Way> {
    let graph = state.store.graph(&device.tenant, &scan.venue_id)?;
    let profile = scan.profile.or(admission.ticket_profile).unwrap_or(Profile::Walk);
    graph.way(
        admission.door.as_str(),
        admission.seat.as_ref().map(AsRef::as_ref),
        admission.table.as_ref().map(AsRef::as_ref),
        admission.section.as_ref().map(AsRef::as_ref),
        profile,
        scan.lang.unwrap_or(seatpilot_domain_model::Lang::En),
    )
}

/// The stages of every scan that was decided; the latency of those that were admitted, so that the histogram, the
/// KPI and the telemetry count the same check-ins.
fn observe(state: &State, device: &Device, scan: &Scan, answer: &ScanAnswer, stages: &Stages) {
    let series = state.metrics.of(&device.tenant, scan.channel);
    let now = state.clock.monotonic();
    let total = now.saturating_duration_since(stages.began).as_secs_f64();
    let mut seconds = stages.seconds;
    seconds[Stage::Total as usize] = total;
    let admitted = matches!(answer, ScanAnswer::Admitted(admission) if !admission.replayed);
    series.observe_scan(now, seconds, admitted.then_some(total));
}

/// How long each stage took, in seconds; `lookup` comes in two parts.
struct Stages {
    began: Instant,
    last: Instant,
    seconds: [f64; Stage::ALL.len()],
}

impl Stages {
    fn begin(began: Instant) -> Self {
        Self { began, last: began, seconds: [0.0; Stage::ALL.len()] }
    }

    fn end(&mut self, stage: Stage, now: Instant) {
        self.seconds[stage as usize] += now.saturating_duration_since(self.last).as_secs_f64();
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_counts_from_when_it_was_made_unless_that_is_in_the_future() {
        let now: Timestamp = "2026-11-22T19:30:00Z".parse().unwrap();
        let hours = SignedDuration::from_hours;
        assert_eq!(checked_in_at(None, now).unwrap(), now);
        assert_eq!(checked_in_at(Some(now - hours(72)), now).unwrap(), now - hours(72));
        assert_eq!(checked_in_at(Some(now + SignedDuration::from_mins(5)), now).unwrap(), now);
        for bad in [now - hours(72) - SignedDuration::from_micros(1), now + SignedDuration::from_secs(301)] {
            assert_eq!(checked_in_at(Some(bad), now).unwrap_err().code(), FaultCode::ScannedAtOutOfRange);
        }
    }
}
