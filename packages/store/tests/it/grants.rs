//! Who may do what, written down: a grant that is not on this list, or is missing from the database, fails.

use std::collections::BTreeSet;

use seatpilot_testkit::TestDb;

/// Role, privilege, objects: all there is beyond the owner's own.
const GRANTS: &[(&str, &str, &str)] = &[
    // Check-in decides from tickets, writes sessions and their events, reads maps and doors.
    (
        "seatpilot_checkin",
        "select",
        "ops.tickets ops.venues ops.venue_maps ops.doors ops.events ops.checkin_sessions",
    ),
    ("seatpilot_checkin", "insert", "ops.checkin_sessions telemetry.events_raw telemetry.event_ids"),
    (
        "seatpilot_checkin",
        "execute",
        "ops.device_by_token_hash ops.tenant_ids ops.session_check_in ops.session_standing",
    ),
    ("seatpilot_checkin", "execute", "telemetry.claim telemetry.uuid_v7"),
    // Wayfinding reads maps, closes sessions, remembers the nonces of signed pings.
    ("seatpilot_wayfinding", "select", "ops.venues ops.venue_maps ops.doors ops.events ops.checkin_sessions"),
    ("seatpilot_wayfinding", "select", "telemetry.ingest_nonces"),
    ("seatpilot_wayfinding", "insert", "telemetry.events_raw telemetry.event_ids telemetry.ingest_nonces"),
    (
        "seatpilot_wayfinding",
        "update",
        "ops.checkin_sessions.arrived_at ops.checkin_sessions.arrival_recorded_at",
    ),
    (
        "seatpilot_wayfinding",
        "update",
        "ops.checkin_sessions.arrival_ping_id ops.checkin_sessions.arrival_sign_id",
    ),
    ("seatpilot_wayfinding", "execute", "ops.device_by_token_hash ops.signing_key_by_id ops.tenant_ids"),
    ("seatpilot_wayfinding", "execute", "ops.session_arrive ops.session_arrival_standing"),
    ("seatpilot_wayfinding", "execute", "telemetry.claim telemetry.uuid_v7 telemetry.routes_served"),
    ("seatpilot_wayfinding", "select", "telemetry.event_ids.id"),
    // Ingest writes events, dead letters and nonces, and reads only what says whether an id or a nonce is known.
    ("seatpilot_ingest", "select", "telemetry.event_ids telemetry.ingest_nonces"),
    (
        "seatpilot_ingest",
        "insert",
        "telemetry.event_ids telemetry.ingest_nonces telemetry.events_raw telemetry.events_dlq",
    ),
    (
        "seatpilot_ingest",
        "execute",
        "ops.signing_key_by_id ops.tenant_ids telemetry.event_ingest telemetry.event_standing telemetry.event_body",
    ),
    ("seatpilot_ingest", "execute", "telemetry.is_jsonb telemetry.claim telemetry.uuid_v7"),
    // The refresher starts what others do, and reads how it went.
    ("seatpilot_kpi", "select", "telemetry.mv_metadata telemetry.mv_refresh_log telemetry.v_mv_staleness"),
    ("seatpilot_kpi", "execute", "telemetry.refresh_mv telemetry.rebuild_mv telemetry.retain ops.tenant_ids"),
    ("seatpilot_kpi", "execute", "telemetry.claim telemetry.uuid_v7 telemetry.backlog"),
    // Of letters and keys it sees how many and how old, and nothing of what is in them.
    ("seatpilot_kpi", "select", "telemetry.events_dlq.tenant_id telemetry.events_dlq.state"),
    ("seatpilot_kpi", "select", "telemetry.events_dlq.received_at telemetry.events_dlq.lease_until"),
    ("seatpilot_kpi", "select", "ops.signing_keys.tenant_id"),
    ("seatpilot_kpi", "select", "ops.signing_keys.created_at ops.signing_keys.rotated_at"),
    ("seatpilot_kpi", "select", "ops.signing_keys.revoked_at"),
    ("seatpilot_metrics", "execute", "ops.tenant_ids"),
    // People with a login.
    (
        "authenticated",
        "select",
        "ops.venues ops.doors ops.sections ops.tables ops.seats ops.events telemetry.events_raw",
    ),
    ("authenticated", "select", "telemetry.mv_kpi_checkin telemetry.mv_kpi_door2seat telemetry.mv_metadata"),
    ("authenticated", "select", "telemetry.v_mv_staleness telemetry.v_event_counts_last_hour"),
    ("authenticated", "select", "audit.log"), // of people, owners
    ("authenticated", "select", "telemetry.events_dlq"), // of people, admins and owners
    // Dead letters are sent again and given up by functions, which see one tenant.
    ("seatpilot_ingest", "execute", "telemetry.dlq_claim telemetry.dlq_settle telemetry.dlq_standing"),
    ("seatpilot_ingest", "execute", "telemetry.dlq_discard"),
    ("seatpilot_redrive", "usage", "telemetry audit"),
    ("seatpilot_redrive", "select", "telemetry.events_dlq telemetry.event_ids"),
    ("seatpilot_redrive", "insert", "telemetry.events_raw telemetry.event_ids"),
    (
        "seatpilot_redrive",
        "update",
        "telemetry.events_dlq.state telemetry.events_dlq.attempts telemetry.events_dlq.lease_token",
    ),
    (
        "seatpilot_redrive",
        "update",
        "telemetry.events_dlq.lease_until telemetry.events_dlq.redriven_event_id telemetry.events_dlq.resolved_by",
    ),
    (
        "seatpilot_redrive",
        "update",
        "telemetry.events_dlq.resolved_at telemetry.events_dlq.last_reason telemetry.events_dlq.last_detail",
    ),
    (
        "seatpilot_redrive",
        "update",
        "telemetry.events_dlq.last_failed_at telemetry.events_dlq.discard_reason",
    ),
    ("seatpilot_redrive", "execute", "telemetry.dlq_tenant telemetry.dlq_actor telemetry.event_body"),
    ("seatpilot_redrive", "execute", "telemetry.event_standing telemetry.is_jsonb audit.append"),
    // An act leaves its row by a function; nobody writes the log itself.
    ("seatpilot_ingest", "execute", "audit.append"),
    ("seatpilot_audit", "select insert", "audit.log audit.heads"),
    ("seatpilot_audit", "update", "audit.heads"),
    ("seatpilot_audit", "execute", "audit.field audit.hash_of"),
    ("seatpilot_audit", "usage", "audit telemetry"),
    ("seatpilot_ingest", "usage", "audit"),
    ("authenticated", "usage", "audit"),
    // The owners of security definer functions, which nobody logs in as.
    ("seatpilot_lookup", "select", "ops.tenants ops.devices ops.signing_keys"),
    ("seatpilot_rollup", "select", "telemetry.events_raw telemetry.kpi_minutes telemetry.mv_progress"),
    ("seatpilot_rollup", "update", "telemetry.events_raw.xid"),
    ("seatpilot_rollup", "insert update delete", "telemetry.kpi_minutes telemetry.mv_progress"),
    (
        "seatpilot_rollup",
        "select insert update delete",
        "telemetry.mv_kpi_checkin telemetry.mv_kpi_door2seat",
    ),
    ("seatpilot_rollup", "select insert update delete", "telemetry.mv_metadata telemetry.mv_refresh_log"),
    ("seatpilot_retention", "select delete", "telemetry.event_ids telemetry.events_dlq"),
    ("seatpilot_retention", "select", "telemetry.ingest_nonces"),
    // What was let go is remembered, and what was signed before it is refused.
    ("seatpilot_retention", "select insert update", "telemetry.ingest_nonce_floors"),
    ("seatpilot_ingest", "select", "telemetry.ingest_nonce_floors"),
    ("seatpilot_wayfinding", "select", "telemetry.ingest_nonce_floors"),
    ("seatpilot_rest", "select", "telemetry.ingest_nonce_floors"),
    ("seatpilot_retention", "select truncate", "telemetry.ingest_nonces_0 telemetry.ingest_nonces_1"),
    ("seatpilot_retention", "select truncate", "telemetry.ingest_nonces_2 telemetry.ingest_nonces_3"),
    ("seatpilot_retention", "select truncate", "telemetry.ingest_nonces_4 telemetry.ingest_nonces_5"),
    ("seatpilot_retention", "select truncate", "telemetry.ingest_nonces_6 telemetry.ingest_nonces_7"),
    // Limits and usage of the month, one claim after the other.
    ("seatpilot_checkin", "select", "app.features app.plans app.entitlements app.tenant_plans"),
    ("seatpilot_checkin", "select", "app.entitlement_overrides app.monthly_counters"),
    ("seatpilot_checkin", "execute", "app.entitlements_in_force app.entitlements_of app.plan_in_force"),
    ("seatpilot_checkin", "usage", "app"),
    ("seatpilot_wayfinding", "select", "app.features app.plans app.entitlements app.tenant_plans"),
    ("seatpilot_wayfinding", "select", "app.entitlement_overrides app.monthly_counters"),
    ("seatpilot_wayfinding", "execute", "app.entitlements_in_force app.entitlements_of app.plan_in_force"),
    ("seatpilot_wayfinding", "usage", "app"),
    ("seatpilot_ingest", "select", "app.features app.plans app.entitlements app.tenant_plans"),
    ("seatpilot_ingest", "select", "app.entitlement_overrides app.monthly_counters"),
    ("seatpilot_ingest", "execute", "app.entitlements_in_force app.entitlements_of app.plan_in_force"),
    ("seatpilot_ingest", "usage", "app"),
    ("seatpilot_kpi", "select", "app.features app.plans app.entitlements app.tenant_plans"),
    ("seatpilot_kpi", "select", "app.entitlement_overrides app.monthly_counters"),
    ("seatpilot_kpi", "execute", "app.entitlements_in_force app.entitlements_of app.plan_in_force"),
    ("seatpilot_kpi", "usage", "app"),
    ("seatpilot_ingest", "select", "ops.venues.tenant_id ops.venues.venue_id ops.venues.time_zone"),
    ("seatpilot_kpi", "select", "ops.venues.tenant_id ops.venues.venue_id ops.venues.time_zone"),
    ("seatpilot_kpi", "execute", "app.metering_tick"),
    ("seatpilot_kpi", "select", "app.metering_progress app.job_runs"),
    // People with a login: the price list and their own usage; bills, where their role answers for them.
    ("authenticated", "usage", "app"),
    ("authenticated", "select", "app.currencies app.features app.plans app.entitlements app.tenant_plans"),
    ("authenticated", "select", "app.entitlement_overrides app.monthly_counters app.metering_progress"),
    ("authenticated", "select", "app.billing_periods app.billing_lines app.billing_credits"),
    ("authenticated", "select", "app.v_tenant_billing_report ops.tenants"),
    (
        "authenticated",
        "execute",
        "app.billing_lines_now app.billing_terms app.charge_minor app.plan_in_force",
    ),
    ("authenticated", "execute", "app.csv_cell app.csv_header app.csv_line app.one_line app.entitlements_of"),
    // The owner of counting and of the month's close.
    ("seatpilot_billing", "usage", "ops telemetry app audit"),
    ("seatpilot_billing", "execute", "audit.append telemetry.claim"),
    (
        "seatpilot_billing",
        "select",
        "app.currencies app.features app.plans app.entitlements app.tenant_plans",
    ),
    (
        "seatpilot_billing",
        "select",
        "app.entitlement_overrides app.v_metered_events app.v_tenant_billing_report",
    ),
    ("seatpilot_billing", "select", "telemetry.events_raw ops.venues ops.tenants"),
    ("seatpilot_billing", "select", "ops.checkin_sessions.tenant_id ops.checkin_sessions.session_id"),
    ("seatpilot_billing", "select", "ops.checkin_sessions.device_id"),
    ("seatpilot_billing", "select insert update delete", "app.monthly_counters app.active_devices"),
    ("seatpilot_billing", "select insert", "app.late_events app.billing_periods app.billing_lines"),
    ("seatpilot_billing", "select", "app.billing_credits"),
    ("seatpilot_billing", "select update", "app.metering_progress"),
    ("seatpilot_billing", "select insert delete", "app.job_runs"),
    (
        "seatpilot_billing",
        "execute",
        "app.billing_lines_now app.billing_terms app.charge_minor app.plan_in_force",
    ),
    (
        "seatpilot_billing",
        "execute",
        "app.csv_cell app.csv_header app.csv_line app.one_line app.billing_sha256",
    ),
    // The owner of what Supabase's REST interface shows: what ingest may, and the service key may call it.
    ("service_role", "execute", "seatpilot_rest.ingest"),
    ("service_role", "usage", "seatpilot_rest"),
    ("seatpilot_rest", "select", "telemetry.event_ids telemetry.ingest_nonces"),
    (
        "seatpilot_rest",
        "insert",
        "telemetry.event_ids telemetry.ingest_nonces telemetry.events_raw telemetry.events_dlq",
    ),
    (
        "seatpilot_rest",
        "execute",
        "ops.signing_key_by_id ops.tenant_ids telemetry.event_ingest telemetry.event_standing telemetry.event_body",
    ),
    ("seatpilot_rest", "execute", "telemetry.is_jsonb telemetry.claim telemetry.uuid_v7"),
    ("seatpilot_rest", "select", "app.features app.plans app.entitlements app.tenant_plans"),
    ("seatpilot_rest", "select", "app.entitlement_overrides app.monthly_counters"),
    ("seatpilot_rest", "execute", "app.entitlements_in_force app.entitlements_of app.plan_in_force"),
    ("seatpilot_rest", "select", "ops.venues.tenant_id ops.venues.venue_id ops.venues.time_zone"),
    ("seatpilot_rest", "select", "supabase_migrations.schema_migrations.version"),
    ("seatpilot_rest", "usage", "ops telemetry app supabase_migrations"),
    // Schemas.
    ("seatpilot_checkin", "usage", "ops telemetry supabase_migrations"),
    ("seatpilot_wayfinding", "usage", "ops telemetry supabase_migrations"),
    ("seatpilot_ingest", "usage", "ops telemetry supabase_migrations"),
    ("seatpilot_kpi", "usage", "ops telemetry supabase_migrations"),
    ("seatpilot_metrics", "usage", "ops telemetry supabase_migrations"),
    ("seatpilot_lookup", "usage", "ops telemetry"),
    ("seatpilot_rollup", "usage", "ops telemetry"),
    ("seatpilot_retention", "usage", "ops telemetry"),
    ("seatpilot_retention", "create", "telemetry"), // a partition a day
    ("authenticated", "usage", "ops telemetry"),
    // The ledger, for readiness.
    ("seatpilot_checkin", "select", "supabase_migrations.schema_migrations.version"),
    ("seatpilot_wayfinding", "select", "supabase_migrations.schema_migrations.version"),
    ("seatpilot_ingest", "select", "supabase_migrations.schema_migrations.version"),
    ("seatpilot_kpi", "select", "supabase_migrations.schema_migrations.version"),
    ("seatpilot_metrics", "select", "supabase_migrations.schema_migrations.version"),
    // Everybody.
    ("public", "execute", "telemetry.claim_tenant_id telemetry.claim_role"),
    ("public", "usage", "public"),
];

