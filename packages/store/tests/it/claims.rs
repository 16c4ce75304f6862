//! Tenancy as rows come out: two tenants with the same ids everywhere, every role, every claim.

use std::collections::BTreeSet;

use seatpilot_domain_model::{
    ArrivalPing, DeviceScope, KeyScope, Nonce, Place, ScanAnswer, Submission, TenantId, parse_items,
};
use seatpilot_store::{ArriveAnswer, Writes, admin::SERVICE_ROLES};
use sha2::{Digest, Sha256};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::evening::{Evening, now};

const TENANTS: [&str; 2] = ["acme", "rival"];

/// What may be claimed, and whose rows it shows.
const CLAIMS: &[(Option<&str>, &[&str])] = &[
    (None, &[]),
    (Some(""), &[]),
    (Some("{}"), &[]),
    (Some("null"), &[]),
    (Some(r#"["acme"]"#), &[]),
    (Some(r#"{"tenant_id":""}"#), &[]),
    (Some(r#"{"tenant_id":null}"#), &[]),
    (Some(r#"{"tenant_id":"%"}"#), &[]),
    (Some(r#"{"tenant_id":"nobody"}"#), &[]),
    (Some(r#"{"user_metadata":{"tenant_id":"acme"}}"#), &[]),
    (Some(r#"{"tenant_id":"acme"}"#), &["acme"]),
    (Some(r#"{"tenant_id":"rival"}"#), &["rival"]),
    (Some(r#"{"app_metadata":{"tenant_id":"rival"},"tenant_id":"acme"}"#), &["rival"]),
    (Some(r#"{"app_metadata":{"tenant_id":"rival","seatpilot_role":"viewer"}}"#), &["rival"]),
    (
        Some(r#"{"app_metadata":{"tenant_id":"rival"},"user_metadata":{"seatpilot_role":"owner"}}"#),
        &["rival"],
    ),
    (Some(OWNER), &["rival"]),
];

/// The one role that reads what owners read.
const OWNER: &str = r#"{"app_metadata":{"tenant_id":"rival","seatpilot_role":"owner"}}"#;

fn nonce(key_id: &str, nonce: &str) -> Nonce {
    Nonce { key_id: key_id.into(), ts: now().as_second(), nonce: nonce.into(), body_sha256: [1; 32] }
}

/// Two tenants on the same venue, event, tickets, scans and event ids; each with a row in every table of theirs.
pub(crate) async fn two_evenings() -> Evening {
    let evening = Evening::of(1).await;
    let rival: TenantId = TENANTS[1].parse().unwrap();
    let mut admin = evening.admin().await;
    let map = admin.venue(&evening.tenant, &evening.venue).await.unwrap().unwrap();
    admin.ensure_tenant(&rival, "Rival").await.unwrap();
    admin.publish_venue(&rival, &evening.venue, "Hall", Some("Europe/Madrid"), &map).await.unwrap();
    admin.ensure_event(&rival, &evening.event, &evening.venue, "Gala").await.unwrap();
    admin.add_device(&rival, "gate", &DeviceScope::default()).await.unwrap();
    admin.add_key(&rival, Some("rival_gate_01"), &[KeyScope::Ingest]).await.unwrap();
    admin.import_guests(&rival, &evening.venue, &[evening.guest(0)]).await.unwrap();

    let check_ins = evening.check_ins().await;
    let arrivals = evening.store("seatpilot_wayfinding", Writes::Arrivals).await;
    let ingest = evening.store("seatpilot_ingest", Writes::Events).await;
    let scan = evening.scan(0);
    let body = format!(
        r#"[{{"id":"{}","type":"device.heartbeat","occurred_at":"{}","venue_id":"hall","data":{{}}}},{{"id":1}}]"#,
        Uuid::now_v7(),
        now()
    );
    for tenant in [&evening.tenant, &rival] {
        let mut scan = scan.clone();
        scan.tenant = tenant.clone();
        let session_id = match check_ins.check_in(scan).await.unwrap() {
            ScanAnswer::Admitted(admission) => admission.session_id,
            other => panic!("{other:?}"),
        };
        let ping = ArrivalPing {
            tenant: tenant.clone(),
            ping_id: Uuid::now_v7(),
            session_id,
            telemetry_id: Uuid::now_v7(),
            place: Place { section: Some(evening.section.parse().unwrap()), ..Place::default() },
            sign: None,
            arrived_at: None,
            received_at: now(),
            trace: None,
        };
        let key_id = format!("{tenant}_gate_01");
        let arrival = arrivals.arrive(ping, Some(nonce(&key_id, "arrival"))).await.unwrap();
        assert!(matches!(arrival, ArriveAnswer::Seated { .. }), "{arrival:?}");
        let mut nonce = nonce(&key_id, "events");
        nonce.body_sha256 = Sha256::digest(body.as_bytes()).into();
        let submission = Submission {
            tenant: tenant.clone(),
            nonce,
            request_id: "req-1".into(),
            received_at: now(),
            items: parse_items(body.as_bytes(), tenant, now()).expect("items").items,
        };
        ingest.submit(submission).await.unwrap();
    }
    bills(&evening).await;
    let kpi = evening.db.client_as("seatpilot_kpi").await;
    let failed = kpi.query("select from telemetry.refresh_mv() where outcome <> 'ok'", &[]).await.unwrap();
    assert!(failed.is_empty());
    evening
}

/// A row in every table of billing, of each tenant.
async fn bills(evening: &Evening) {
    evening
        .db
        .owner()
        .await
        .batch_execute(
            "insert into app.plans (plan_id, name, currency, base_price_minor) values ('house', 'House', 'EUR', 1);
             insert into app.tenant_plans (tenant_id, from_period, plan_id)
                select tenant_id, '2026-01', 'house' from ops.tenants;
             insert into app.entitlement_overrides (tenant_id, feature, reason) select tenant_id, 'events', 'r' from ops.tenants;
             insert into app.monthly_counters (tenant_id, period, feature, for_period, venue_id, quantity)
                select tenant_id, '2026-02', 'events', '2026-02', 'hall', 1 from ops.tenants;
             insert into app.active_devices (tenant_id, for_period, device_id, period, event_id)
                select tenant_id, '2026-02', gen_random_uuid(), '2026-02', gen_random_uuid() from ops.tenants;
             insert into app.late_events (tenant_id, id, due_period, period)
                select tenant_id, gen_random_uuid(), '2026-01', '2026-02' from ops.tenants;
             insert into app.billing_credits (tenant_id, period, for_period, amount_minor, reason, made_by)
                select tenant_id, '2026-02', '2026-01', -1, 'r', 'm' from ops.tenants;
             insert into app.billing_periods (tenant_id, period, tenant_name, plan_id, plan_name, currency, total_minor, lines,
                    counted_until, closed_by, sha256)
                select tenant_id, '2026-01', 'n', '', '', 'EUR', 0, 1, now(), 'm', sha256('') from ops.tenants;
             insert into app.billing_lines (tenant_id, period, line, kind, feature, for_period, quantity, billable,
                    unit_price_minor, unit_per, amount_minor, description)
                select tenant_id, '2026-01', 1, 'base', '', '2026-01', 1, 1, 0, 1, 0, 'd' from ops.tenants",
        )
        .await
        .unwrap();
}

/// What `authenticated` sees only with the role of somebody who answers for the tenant; `bills.rs` has those roles.
const ANSWERED_FOR: &[&str] = &[
    "app.billing_periods",
    "app.billing_lines",
    "app.billing_credits",
    "app.v_tenant_billing_report",
    "telemetry.events_dlq",
    "telemetry.v_rejected_events_last_hour",
];

/// Tables and views with a tenant that the connection's role may read; whether it is a partition.
async fn readable(client: &Client) -> Vec<(String, bool)> {
    let sql = "select format('%I.%I', n.nspname, c.relname), c.relispartition
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in ('ops', 'telemetry', 'app', 'audit') and c.relkind in ('r', 'p', 'v', 'm')
            and has_schema_privilege(n.oid, 'usage')
            and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id'
                and has_column_privilege(c.oid, a.attnum, 'select'))
        order by 1";
    client.query(sql, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Reads everything under every claim. Returns what was read, partitions aside.
async fn assert_only_own_rows(client: &Client, who: &str) -> BTreeSet<String> {
    let mut read = BTreeSet::new();
    for (relation, is_partition) in readable(client).await {
        let sql = format!("select distinct tenant_id::text from {relation} order by 1");
        for (claim, own) in CLAIMS {
            match claim {
                Some(claim) => {
                    client
                        .execute("select set_config('request.jwt.claims', $1, false)", &[claim])
                        .await
                        .unwrap();
                }
                None => client.batch_execute("reset request.jwt.claims").await.unwrap(),
            }
            let seen: Vec<String> =
                client.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
            // A partition is read through its parent or not at all.
            let own: &[&str] = if is_partition { &[] } else { own };
            let owners_only = relation == "audit.log" && *claim != Some(OWNER);
            let own: &[&str] = if owners_only { &[] } else { own };
            let unanswered = who.starts_with("authenticated") && ANSWERED_FOR.contains(&relation.as_str());
            let own: &[&str] = if unanswered && *claim != Some(OWNER) { &[] } else { own };
            assert_eq!(seen, own, "{who} reads {relation} under {claim:?}");
        }
        if !is_partition {
            read.insert(relation);
        }
    }
    read
}

#[tokio::test]
async fn every_role_reads_the_rows_of_the_claimed_tenant_and_no_other() {
    let evening = two_evenings().await;
    for role in SERVICE_ROLES {
        let client = evening.db.client_as(role).await;
        let read = assert_only_own_rows(&client, role).await;
        assert_eq!(read.is_empty(), *role == "seatpilot_metrics", "{role} reads {read:?}");
    }
    for role in ["authenticated", "anon"] {
        let client = evening.db.owner().await;
        client.batch_execute(&format!("set role {role}")).await.unwrap();
        let read = assert_only_own_rows(&client, role).await;
        assert_eq!(read.is_empty(), role == "anon", "{role} reads {read:?}");
    }
}

#[tokio::test]
async fn whoever_is_granted_everything_still_reads_one_tenant() {
    let evening = two_evenings().await;
    let client = evening.db.owner().await;
    client
        .batch_execute(
            "grant select on all tables in schema ops, telemetry to authenticated; set role authenticated",
        )
        .await
        .unwrap();
    let read = assert_only_own_rows(&client, "authenticated with every grant").await;
    // Every table of a tenant's is among them, so none was empty.
    for table in
        ["ops.tickets", "ops.devices", "ops.signing_keys", "ops.checkin_sessions", "telemetry.events_raw"]
    {
        assert!(read.contains(table), "{table} is not in {read:?}");
    }
    for table in ["telemetry.events_dlq", "telemetry.ingest_nonces", "telemetry.kpi_minutes"] {
        assert!(read.contains(table), "{table} is not in {read:?}");
    }
}

#[tokio::test]
async fn a_row_of_another_tenant_is_neither_written_nor_changed() {
    let evening = two_evenings().await;
    let insert = "insert into telemetry.event_ids (id, tenant_id, body_sha256) values ($1, 'rival', '')";
    for role in ["seatpilot_checkin", "seatpilot_wayfinding", "seatpilot_ingest"] {
        let client = evening.db.client_as(role).await;
        for (claim, own) in CLAIMS {
            let claim = claim.unwrap_or_default();
            client.execute("select set_config('request.jwt.claims', $1, false)", &[&claim]).await.unwrap();
            let outcome = client.execute(insert, &[&Uuid::now_v7()]).await;
            assert_eq!(outcome.is_ok(), own == &["rival"], "{role} under {claim}: {outcome:?}");
        }
    }
    let client = evening.db.client_as("seatpilot_wayfinding").await;
    let update = "update ops.checkin_sessions set arrival_sign_id = 'x' returning tenant_id";
    for (claim, own) in CLAIMS {
        let claim = claim.unwrap_or_default();
        client.execute("select set_config('request.jwt.claims', $1, false)", &[&claim]).await.unwrap();
        let changed: Vec<String> =
            client.query(update, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
        assert_eq!(changed, *own, "{claim}");
    }
}

#[tokio::test]
async fn a_callers_own_types_never_run_as_a_functions_owner() {
    let evening = Evening::of(0).await;
    let client = evening.db.client_as("seatpilot_kpi").await;
    // Types are looked for in the temporary schema first, unless the function lists it last.
    client
        .batch_execute(
            "create function pg_temp.spy(v anyelement) returns boolean language plpgsql
             as $$ begin raise exception 'code of the caller runs as %', current_user; end $$",
        )
        .await
        .unwrap();
    for name in ["text", "timestamptz", "date", "jsonb", "pg_snapshot", "xid8", "regclass", "pg_lsn", "uuid"]
    {
        client
            .batch_execute(&format!(
                "create domain pg_temp.{name} as pg_catalog.{name} check (pg_temp.spy(value))"
            ))
            .await
            .unwrap();
    }
    for call in [
        "telemetry.retain()",
        "telemetry.refresh_mv()",
        "telemetry.rebuild_mv()",
        "telemetry.backlog()",
        "ops.tenant_ids()",
    ] {
        // `outcome` and `error` of a refresh say what was caught on the way.
        let rows = client.query(&format!("select to_jsonb(r)::pg_catalog.text from {call} r"), &[]).await;
        for row in rows.unwrap_or_else(|error| panic!("{call}: {error:?}")) {
            let row: String = row.get(0);
            assert!(!row.contains("code of the caller"), "{call}: {row}");
        }
    }
}
