//! An arrival: the session closed, with its telemetry event, beside the same update by pgbench.

use std::rc::Rc;

use anyhow::ensure;
use uuid::Uuid;

use super::{Bench, costs};
use crate::{
    drive::Reading,
    house::House,
    pair::beside_pgbench,
    report::{Aim, Figure},
    scripts::{Arrivals, Numbers},
};

/// More than any machine here seats in a second.
const RATE_MAX: f64 = 25_000.0;

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let house = House::build(&bench.target).await?;
    house.sql(include_str!("../../sql/functions.sql")).await?;
    let seconds = (bench.plan.rounds + 4) as f64 * bench.plan.lasting.as_secs_f64();
    let guests = (seconds * RATE_MAX) as u32;
    bench.progress.say("making sessions");
    sessions(&house, u64::from(guests) * 2).await?;
    let service = house.service("wayfinding", "seatpilot_wayfinding", &[]).await?;
    let script = Rc::new(Arrivals::new(&house.evening, Numbers::shuffled(0, guests), session_of));
    let sql = include_str!("../../sql/arrive.sql");
    let sql = sql.replace(":first", &guests.to_string()).replace(":tickets", &guests.to_string());
    let pairs = beside_pgbench(bench, &house, &service, &script, 64, &sql, 0).await?;
    let told = house
        .evening
        .count("select count(*) from telemetry.events_raw where type = 'wayfinding.arrive_table'")
        .await;
    let wanted = i64::try_from(script.seated.get() + pairs.by_other)?;
    ensure!(told == wanted, "{told} events for {wanted} arrivals that were answered");
    let (case, beside) = ("arrival, 64 connections", "pgbench, the same update, 64 clients");
    Ok(vec![
        Figure::compared(
            case,
            "arrivals/s",
            beside,
            &pairs.of(Reading::rate),
            Aim::AtLeast(3.0),
            costs(pairs.ours()),
        ),
        Figure::compared(case, "p99, ms", beside, &pairs.of(|one| one.ms(0.99)), Aim::Told, String::new()),
    ])
}

/// Open sessions of guests `0..count`, made in the database.
async fn sessions(house: &House, count: u64) -> anyhow::Result<()> {
    let (door, section) = (&house.evening.door, &house.evening.section);
    house
        .sql(&format!(
            "insert into ops.checkin_sessions (
                 session_id, scan_id, ticket_id, device_id, checked_in_at, tenant_id, venue_id, event_id, door_id, channel,
                 party_size, section, fingerprint)
             select public.bench_session_id(n), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), now(), 'acme',
                 'hall', 'gala', '{door}', 'kiosk', 2, '{section}', sha256(int8send(n))
             from generate_series(0, {count} - 1) n;
             analyze ops.checkin_sessions; checkpoint"
        ))
        .await
}

/// As `bench_session_id` makes it.
fn session_of(guest: u32) -> Uuid {
    Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0000 | u128::from(guest))
}
