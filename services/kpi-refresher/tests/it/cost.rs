//! The cost follows what is new, not what is stored. Rows are counted, not milliseconds: a busy machine is no reason
//! to fail.

use crate::evening::{ARRIVALS, CHECK_INS, Evening, crowd};

#[tokio::test]
async fn a_refresh_reads_what_is_new_and_not_what_is_stored() {
    reads_what_is_new(8).await;
}

/// Where statistics say that any row may be of the transaction that is looked for.
#[tokio::test]
async fn a_refresh_after_an_import_in_one_transaction_reads_no_more() {
    reads_what_is_new(1).await;
}

async fn reads_what_is_new(transactions: i32) {
    let evening = Evening::new().await;
    for of in 0..transactions {
        let hours = (0..8).filter(|hour| hour % transactions == of);
        let stored: Vec<_> = hours
            .flat_map(|hour| {
                crowd(2_500, 7).into_iter().map(move |mut event| {
                    event.second += hour * 3_600;
                    event
                })
            })
            .collect();
        evening.store(&stored).await;
    }
    evening.refresh_all().await;
    evening.run("analyze").await;
    let rows = evening.number("select count(*) from telemetry.kpi_minutes").await;
    assert!(rows > 1_500, "{rows}");

    let new = crowd(40, 99);
    evening.store(&new).await;
    // A session that has read nothing yet, and plans as the service's role does: once, for every batch.
    let mut session = evening.db.owner().await;
    session.batch_execute("set plan_cache_mode = force_generic_plan").await.unwrap();
    let transaction = session.transaction().await.unwrap();
    for view in [CHECK_INS, ARRIVALS] {
        let row =
            transaction.query_one("select rows_read from telemetry.refresh_mv($1)", &[&view]).await.unwrap();
        assert!(row.get::<_, i64>(0) > 0);
    }
    let read = transaction
        .query_one(
            "select coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint, string_agg(relname || ' ' || seq_tup_read || ' ' || coalesce(idx_tup_fetch, 0), ', ') filter (where seq_tup_read + coalesce(idx_tup_fetch, 0) > 0)
             from pg_stat_xact_user_tables where relname like 'events_raw%' or relname like '%kpi%'",
            &[],
        )
        .await
        .unwrap();
    let (read, where_to): (i64, &str) = (read.get(0), read.get(1));
    // Each view looks at every new event twice (how many there are, and what they say) and at its minute.
    assert!(read > 0 && read <= 40 * 8, "{read} rows read for 40 new ones: {where_to}");
}
