//! A refresh of the KPIs when a thousand events are new, beside a materialized view over the raw rows.

use std::{sync::Arc, time::Instant};

use anyhow::{bail, ensure};
use seatpilot_domain_model::View;
use seatpilot_metrics_api::Metrics;
use seatpilot_store::{Behind, Refreshed, Store, Writes};
use seatpilot_testkit::Evening;

use super::Bench;
use crate::{
    desk,
    house::{House, run_sql},
    report::{Aim, Figure},
};

/// Events that are new at each refresh.
const NEW: u64 = 1_000;

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let house = House::build(&bench.target).await?;
    let stored = if bench.quick { 200_000 } else { 1_000_000 };
    bench.progress.say("making events");
    insert_events(&house.evening, stored, 14_400).await?;
    let metrics = Arc::new(Metrics::new("kpi-refresher", env!("CARGO_PKG_VERSION")));
    let store = desk::open(&house.evening, "seatpilot_kpi", Writes::Nothing, &metrics).await?;
    bench.progress.say("the first refreshes");
    refresh(&store).await?;
    house.sql(include_str!("../../sql/plain_view.sql")).await?;

    let mut pairs = Vec::new();
    for round in 0..=bench.plan.rounds {
        bench.progress.say(&format!("refresh {round} of {}", bench.plan.rounds));
        insert_events(&house.evening, NEW, 60).await?;
        // Neither waits for what the other left to be written.
        house.sql("checkpoint").await?;
        let from = Instant::now();
        let added = refresh(&store).await?;
        let ours = from.elapsed();
        ensure!(added == NEW, "{added} events were added for {NEW}");
        house.sql("checkpoint").await?;
        let from = Instant::now();
        house.sql("refresh materialized view concurrently public.bench_kpi").await?;
        let theirs = from.elapsed();
        let differ = house.evening.count(include_str!("../../sql/plain_view_differs.sql")).await;
        ensure!(differ == 0, "{differ} minutes differ between the two");
        if round > 0 {
            pairs.push((ours.as_secs_f64() * 1e3, theirs.as_secs_f64() * 1e3));
        }
    }
    let case = format!("refresh of the KPIs, {stored} events stored, 1,000 new");
    Ok(vec![Figure::compared(
        &case,
        "ms",
        "refresh materialized view concurrently, over the raw rows",
        &pairs,
        Aim::AtMost(0.02),
        "the same check-ins and guests in the same minutes".to_owned(),
    )])
}

/// Check-ins of the last so many seconds at eight doors, as the statement writes them.
pub(super) async fn insert_events(evening: &Evening, count: u64, seconds: u64) -> anyhow::Result<()> {
    let sql = format!(
        "insert into telemetry.events_raw (occurred_at, id, session_id, tenant_id, type, source, venue_id, channel, data)
         select now() - make_interval(secs => n % {seconds}), gen_random_uuid(), gen_random_uuid(), 'acme',
             'checkin.success', 'service', 'hall', 'kiosk',
             jsonb_build_object('event_id', 'gala', 'door_id', 'door-' || n % 8, 'section', 'a', 'party_size', 1 + n % 4,
                 'latency_ms', 1 + (n * 7919 % 20000) / 1000.0)
         from generate_series(1::bigint, {count}) n"
    );
    run_sql(evening, &sql).await
}

/// As the service does it, until nothing is left over. Answers how many events were added.
pub(super) async fn refresh(store: &Store) -> anyhow::Result<u64> {
    let mut all = 0;
    loop {
        match store.refresh_view(View::Checkin).await? {
            Refreshed::Done { events, behind, .. } => {
                all += events;
                if behind == Behind::Nothing {
                    return Ok(all);
                }
            }
            Refreshed::Busy => bail!("somebody else refreshes"),
            Refreshed::Failed(why) => bail!("a refresh failed: {why}"),
        }
    }
}
