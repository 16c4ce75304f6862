//! What the catalogue has to be so that tables can be spread over servers by `tenant_id`, as Citus does: every table has a
//! kind, every unique key of a spread one contains the tenant, no reference leads where Citus has none; and what still
//! stands in the way is exactly what `docs/scaling.md` says. Each rule is seen to catch a hole that is planted for it.
//!
//! The rules are Citus' own, as its sources have them; no server with it could be had to try them on.

use std::collections::BTreeSet;

use seatpilot_testkit::TestDb;
use tokio_postgres::Client;

/// Grow with guests, events or months: rows of a tenant lie together on one server.
const SPREAD: &[&str] = &[
    "app.active_devices",
    "app.billing_lines",
    "app.billing_periods",
    "app.late_events",
    "app.monthly_counters",
    "audit.heads",
    "audit.log",
    "ops.checkin_sessions",
    "ops.tickets",
    "telemetry.event_ids",
    "telemetry.events_dlq",
    "telemetry.events_raw",
    "telemetry.ingest_nonces",
    "telemetry.kpi_minutes",
    "telemetry.mv_kpi_checkin",
    "telemetry.mv_kpi_door2seat",
];

/// Small and the same on every server. A unique key of these may be without the tenant.
const REFERENCE: &[&str] = &[
    // Asked before there is a tenant: a token and a key's id say whose the caller is.
    "ops.devices",
    "ops.signing_keys",
    "ops.tenants",
    // Places and evenings, that tickets refer to: written by hand, read by every check-in.
    "ops.doors",
    "ops.events",
    "ops.seats",
    "ops.sections",
    "ops.tables",
    "ops.venue_maps",
    "ops.venues",
    // The price list, and who bought what.
    "app.billing_credits",
    "app.currencies",
    "app.entitlement_overrides",
    "app.entitlements",
    "app.features",
    "app.plans",
    "app.tenant_plans",
    // Asked by the trigger of the nonces, wherever these lie.
    "telemetry.ingest_nonce_floors",
];

/// How far counting and refreshing is: of no tenant, on one server only.
const LOCAL: &[&str] = &[
    "app.job_runs",
    "app.metering_progress",
    "telemetry.mv_metadata",
    "telemetry.mv_progress",
    "telemetry.mv_refresh_log",
];

/// Tables, partitions included, that have triggers, which Citus takes only with `citus.enable_unsafe_triggers`.
const WITH_TRIGGERS: &[&str] = &[
    "app.billing_credits",
    "app.billing_lines",
    "app.billing_periods",
    "app.entitlement_overrides",
    "app.entitlements",
    "app.late_events",
    "app.plans",
    "app.tenant_plans",
    "audit.heads",
    "audit.log",
    "ops.devices",
    "ops.doors",
    "ops.events",
    "ops.signing_keys",
    "ops.tenants",
    "ops.venues",
    "telemetry.ingest_nonces",
];

struct Rule {
    says: &'static str,
    /// Answers one line for each object that breaks the rule.
    broken_by: &'static str,
    /// Each breaks it.
    planted: &'static [&'static str],
}