/// One line a grant to somebody else than the owner: role, privilege, object.
const GRANTED: &str = "
    with objects (acl, owner, name, namespace) as (
        select coalesce(c.relacl, acldefault(case c.relkind when 'S' then 's' else 'r' end::\"char\", c.relowner)),
            c.relowner, c.relnamespace::regnamespace || '.' || c.relname, c.relnamespace
        from pg_class c where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
        union all
        select a.attacl, c.relowner, c.relnamespace::regnamespace || '.' || c.relname || '.' || a.attname, c.relnamespace
        from pg_attribute a join pg_class c on c.oid = a.attrelid where a.attacl is not null
        union all
        select coalesce(f.proacl, acldefault('f', f.proowner)), f.proowner,
            f.pronamespace::regnamespace || '.' || f.proname, f.pronamespace
        from pg_proc f
        union all
        select coalesce(n.nspacl, acldefault('n', n.nspowner)), n.nspowner, n.nspname, n.oid from pg_namespace n
    )
    select coalesce(r.rolname, 'public') || ' ' || lower(a.privilege_type) || ' ' || o.name
        || case when a.is_grantable then ' with grant option' else '' end
    from objects o
    cross join lateral aclexplode(o.acl) a
    left join pg_roles r on r.oid = a.grantee
    where a.grantee <> o.owner
        and o.namespace::regnamespace::text in ('ops', 'telemetry', 'app', 'audit', 'public', 'seatpilot_rest', 'supabase_migrations')";

async fn granted(client: &tokio_postgres::Client) -> BTreeSet<String> {
    client.query(GRANTED, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

fn listed() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (role, privileges, objects) in GRANTS {
        for privilege in privileges.split(' ') {
            for object in objects.split(' ') {
                let line = format!("{role} {privilege} {object}");
                assert!(all.insert(line.clone()), "listed twice: {line}");
            }
        }
    }
    all
}

#[tokio::test]
async fn everybody_may_do_what_is_listed_and_nothing_else() {
    let db = TestDb::new().await;
    let granted = granted(&db.owner().await).await;
    let listed = listed();
    assert_eq!(granted.difference(&listed).collect::<Vec<_>>(), Vec::<&String>::new(), "granted, not listed");
    assert_eq!(listed.difference(&granted).collect::<Vec<_>>(), Vec::<&String>::new(), "listed, not granted");
}

#[tokio::test]
async fn a_grant_too_many_is_seen() {
    let db = TestDb::new().await;
    let client = db.owner().await;
    let listed = listed();
    for (hole, seen) in [
        (
            "grant truncate on telemetry.events_raw to seatpilot_ingest",
            "seatpilot_ingest truncate telemetry.events_raw",
        ),
        ("grant references on ops.tickets to authenticated", "authenticated references ops.tickets"),
        ("grant select (name) on ops.tickets to anon", "anon select ops.tickets.name"),
        ("grant select on telemetry.events_raw_rest to public", "public select telemetry.events_raw_rest"),
        ("grant insert on audit.log to seatpilot_ingest", "seatpilot_ingest insert audit.log"),
        ("grant create on schema ops to seatpilot_kpi", "seatpilot_kpi create ops"),
        (
            "grant execute on function telemetry.retain to seatpilot_metrics",
            "seatpilot_metrics execute telemetry.retain",
        ),
        (
            "grant select on ops.tickets to seatpilot_checkin with grant option",
            "seatpilot_checkin select ops.tickets with grant option",
        ),
    ] {
        client.batch_execute("begin").await.unwrap();
        client.batch_execute(hole).await.unwrap();
        let too_many: Vec<String> = granted(&client).await.difference(&listed).cloned().collect();
        client.batch_execute("rollback").await.unwrap();
        assert_eq!(too_many, [seen], "{hole}");
    }
}
