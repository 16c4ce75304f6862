//! Retention: days are made ahead, old ones dropped, and what is still needed is kept.

use seatpilot_testkit::Evening;

async fn retain(evening: &Evening) -> (i32, i32, i32, i32, i32) {
    let client = evening.db.client_as("seatpilot_kpi").await;
    let row = client
        .query_one("select made, dropped, ids, letters, nonce_slots from telemetry.retain()", &[])
        .await
        .unwrap();
    (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4))
}

#[tokio::test]
async fn a_day_past_its_time_is_dropped_and_a_younger_one_is_kept() {
    let evening = Evening::of(0).await;
    let owner = evening.db.owner().await;
    owner
        .batch_execute(
            "set role seatpilot_retention;
             select telemetry.event_day_make((now() at time zone 'UTC')::date - 401);
             select telemetry.event_day_make((now() at time zone 'UTC')::date - 400);
             reset role;
             insert into telemetry.events_raw (received_at, occurred_at, id, tenant_id, type, source, venue_id, data)
             select now() - make_interval(days => d), now(), gen_random_uuid(), 'acme', 'device.heartbeat', 'k', 'v', '{}'
             from unnest(array[400, 401, 0]) as d",
        )
        .await
        .unwrap();
    let (made, dropped, ..) = retain(&evening).await;
    assert_eq!((made, dropped), (0, 1));
    assert_eq!(evening.count("select count(*) from telemetry.events_raw").await, 2);
    // Nothing is left to do.
    assert_eq!(retain(&evening).await, (0, 0, 0, 0, 0));
}

#[tokio::test]
async fn events_that_came_before_their_day_was_made_move_into_it() {
    let evening = Evening::of(0).await;
    let owner = evening.db.owner().await;
    owner
        .batch_execute(
            "do $$
             declare day text := 'events_raw_p' || to_char((now() at time zone 'UTC')::date, 'YYYYMMDD');
             begin execute format('drop table telemetry.%I', day); end $$;
             insert into telemetry.events_raw (occurred_at, id, tenant_id, type, source, venue_id, data)
             values (now(), gen_random_uuid(), 'acme', 'device.heartbeat', 'k', 'v', '{}')",
        )
        .await
        .unwrap();
    assert_eq!(evening.count("select count(*) from telemetry.events_raw_rest").await, 1);
    assert_eq!(retain(&evening).await.0, 1);
    assert_eq!(evening.count("select count(*) from telemetry.events_raw_rest").await, 0);
    assert_eq!(evening.count("select count(*) from telemetry.events_raw").await, 1);
    // The day that was made late is as closed to others as the rest.
    let open = "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
                where n.nspname = 'telemetry' and c.relname like 'events_raw%' and c.relkind in ('r', 'p')
                  and not (c.relrowsecurity and c.relforcerowsecurity)";
    assert_eq!(evening.count(open).await, 0);
}

#[tokio::test]
async fn ids_nonces_and_dead_letters_go_when_their_time_is_over_and_not_before() {
    let evening = Evening::of(0).await;
    let owner = evening.db.owner().await;
    owner
        .batch_execute(
            "insert into telemetry.event_ids (id, received_on, tenant_id, body_sha256)
             select gen_random_uuid(), current_date - d, 'acme', '' from unnest(array[0, 40, 41]) as d;
             insert into telemetry.events_dlq (tenant_id, reason, reason_detail, received_at, source_key_id, request_id,
                 payload, payload_len, payload_sha256, truncated, state, lease_until, expires_at)
             select 'acme', 'json_syntax', '', now(), 'k', 'r', '', 0, '', false, state, now() + lease, now() + e
             from (values ('parked', null::interval, interval '1 hour'), ('parked', null, '-1 hour'),
                 -- Somebody sends it again just now; somebody else did, and died.
                 ('redriving', '1 minute', '-1 hour'), ('redriving', '-1 minute', '-1 hour')) as l (state, lease, e);
             insert into telemetry.ingest_nonces (ts, slot, tenant_id, key_id, nonce, body_sha256, outcomes)
             select t, (t / 300) % 8, 'acme', 'k', 'n', '', '{}'
             from unnest(array[extract(epoch from now())::bigint - 600, extract(epoch from now())::bigint - 1900]) as t",
        )
        .await
        .unwrap();
    let (_, _, ids, letters, slots) = retain(&evening).await;
    assert_eq!((ids, letters, slots), (1, 2, 1));
    assert_eq!(evening.count("select count(*) from telemetry.events_dlq").await, 2);
    assert_eq!(evening.count("select count(*) from telemetry.ingest_nonces").await, 1);
    assert_eq!(evening.count("select count(*) from telemetry.event_ids").await, 2);
    // The floor is the newest second that was let go, no time of day.
    let floors = "select extract(epoch from now())::bigint - max(ts) from telemetry.ingest_nonce_floors having count(*) = 1";
    assert!((1_900..1_910).contains(&evening.count(floors).await));
}

#[tokio::test]
async fn a_dead_letter_is_kept_for_thirty_days_from_the_day_it_was_refused() {
    let evening = Evening::of(0).await;
    let owner = evening.db.owner().await;
    owner
        .batch_execute(
            "insert into telemetry.events_dlq (tenant_id, reason, reason_detail, received_at, source_key_id, request_id,
                 payload, payload_len, payload_sha256, truncated)
             values ('acme', 'json_syntax', '', now(), 'k', 'r', '', 0, '', false)",
        )
        .await
        .unwrap();
    for (days, letters) in [(29, 0), (31, 1)] {
        // As if it had been refused so many days ago.
        let aged = "update telemetry.events_dlq set expires_at = expires_at - make_interval(days => $1)";
        owner.execute(aged, &[&days]).await.unwrap();
        assert_eq!(retain(&evening).await.3, letters, "{days} days old");
        owner
            .execute(
                "update telemetry.events_dlq set expires_at = expires_at + make_interval(days => $1)",
                &[&days],
            )
            .await
            .unwrap();
    }
    assert_eq!(evening.count("select count(*) from telemetry.events_dlq").await, 0);
}

#[tokio::test]
async fn a_busy_table_is_left_for_the_next_time_and_nobody_waits_behind_it() {
    let evening = Evening::of(0).await;
    let owner = evening.db.owner().await;
    owner
        .batch_execute(
            "set role seatpilot_retention;
             select telemetry.event_day_make((now() at time zone 'UTC')::date - 401);
             reset role;",
        )
        .await
        .unwrap();
    let reader = evening.db.owner().await;
    reader.batch_execute("begin; select count(*) from telemetry.events_raw").await.unwrap();
    assert_eq!(retain(&evening).await.1, 0);
    reader.batch_execute("commit").await.unwrap();
    assert_eq!(retain(&evening).await.1, 1);
}
