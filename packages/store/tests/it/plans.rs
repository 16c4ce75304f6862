//! Plans: no hot statement reads a whole table, whatever the planner believes of it.
//!
//! The statements are sent as the services send them, and the server says itself how often it read a table from end to
//! end: while the tables fit on a page, where a planner would read them whole and a writer would keep that plan for as long
//! as its connection lives, and with 20,000 rows of each kind.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use seatpilot_domain_model::ScanAnswer;
use uuid::Uuid;

use crate::{
    arrivals::{nonce, ping, signage},
    evening::Evening,
    events::{heartbeat, ingest, submission},
};

/// Guests, sessions, events and nonces that are there before.
const SEED: &str = "
    insert into ops.tickets (tenant_id, event_id, ticket_hash, ticket_id, name, party_size)
    select 'acme', 'gala', sha256(int8send(n)), gen_random_uuid(), 'Guest', 2 from generate_series(1, 20000) n;
    insert into ops.checkin_sessions (
        session_id, scan_id, ticket_id, device_id, checked_in_at, tenant_id, venue_id, event_id, door_id, channel, party_size,
        fingerprint)
    select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), now(), 'acme', 'hall', 'gala', 'north',
        'kiosk', 2, sha256(int8send(n))
    from generate_series(1, 20000) n;
    insert into telemetry.event_ids (id, tenant_id, body_sha256)
    select gen_random_uuid(), 'acme', '' from generate_series(1, 20000);
    insert into telemetry.events_raw (occurred_at, id, tenant_id, type, source, venue_id, data)
    select now(), gen_random_uuid(), 'acme', 'device.heartbeat', 'key', 'hall', '{}' from generate_series(1, 20000);
    insert into telemetry.ingest_nonces (ts, slot, tenant_id, key_id, nonce, body_sha256, outcomes)
    select t, (t / 300) % 8, 'acme', 'seed', 'seed-' || n, '', '{}'
    from generate_series(1, 20000) n, lateral (select extract(epoch from now())::bigint - n % 300) as s (t)";

/// Takes back what the functions of the hot statements tell the planner.
const UNTOLD: &str = "
    do $$
    declare hot regprocedure;
    begin
        for hot in select oid from pg_proc where 'enable_seqscan=off' = any (proconfig) loop
            execute format('alter function %s reset enable_seqscan', hot);
        end loop;
    end
    $$";

/// Nobody tidies meanwhile: it reads tables from end to end too.
const NOBODY_ELSE: &str = "
    do $$
    declare part regclass;
    begin
        for part in select oid from pg_class
            where relkind = 'r' and relnamespace in ('ops'::regnamespace, 'telemetry'::regnamespace) loop
            execute format('alter table %s set (autovacuum_enabled = off)', part);
        end loop;
    end
    $$";

/// How often each of the hot tables, partitions by themselves, was read from end to end.
async fn whole_reads(evening: &Evening) -> BTreeMap<String, i64> {
    let sql = "
        select relname, seq_scan from pg_stat_user_tables
        where relname in ('tickets', 'checkin_sessions', 'event_ids') or relname like any ('{events\\_raw%,ingest\\_nonces%}')";
    let rows = evening.db.owner().await.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Every hot statement, with what it admits, repeats, refuses and does not know; then waits until the server has counted.
async fn hot_statements(evening: &Evening, first: usize) {
    let count = "select n_tup_ins from pg_stat_user_tables where relid = 'ops.checkin_sessions'::regclass";
    let before = evening.count(count).await;
    {
        let (gate, sign, sender) = (evening.check_ins().await, signage(evening).await, ingest(evening).await);
        let scans: Vec<_> = (first..first + 20).map(|n| evening.scan(n)).collect();
        let answers = join_all(scans.iter().map(|scan| gate.check_in(scan.clone()))).await;
        // Once more by the same scan, once by another, and by a ticket that nobody has.
        gate.check_in(scans[0].clone()).await.unwrap();
        gate.check_in(evening.scan(first)).await.unwrap();
        gate.check_in(evening.scan(1_000_000)).await.unwrap();
        for (n, answer) in answers.into_iter().enumerate() {
            let ScanAnswer::Admitted(admission) = answer.unwrap() else { panic!("not admitted") };
            let signed = if n % 2 == 0 { None } else { nonce(&format!("ping-{first}-{n}"), 1) };
            sign.arrive(ping(evening, admission.session_id), signed.clone()).await.unwrap();
            sign.arrive(ping(evening, admission.session_id), signed).await.unwrap();
        }
        sign.arrive(ping(evening, Uuid::now_v7()), None).await.unwrap();
        for n in 0..20 {
            let body = heartbeat(Uuid::now_v7(), "{}");
            let sent = submission(evening, &format!("sent-{first}-{n}"), &body);
            sender.submit(sent.clone()).await.unwrap();
            sender.submit(sent).await.unwrap();
            let again = submission(evening, &format!("again-{first}-{n}"), &body);
            sender.submit(again).await.unwrap();
        }
    }
    // A connection tells what it did at the latest as it ends.
    let open = "select count(*) from pg_stat_activity where datname = current_database() and usename like 'seatpilot%'";
    for _ in 0..200 {
        if evening.count(open).await == 0 {
            assert_eq!(evening.count(count).await, before + 20, "the server has counted what was inserted");
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("connections stay open after their stores were dropped");
}

#[tokio::test]
async fn no_hot_statement_reads_a_whole_table_with_and_without_statistics() {
    let evening = Evening::of(100).await;
    let owner = evening.db.owner().await;
    owner.batch_execute(NOBODY_ELSE).await.unwrap();
    hot_statements(&evening, 0).await;
    owner.batch_execute("vacuum analyze").await.unwrap();
    let before = whole_reads(&evening).await;
    hot_statements(&evening, 20).await;
    assert_eq!(whole_reads(&evening).await, before, "of tables that are known to fit on a page");

    owner.batch_execute(SEED).await.unwrap();
    let mut before = whole_reads(&evening).await;
    for (first, statistics) in [(40, "select"), (60, "analyze")] {
        owner.batch_execute(statistics).await.unwrap();
        hot_statements(&evening, first).await;
        let after = whole_reads(&evening).await;
        assert_eq!(after, before, "after {statistics:?}");
        before = after;
    }
    // The control: a planner that may not use an index, and is not told to, is seen.
    owner.batch_execute(UNTOLD).await.unwrap();
    let name = evening.db.name();
    for role in ["seatpilot_checkin", "seatpilot_wayfinding", "seatpilot_ingest"] {
        let without = format!(
            "alter role {role} in database {name} set enable_indexscan = off;
             alter role {role} in database {name} set enable_bitmapscan = off;
             alter role {role} in database {name} set enable_indexonlyscan = off"
        );
        owner.batch_execute(&without).await.unwrap();
    }
    hot_statements(&evening, 80).await;
    let after = whole_reads(&evening).await;
    for table in ["tickets", "checkin_sessions", "event_ids"] {
        assert!(after[table] > before[table], "{table}: {} and then {}", before[table], after[table]);
    }
}
