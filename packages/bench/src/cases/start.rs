//! From a cold start to `/ready`, of each service on a migrated database; and with a stadium and 72,000 tickets in it.

use std::time::{Duration, Instant};

use anyhow::ensure;
use seatpilot_testkit::Evening;
use seatpilot_venue_graph::PlaceKind;
use uuid::Uuid;

use super::Bench;
use crate::{
    house::House,
    line::{Line, write_request},
    report::{Aim, Figure},
    stadium::Stadium,
};

/// Every service, and the role that it logs in as.
pub(super) const SERVICES: [(&str, &str); 5] = [
    ("checkin", "seatpilot_checkin"),
    ("wayfinding", "seatpilot_wayfinding"),
    ("telemetry-ingest", "seatpilot_ingest"),
    ("kpi-refresher", "seatpilot_kpi"),
    ("metrics-api", "seatpilot_metrics"),
];
/// A sold-out stadium.
const TICKETS: u64 = 72_000;

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let mut house = House::build(&bench.target).await?;
    let mut figures = Vec::new();
    for (name, ready) in starts(bench, &house).await? {
        let case = format!("start of {name}, migrated database");
        figures.push(Figure::alone(&case, "to /ready, ms", &ready, Aim::AtMost(150.0), String::new()));
    }
    bench.progress.say("making a stadium");
    let stadium = Stadium::find()?;
    let mut admin = house.evening.admin().await;
    let Evening { tenant, venue, .. } = &house.evening;
    admin.publish_venue(tenant, venue, "Stadium", Some("Asia/Tokyo"), &stadium.venue).await?;
    house.evening.door = stadium.place(PlaceKind::Door)?.parse()?;
    house.evening.section = stadium.place(PlaceKind::Section)?.to_owned();
    house.guests(TICKETS).await?;
    for (name, ready) in starts(bench, &house).await? {
        let case = format!("start of {name}, 72,000 tickets, map of {}", stadium.name);
        figures.push(Figure::alone(&case, "to /ready, ms", &ready, Aim::AtMost(1_000.0), String::new()));
    }
    let first = first_guests(bench, &house).await?;
    let case = format!("start of checkin, 72,000 tickets, map of {}", stadium.name);
    let note = "with session, event and the way to the seat".to_owned();
    figures.push(Figure::alone(&case, "to the first guest's answer, ms", &first, Aim::AtMost(1_000.0), note));
    Ok(figures)
}

/// Milliseconds of each service, a round of all after the other.
async fn starts(bench: &Bench, house: &House) -> anyhow::Result<Vec<(&'static str, Vec<f64>)>> {
    let mut all: Vec<_> = SERVICES.iter().map(|(name, _)| (*name, Vec::new())).collect();
    // The first of all brings its binary and its tables into memory, and does not count.
    for round in 0..=bench.plan.rounds {
        for ((name, role), (_, ready)) in SERVICES.iter().zip(&mut all) {
            bench.progress.say(&format!("start {round} of {}: {name}", bench.plan.rounds));
            let service = house.service(name, role, &[]).await?;
            if round > 0 {
                ready.push(ms(service.ready_after));
            }
        }
    }
    Ok(all)
}

/// Milliseconds from the start of the service until the first guest was let in and shown the way.
async fn first_guests(bench: &Bench, house: &House) -> anyhow::Result<Vec<f64>> {
    let Evening { venue, event, door, device_token, .. } = &house.evening;
    let authorization = format!("Bearer {device_token}");
    let mut all = Vec::new();
    for guest in 0..bench.plan.rounds {
        let body = format!(
            r#"{{"scan_id":"{}","venue_id":"{venue}","event_id":"{event}","door_id":"{door}","channel":"kiosk","ticket":"{}"}}"#,
            Uuid::new_v4(),
            Evening::ticket(guest)
        );
        let mut request = Vec::new();
        let headers = [("authorization", authorization.as_str())];
        write_request(&mut request, "POST", "/api/checkin/success", &headers, body.as_bytes());
        let began = Instant::now();
        let service = house.service("checkin", "seatpilot_checkin", &[]).await?;
        let mut line = Line::open(service.address).await?;
        let heard = line.ask(&request).await?;
        let shown = String::from_utf8_lossy(heard.body);
        ensure!(heard.status == 201 && shown.contains(r#""steps":["#), "{}: {shown}", heard.status);
        all.push(ms(began.elapsed()));
    }
    Ok(all)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
