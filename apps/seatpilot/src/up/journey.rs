//! Guests of our own, from ticket to seat: let in at the doors, shown the way, arrived, and seen again in telemetry,
//! KPIs and metrics. Each step is seen to work or the journey has failed.

use std::time::Duration;

use reqwest::StatusCode;
use seatpilot_domain_model::{EventId, TenantId, VenueId, View};
use seatpilot_runtime::{Deployment, Readiness, SecretString, StoreKind};
use seatpilot_store::{
    Maps, Refreshed, Store, StoreSettings, Writes,
    admin::{Admin, CheckinKpi, DeadLetterRow, DoorToSeatKpi},
};
use seatpilot_venue_graph::{Graph, PlaceKind};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::{
    door::{Doors, expect},
    load::{event_at, seating_at},
    service::Service,
};
use crate::{
    failure::Failure,
    guests::{GuestLine, GuestPlan, command::row, generate},
};

/// The event of our own guests.
const EVENT: &str = "demo";
/// By how many doors guests are sent with `--once`.
const DOORS_MAX: usize = 4;
/// A map that was just published is served within 2 s (contract section 7).
const WAY_WITHIN: Duration = Duration::from_secs(5);
/// Two refreshes at once are one: the other's may be under way.
const REFRESHED_WITHIN: Duration = Duration::from_secs(15);
/// A type that no schema knows.
const UNKNOWN_TYPE: &str = "door.opened";

/// One of our guests, seated.
#[derive(Serialize)]
pub(super) struct Seated {
    pub(super) door_id: String,
    pub(super) door: String,
    pub(super) name: String,
    pub(super) party_size: u64,
    /// The check-in's answer, way included.
    pub(super) admission: Value,
    /// The arrival's answer.
    pub(super) arrival: Value,
}

/// What happened.
pub(super) struct Journey {
    pub(super) event: EventId,
    pub(super) seated: Vec<Seated>,
    /// The answer to the telemetry, one item of it refused.
    pub(super) receipt: Value,
    pub(super) checkins: Vec<CheckinKpi>,
    pub(super) door_to_seat: Vec<DoorToSeatKpi>,
    pub(super) dead_letter: DeadLetterRow,
    /// Lines of `/metrics`, by service.
    pub(super) metrics: Vec<(Service, String)>,
}

/// With whom and where.
pub(super) struct Stage<'a> {
    pub(super) admin: &'a mut Admin,
    pub(super) doors: &'a Doors,
    pub(super) tenant: &'a TenantId,
    pub(super) venue: &'a VenueId,
    pub(super) graph: &'a Graph,
    /// The refresher's login.
    pub(super) kpi_url: SecretString,
    /// The seed of the guests' names and tickets.
    pub(super) seed: u64,
}

/// How many guests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guests {
    /// One.
    One,
    /// One by each of up to four doors.
    OneADoor,
}

/// Sends them. None where the map has no door: nobody could be let in.
///
/// # Errors
/// The first step that did not do what it should.
pub(super) async fn travel(stage: Stage<'_>, guests: Guests) -> Result<Option<Journey>, Failure> {
    let places = stage.graph.venue().places();
    let doors: Vec<_> = places.iter().filter(|place| place.kind == PlaceKind::Door).collect();
    let wanted = match guests {
        Guests::One => 1,
        Guests::OneADoor => DOORS_MAX.min(doors.len()),
    };
    if doors.is_empty() {
        return Ok(None);
    }
    let event = event_at(stage.admin, stage.tenant, stage.venue, EVENT).await?;
    let before = checkins(&stage.admin.checkin_kpis(stage.tenant, &event).await?);
    let mut seated = Vec::new();
    let mut events = Vec::new();
    for nth in 0..wanted {
        // From all around the house, not four gates side by side.
        let door = doors[nth * doors.len() / wanted];
        let guest = guest(&stage, &event, &door.id, nth).ok_or_else(|| Failure::new("no guest was made"))?;
        stage.admin.import_guests(stage.tenant, stage.venue, &[row(guest.clone())]).await?;
        let one = seat(&stage, &event, &door.id, door.name.as_deref(), &guest).await?;
        events.push(route_shown(&stage, &one));
        seated.push(one);
    }
    let (receipt, bad) = telemetry(&stage, events).await?;
    refresh(&stage).await?;

    let checkin_kpis = stage.admin.checkin_kpis(stage.tenant, &event).await?;
    let seen = checkins(&checkin_kpis) - before;
    if seen != wanted as i64 {
        return Err(Failure::new(format!("the KPI counts {seen} check-ins instead of {wanted}")));
    }
    let door_to_seat = stage.admin.door_to_seat_kpis(stage.tenant, &event).await?;
    let letters = stage.admin.dead_letters(stage.tenant, 20).await?;
    let dead_letter = letters
        .into_iter()
        .find(|letter| letter.event_id == Some(bad))
        .ok_or_else(|| Failure::new("the bad event is not in the dead-letter queue"))?;
    Ok(Some(Journey {
        metrics: metrics(&stage, wanted).await?,
        event,
        seated,
        receipt,
        checkins: checkin_kpis,
        door_to_seat,
        dead_letter,
    }))
}