/// `$tables` stands for every table of ours with its kind: a partition has its parent's.
const RULES: &[Rule] = &[
    Rule {
        says: "every table has a kind",
        broken_by: "select t.name from ($tables) t where t.kind is null",
        planted: &[
            "create table ops.later (tenant_id text collate \"C\" not null)",
            "create table telemetry.later (name text)",
        ],
    },
    Rule {
        says: "a spread table has the tenant, and one without it is not spread",
        broken_by: "select t.name from ($tables) t where t.kind = 'spread' and t.tenant is null",
        planted: &["alter table telemetry.event_ids drop column tenant_id cascade"],
    },
    Rule {
        says: "what is unique, or excludes, in a spread table or its partition contains the tenant",
        broken_by: "select i.indexrelid::regclass::text from pg_index i join ($tables) t on t.oid = i.indrelid
            where t.kind = 'spread' and (i.indisunique or i.indisexclusion)
                and not t.tenant = any ((i.indkey::int2[])[0:i.indnkeyatts - 1])",
        planted: &[
            // What the nonces' key was before 116.
            "alter table telemetry.ingest_nonces drop constraint ingest_nonces_key,
             add constraint ingest_nonces_key primary key (nonce, ts, key_id, slot)",
            "create unique index later on telemetry.event_ids (id)",
            "create unique index later on telemetry.event_ids (id) include (tenant_id)",
            "create unique index later on telemetry.events_dlq (dlq_id) where state = 'parked'",
            "create unique index later on ops.checkin_sessions (session_id, (tenant_id || ''))",
            "create unique index later on telemetry.events_raw_rest (id)",
            "alter table ops.checkin_sessions add constraint later exclude using btree (scan_id with =)",
        ],
    },
    Rule {
        says: "a spread table refers to a reference table, or with the tenant to a spread one of the same type",
        broken_by: "select k.conrelid::regclass || ' ' || k.conname
            from pg_constraint k join ($tables) t on t.oid = k.conrelid join ($tables) f on f.oid = k.confrelid
            where k.contype = 'f' and t.kind = 'spread' and not coalesce(
                f.kind = 'reference'
                or f.kind = 'spread' and t.type = f.type
                    and t.tenant = k.conkey[array_position(k.confkey, f.tenant)], false)",
        planted: &[
            "alter table telemetry.event_ids add column later text references telemetry.mv_metadata",
            // Of two types: they do not lie together.
            "alter table telemetry.events_dlq add foreign key (tenant_id) references audit.heads",
            "alter table app.active_devices add column month text collate \"C\",
             add foreign key (month, for_period) references app.billing_periods",
        ],
    },
    Rule {
        says: "a reference table refers to a reference table, and a local one to no spread one",
        broken_by: "select k.conrelid::regclass || ' ' || k.conname
            from pg_constraint k join ($tables) t on t.oid = k.conrelid join ($tables) f on f.oid = k.confrelid
            where k.contype = 'f' and (
                t.kind = 'reference' and f.kind is distinct from 'reference' or t.kind = 'local' and f.kind = 'spread')",
        planted: &[
            "alter table ops.tenants add foreign key (tenant_id) references audit.heads",
            "alter table telemetry.mv_progress add column later text collate \"C\" references audit.heads",
        ],
    },
    Rule {
        says: "tenants lie together: one type and collation, but for the audit log, which nothing refers to",
        broken_by: "select t.name || ' ' || t.type from ($tables) t
            where t.kind = 'spread' and t.type <> case when t.name like 'audit.%' then 'ops.slug C' else 'text C' end",
        planted: &[
            "alter table telemetry.event_ids rename tenant_id to was;
             alter table telemetry.event_ids add tenant_id ops.slug",
            "alter table telemetry.event_ids rename tenant_id to was;
             alter table telemetry.event_ids add tenant_id text collate \"POSIX\"",
        ],
    },
    Rule {
        says: "partitions have one level",
        broken_by: "select t.name from ($tables) t where t.relispartition and t.relkind = 'p'",
        planted: &[
            "create table telemetry.later partition of telemetry.events_raw
             for values from ('2001-01-01') to ('2001-01-02') partition by list (tenant_id)",
        ],
    },
    Rule {
        says: "triggers are on the tables that are said to have some",
        broken_by: "select distinct t.whole from ($tables) t join pg_trigger g on g.tgrelid = t.oid
            where not g.tgisinternal and t.kind <> 'local' and t.whole <> all ($with_triggers)",
        planted: &[
            "create trigger later after insert on telemetry.event_ids
             for each statement execute function ops.tell_services('later')",
        ],
    },
];

fn list(names: &[&str]) -> String {
    format!("array['{}']", names.join("','"))
}

