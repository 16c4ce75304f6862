//! Who sees which KPIs.

use crate::evening::{Evening, arrival, check_in};

async fn two_tenants() -> Evening {
    let evening = Evening::new().await;
    for (tenant, count) in [("acme", 1), ("globex", 2)] {
        for second in 0..count {
            let mut events = [check_in(second, 5.0, 1), arrival(second, 40.0)];
            for event in &mut events {
                event.tenant = tenant.into();
            }
            evening.store(&events).await;
        }
    }
    evening.refresh_all().await;
    evening
}

/// What `authenticated` sees under these claims.
async fn seen(evening: &mut Evening, claims: &str) -> (i64, i64, i64) {
    let transaction = evening.owner.transaction().await.unwrap();
    transaction.batch_execute("set local role authenticated").await.unwrap();
    transaction.execute("select set_config('request.jwt.claims', $1, true)", &[&claims]).await.unwrap();
    let row = transaction
        .query_one(
            "select (select coalesce(sum(checkins), 0) from telemetry.mv_kpi_checkin)::bigint,
                 (select coalesce(sum(arrivals), 0) from telemetry.mv_kpi_door2seat)::bigint,
                 (select coalesce(sum(events), 0) from telemetry.v_event_counts_last_hour)::bigint",
            &[],
        )
        .await
        .unwrap();
    (row.get(0), row.get(1), row.get(2))
}

#[tokio::test]
async fn a_claim_sees_its_tenant_and_no_claim_sees_nothing() {
    let mut evening = two_tenants().await;
    let of = |tenant: &str| format!("{{\"app_metadata\":{{\"tenant_id\":\"{tenant}\"}}}}");
    assert_eq!(seen(&mut evening, &of("acme")).await, (1, 1, 2));
    assert_eq!(seen(&mut evening, &of("globex")).await, (2, 2, 4));
    assert_eq!(seen(&mut evening, &of("initech")).await, (0, 0, 0));
    assert_eq!(seen(&mut evening, "").await, (0, 0, 0));
    assert_eq!(seen(&mut evening, "{\"user_metadata\":{\"tenant_id\":\"acme\"}}").await, (0, 0, 0));
}

#[tokio::test]
async fn the_services_roles_may_do_what_they_need_and_no_more() {
    let evening = two_tenants().await;
    let refused = async |role: &str, sql: &str| {
        let client = evening.db.client_as(role).await;
        let error = client.batch_execute(sql).await.expect_err(sql);
        assert_eq!(error.as_db_error().unwrap().code().code(), "42501", "{role}: {sql}");
    };
    refused("seatpilot_kpi", "select from telemetry.mv_kpi_checkin").await;
    refused("seatpilot_kpi", "select from telemetry.events_raw").await;
    refused("seatpilot_kpi", "update telemetry.mv_metadata set as_of = now()").await;
    refused("seatpilot_kpi", "select telemetry.mv_advance('mv_kpi_checkin', true)").await;
    refused("seatpilot_kpi", "select telemetry.mv_clear('mv_kpi_checkin', '-infinity')").await;
    refused("seatpilot_checkin", "select telemetry.refresh_mv()").await;
    refused("seatpilot_ingest", "select telemetry.rebuild_mv()").await;
    evening.kpi.query("select * from telemetry.v_mv_staleness", &[]).await.unwrap();
    evening.kpi.query("select * from telemetry.mv_refresh_log", &[]).await.unwrap();
    let mine = "select count(*) from pg_class c
        where c.relnamespace = 'telemetry'::regnamespace and c.relkind = 'r'
            and c.relname in ('mv_kpi_checkin', 'mv_kpi_door2seat', 'kpi_minutes', 'mv_metadata', 'mv_refresh_log', 'mv_progress')
            and c.relrowsecurity and c.relforcerowsecurity";
    assert_eq!(evening.number(mine).await, 6);
}
