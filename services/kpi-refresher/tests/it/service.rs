//! The process: it refreshes at once, says how far behind it is, survives the database, and ends when asked.

use std::{net::TcpListener, path::Path, time::Duration};

use seatpilot_testkit::{Binary, TestDb};

use crate::evening::{Evening, check_in};

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start(database_url: &str, every: &str) -> Binary {
    let port = free_port().to_string();
    Binary::spawn_with(
        Path::new(env!("CARGO_BIN_EXE_kpi-refresher")),
        &[],
        &[
            ("PORT", &port),
            ("DATABASE_URL", database_url),
            ("REFRESH_EVERY_SEC", every),
            ("SEATPILOT_DRAIN_MS", "100"),
        ],
    )
}

async fn status(service: &Binary, path: &str) -> u16 {
    match reqwest::get(format!("{}{path}", service.url())).await {
        Ok(answer) => answer.status().as_u16(),
        Err(_) => 0,
    }
}

/// The value of a series, as it is written on `/metrics`; none where it is not there.
async fn series(service: &Binary, name: &str) -> Option<f64> {
    let text = reqwest::get(format!("{}/metrics", service.url())).await.unwrap().text().await.unwrap();
    let value =
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned))?;
    Some(value.parse().unwrap())
}

/// The gauge of the check-ins' view.
async fn lag(service: &Binary) -> f64 {
    series(service, "seatpilot_mv_lag_seconds{view=\"mv_kpi_checkin\"}").await.expect("the gauge is there")
}