async fn findings(client: &Client, rule: &Rule) -> Vec<String> {
    let tables = format!(
        "select *, case when whole = any ({}) then 'spread' when whole = any ({}) then 'reference'
                when whole = any ({}) then 'local' end as kind
         from (
            select c.*, c.oid::regclass::text as name,
                coalesce((select i.inhparent from pg_inherits i where i.inhrelid = c.oid and c.relispartition), c.oid)
                    ::regclass::text as whole,
                a.attnum as tenant, format_type(a.atttypid, a.atttypmod) || ' ' || l.collname as type
            from pg_class c
            left join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
            left join pg_collation l on l.oid = a.attcollation
            where c.relnamespace::regnamespace::text in ('ops', 'telemetry', 'app', 'audit') and c.relkind in ('r', 'p')
         ) named",
        list(SPREAD),
        list(REFERENCE),
        list(LOCAL)
    );
    let sql = rule.broken_by.replace("$tables", &tables).replace("$with_triggers", &list(WITH_TRIGGERS));
    let rows = client.query(&sql, &[]).await.unwrap_or_else(|error| panic!("{}: {error:?}", rule.says));
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn every_rule_of_spreading_by_tenant_holds_and_catches_the_hole_it_is_there_for() {
    let db = TestDb::new().await;
    let client = db.owner().await;
    for rule in RULES {
        assert_eq!(findings(&client, rule).await, Vec::<String>::new(), "{}", rule.says);
        for hole in rule.planted {
            client.batch_execute("begin").await.unwrap();
            client.batch_execute(hole).await.unwrap_or_else(|error| panic!("{hole}: {error:?}"));
            assert!(!findings(&client, rule).await.is_empty(), "{}: not seen: {hole}", rule.says);
            client.batch_execute("rollback").await.unwrap();
        }
    }
}

/// Names in back quotes in the line of the page that begins so.
fn said(line: &str) -> BTreeSet<&'static str> {
    const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/scaling.md"));
    let mut lines = PAGE.lines().filter_map(|text| text.strip_prefix(line));
    let text = lines.next().unwrap_or_else(|| panic!("no line begins with {line:?}"));
    text.split('`').skip(1).step_by(2).collect()
}

#[tokio::test]
async fn the_page_names_every_table_by_its_kind_and_what_stands_in_the_way() {
    let db = TestDb::new().await;
    let client = db.owner().await;
    for (line, names) in
        [("| spread by `tenant_id` |", SPREAD), ("| reference |", REFERENCE), ("| local |", LOCAL)]
    {
        assert_eq!(said(line), names.iter().copied().collect(), "{line}");
    }
    assert_eq!(said("| with triggers |"), WITH_TRIGGERS.iter().copied().collect());
    // What is listed is there: a name that nothing has any more is taken off the lists.
    for name in [SPREAD, REFERENCE, LOCAL].concat() {
        let there = client.query_one("select to_regclass($1) is not null", &[&name]).await.unwrap();
        assert!(there.get::<_, bool>(0), "{name}");
    }
    for name in WITH_TRIGGERS {
        let sql = "select count(*) from pg_trigger where tgrelid = to_regclass($1) and not tgisinternal";
        assert!(client.query_one(sql, &[name]).await.unwrap().get::<_, i64>(0) > 0, "{name}");
    }
    // The two other obstacles that the page speaks of; once they are gone, so is its sentence.
    let policies = "select count(*) from pg_policy where pg_get_expr(polqual, polrelid) like '%( SELECT telemetry.claim%'";
    assert!(client.query_one(policies, &[]).await.unwrap().get::<_, i64>(0) > 0);
    let xids = "select count(*) from pg_attribute where attrelid = 'telemetry.events_raw'::regclass and atttypid = 'xid8'::regtype
        and not attisdropped and attnum > 0";
    assert_eq!(client.query_one(xids, &[]).await.unwrap().get::<_, i64>(0), 1);
}