/// A guest with a ticket for this door and a seat that the map knows.
fn guest(stage: &Stage<'_>, event: &EventId, door: &str, nth: usize) -> Option<GuestLine> {
    let seating = seating_at(stage.graph, door, nth).unwrap_or_else(crate::guests::Seating::plain);
    let plan = GuestPlan {
        event: event.clone(),
        count: 1,
        seed: stage.seed.wrapping_add(nth as u64),
        seating,
        valid_from: None,
        valid_until: None,
    };
    let mut guest = generate(&plan).pop()?;
    // The ways that are printed are those of guests who may take stairs, by the door at hand.
    guest.profile = None;
    guest.doors = vec![door.parse().ok()?];
    Some(guest)
}

/// Scan, way, arrival.
async fn seat(
    stage: &Stage<'_>,
    event: &EventId,
    door: &str,
    door_name: Option<&str>,
    guest: &GuestLine,
) -> Result<Seated, Failure> {
    let scan = json!({
        "scan_id": stage.doors.clock.uuid_v7(),
        "venue_id": stage.venue,
        "event_id": event,
        "door_id": door,
        "ticket": guest.ticket.code(),
        "channel": "kiosk",
    });
    let what = format!("check-in at {door}");
    let check_in = || stage.doors.post(Service::Checkin, "/api/checkin/success", &scan);
    let mut admission = expect(&what, StatusCode::CREATED, check_in().await?)?;
    if admission["decision"] != "admitted" {
        return Err(Failure::new(format!("{what}: the answer admits nobody")));
    }
    if seating_at(stage.graph, door, 0).is_some() && admission["way"].is_null() {
        // The map may still be on its way to the service; the same scan again is answered with the way of now.
        let again = timeout(WAY_WITHIN, async {
            loop {
                sleep(Duration::from_millis(50)).await;
                let answer = expect(&what, StatusCode::CREATED, check_in().await?)?;
                if !answer["way"].is_null() {
                    return Ok::<_, Failure>(answer);
                }
            }
        });
        admission = again.await.map_err(|_| Failure::new(format!("{what}: no way was shown")))??;
    }
    let mut ping = json!({ "ping_id": stage.doors.clock.uuid_v7(), "session_id": admission["session_id"] });
    for place in ["table_id", "seat_id", "section"] {
        if !admission[place].is_null() {
            ping[place] = admission[place].clone();
        }
    }
    let arrived = stage.doors.post(Service::Wayfinding, "/api/wayfinding/arrive-table", &ping).await?;
    let arrival = expect("arrival", StatusCode::CREATED, arrived)?;
    Ok(Seated {
        door_id: door.to_owned(),
        door: door_name.unwrap_or(door).to_owned(),
        name: guest.name.clone(),
        party_size: u64::from(guest.party_size.get()),
        admission,
        arrival,
    })
}

fn event_of(stage: &Stage<'_>, kind: &str, session: &Value, data: &Value) -> Value {
    json!({
        "id": stage.doors.clock.uuid_v7(),
        "type": kind,
        "occurred_at": stage.doors.clock.now(),
        "venue_id": stage.venue,
        "session_id": session,
        "channel": "signage",
        "data": data,
    })
}

fn route_shown(stage: &Stage<'_>, one: &Seated) -> Value {
    let way = &one.admission["way"];
    let data = if way.is_null() {
        json!({ "from": format!("door:{}", one.door_id) })
    } else {
        json!({
            "from": format!("door:{}", one.door_id),
            "profile": "walk",
            "distance_m": way["distance_m"],
            "duration_s": way["duration_s"],
        })
    };
    event_of(stage, "wayfinding.route_shown", &one.admission["session_id"], &data)
}