/// Refreshes of a view that came to this.
async fn refreshes(service: &Binary, view: &str, outcome: &str) -> f64 {
    let name = format!("seatpilot_kpi_refreshes_total{{outcome=\"{outcome}\",view=\"{view}\"}}");
    series(service, &name).await.expect("the counter is there")
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..400 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn it_refreshes_at_once_and_drains_when_asked() {
    let evening = Evening::new().await;
    evening.store(&[check_in(1, 5.0, 2)]).await;
    let mut service = start(&evening.db.url_as("seatpilot_kpi"), "3600");
    service.ready().await;
    until("the check-in is counted", async || evening.checked_in().await == 1).await;
    until("the days to come are made", async || {
        evening
            .number("select count(*) from pg_inherits where inhparent = 'telemetry.events_raw'::regclass")
            .await
            > 10
    })
    .await;
    assert!(lag(&service).await < 60.0);
    service.terminate();
    let ended = service.wait(Duration::from_secs(10)).await.expect("it ends");
    assert!(ended.success(), "{ended}\n{}", service.output());
}

#[tokio::test]
async fn it_keeps_on_refreshing_and_two_of_them_count_once() {
    let evening = Evening::new().await;
    let url = evening.db.url_as("seatpilot_kpi");
    let (mut first, mut second) = (start(&url, "1"), start(&url, "1"));
    first.ready().await;
    second.ready().await;
    for second in 1..=4 {
        evening.store(&[check_in(second, 5.0, 1)]).await;
        until("the check-in is counted", async || evening.checked_in().await == i64::from(second)).await;
    }
    let failed = "select count(*) from telemetry.mv_refresh_log where outcome = 'failed'";
    assert_eq!(evening.number(failed).await, 0);
}

#[tokio::test]
async fn a_broken_view_stops_neither_the_service_nor_the_other_view() {
    let evening = Evening::new().await;
    evening.run("alter table telemetry.mv_kpi_door2seat rename to broken").await;
    let mut service = start(&evening.db.url_as("seatpilot_kpi"), "1");
    service.ready().await;
    evening.store(&[check_in(1, 5.0, 1)]).await;
    until("the check-in is counted", async || evening.checked_in().await == 1).await;
    until("the broken one is said", async || {
        service.output().contains("mv_kpi_door2seat could not be refreshed")
    })
    .await;
    assert_eq!(status(&service, "/ready").await, 200);
    until("both are counted by what they came to", async || {
        refreshes(&service, "mv_kpi_checkin", "ok").await >= 2.0
            && refreshes(&service, "mv_kpi_door2seat", "failed").await >= 2.0
    })
    .await;
    assert_eq!(refreshes(&service, "mv_kpi_door2seat", "ok").await, 0.0);
}

#[tokio::test]
async fn what_waits_and_what_ages_is_shown_once_it_was_looked_at() {
    let evening = Evening::new().await;
    evening
        .run(
            "insert into ops.tenants (tenant_id, name) values ('acme', 'Acme') on conflict do nothing;
             insert into telemetry.events_dlq (tenant_id, reason, reason_detail, received_at, source_key_id, request_id,
                 payload, payload_len, payload_sha256, truncated)
             select t.tenant_id, 'json_syntax', '', now() - interval '2 days', 'k', 'r', '', 0, '', false
             from ops.tenants t, generate_series(1, 3);
             insert into ops.signing_keys (key_id, tenant_id, scopes, secret, created_at)
             select 'of_' || md5(t.tenant_id), t.tenant_id, '{ingest}', repeat('s', 32)::bytea, now() - interval '91 days'
             from ops.tenants t",
        )
        .await;
    let mut service = start(&evening.db.url_as("seatpilot_kpi"), "1");
    service.ready().await;
    let of = |family: &str| format!("{family}{{tenant=\"acme\"}}");
    let rows = of("seatpilot_dlq_rows");
    until("somebody looked", async || series(&service, &rows).await.is_some()).await;
    assert_eq!(series(&service, &rows).await, Some(3.0));
    let day = 86_400.0;
    for (family, days) in [("seatpilot_dlq_oldest_age_seconds", 2.0), ("seatpilot_key_age_seconds", 91.0)] {
        let age = series(&service, &of(family)).await.expect("the gauge is there");
        assert!((days * day..days * day + 60.0).contains(&age), "{family}: {age}");
    }
    evening.run("update telemetry.events_dlq set state = 'discarded', discard_reason = 'a test'").await;
    until("nothing waits", async || series(&service, &rows).await == Some(0.0)).await;
}

#[tokio::test]
async fn while_the_database_is_away_the_lag_grows_and_then_it_catches_up() {
    let evening = Evening::new().await;
    let elsewhere = TestDb::new().await;
    let server = elsewhere.owner().await;
    let mut service = start(&evening.db.url_as("seatpilot_kpi"), "3600");
    service.ready().await;
    let name = evening.db.name();
    server.batch_execute(&format!("alter database {name} allow_connections false")).await.unwrap();
    server
        .execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and usename = 'seatpilot_kpi'",
            &[&name],
        )
        .await
        .unwrap();
    until("it is degraded", async || service.output().contains("no contact with the database")).await;
    let before = lag(&service).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(lag(&service).await >= before + 1.0);
    assert_eq!(status(&service, "/health").await, 200);
    assert_eq!(
        status(&service, "/ready").await,
        200,
        "an outage after the first contact is no reason to be taken out"
    );

    evening.store(&[check_in(1, 5.0, 1)]).await;
    server.batch_execute(&format!("alter database {name} allow_connections true")).await.unwrap();
    until("the check-in is counted", async || evening.checked_in().await == 1).await;
}

#[tokio::test]
async fn without_a_database_it_lives_and_waits() {
    let service = start(&format!("postgres://seatpilot_kpi@127.0.0.1:{}/none", free_port()), "1");
    until("it serves", async || status(&service, "/health").await == 200).await;
    assert_eq!(status(&service, "/ready").await, 503);
    until("the lag grows", async || lag(&service).await >= 1.0).await;
    assert_eq!(status(&service, "/openapi.json").await, 200);
}

#[tokio::test]
async fn bad_configuration_ends_with_64_and_names_every_fault() {
    let mut service = start("nonsense", "0");
    let ended = service.wait(Duration::from_secs(2)).await.expect("it ends within 2 s");
    assert_eq!(ended.code(), Some(64));
    for fault in ["DATABASE_URL", "REFRESH_EVERY_SEC"] {
        assert!(service.output().contains(fault), "{}", service.output());
    }
}