/// The signs' events, a heartbeat, and one event of a type that nobody knows: all but that one are taken.
async fn telemetry(stage: &Stage<'_>, mut events: Vec<Value>) -> Result<(Value, Uuid), Failure> {
    let mut heartbeat = event_of(stage, "device.heartbeat", &Value::Null, &json!({}));
    let mut bad = event_of(stage, UNKNOWN_TYPE, &Value::Null, &json!({ "why": "to be refused" }));
    for event in [&mut heartbeat, &mut bad] {
        if let Some(members) = event.as_object_mut() {
            members.remove("session_id");
        }
    }
    let bad_id = bad["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or_default();
    events.extend([heartbeat, bad]);
    let good = events.len() - 1;
    let answer = stage.doors.send_events(&Value::Array(events)).await?;
    let receipt = expect("telemetry", StatusCode::ACCEPTED, answer)?;
    let reason = receipt["items"][good]["reason"].as_str().unwrap_or_default();
    if receipt["accepted"] != good || receipt["rejected"] != 1 || reason != "schema_unknown_type" {
        return Err(Failure::new(format!(
            "telemetry: {} accepted and {} rejected ({reason}) instead of {good} and 1",
            receipt["accepted"], receipt["rejected"]
        )));
    }
    Ok((receipt, bad_id))
}

/// Refreshes both views now, as kpi-refresher does every minute.
async fn refresh(stage: &Stage<'_>) -> Result<(), Failure> {
    let store = Store::open(StoreSettings {
        database: stage.kpi_url.clone().into(),
        application_name: "seatpilot up".to_owned(),
        writes: Writes::Nothing,
        maps: Maps::NotKept,
        pool_size: 1,
        // A command of the operator's: what its services are held to, they ask themselves.
        deployment: Deployment::Development,
        readiness: Readiness::starting(StoreKind::Postgres),
        clock: stage.doors.clock.clone(),
    })
    .map_err(Failure::new)?;
    let all = async {
        for view in View::ALL {
            loop {
                match store.refresh_view(*view).await {
                    Ok(Refreshed::Done { behind: seatpilot_store::Behind::Nothing, .. }) => break,
                    Ok(Refreshed::Done { .. }) => {}
                    Ok(Refreshed::Busy) => sleep(Duration::from_millis(50)).await,
                    Ok(Refreshed::Failed(why)) => {
                        return Err(Failure::new(why).while_doing(format!("refresh of {view}")));
                    }
                    Err(error) => {
                        return Err(Failure::from(anyhow::Error::from(error)).while_doing("refresh"));
                    }
                }
            }
        }
        Ok(())
    };
    timeout(REFRESHED_WITHIN, all)
        .await
        .map_err(|_| Failure::new("the KPI views were not refreshed in time"))?
}

fn checkins(kpis: &[CheckinKpi]) -> i64 {
    kpis.iter().map(|kpi| kpi.checkins).sum()
}

/// What is worth printing of `/metrics`; that the check-ins are in it is seen too.
async fn metrics(stage: &Stage<'_>, wanted: usize) -> Result<Vec<(Service, String)>, Failure> {
    const SHOWN: [&str; 7] = [
        "seatpilot_checkin_latency_seconds_count",
        "seatpilot_checkin_latency_seconds_sum",
        "seatpilot_door_to_seat_seconds_count",
        "seatpilot_ingest_accepted_total",
        "seatpilot_ingest_rejected_total",
        "seatpilot_mv_lag_seconds",
        "seatpilot_store_info",
    ];
    let mut lines = Vec::new();
    let mut counted = 0.0;
    for service in Service::ALL {
        for line in stage.doors.metrics(service).await?.lines() {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Some(value) = value.parse::<f64>().ok().filter(|value| *value > 0.0) else { continue };
            let name = series.split('{').next().unwrap_or_default();
            if SHOWN.contains(&name) {
                lines.push((service, line.to_owned()));
            }
            if service == Service::Checkin && name == SHOWN[0] {
                counted += value;
            }
        }
    }
    if counted < wanted as f64 {
        return Err(Failure::new(format!("the metrics count {counted} check-ins instead of {wanted}")));
    }
    Ok(lines)
}
