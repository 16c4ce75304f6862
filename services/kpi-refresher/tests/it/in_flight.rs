//! Transactions that are open while somebody refreshes, and refreshes that meet.

use std::time::Duration;

use futures_util::future::join_all;

use crate::evening::{CHECK_INS, Evening, check_in, insert, refresh};

#[tokio::test]
async fn an_open_transaction_is_neither_skipped_nor_counted_twice() {
    let evening = Evening::new().await;
    let slow = evening.db.owner().await;
    slow.batch_execute("begin").await.unwrap();
    insert(&slow, &[check_in(1, 5.0, 1), check_in(2, 5.0, 1)]).await;

    // Younger ones are not held up by it.
    evening.store(&[check_in(3, 5.0, 1)]).await;
    assert_eq!(evening.refresh(CHECK_INS).await.events, 1);
    evening.store(&[check_in(4, 5.0, 1)]).await;
    assert_eq!(evening.refresh(CHECK_INS).await.events, 1);

    // It writes more than before, and then ends.
    insert(&slow, &[check_in(5, 5.0, 1)]).await;
    slow.batch_execute("commit").await.unwrap();
    assert_eq!(evening.refresh(CHECK_INS).await.events, 3);
    assert_eq!(evening.refresh(CHECK_INS).await.events, 0);
    assert_eq!(evening.checked_in().await, 5);
}

#[tokio::test]
async fn a_transaction_that_ends_between_the_look_and_the_reading_counts_once() {
    let evening = Evening::new().await;
    // The shipped function, with a pause where a transaction may end.
    evening
        .run(
            "do $do$
             declare
                 f text := pg_get_functiondef('telemetry.mv_advance(text, boolean)'::regprocedure);
                 looked text := 'perform telemetry.events_raw_settle(own_xid);';
             begin
                 if position(looked in f) = 0 then raise 'the function is another'; end if;
                 execute replace(f, looked, looked || ' perform pg_sleep(0.4);');
             end $do$",
        )
        .await;
    let slow = evening.db.owner().await;
    slow.batch_execute("begin").await.unwrap();
    insert(&slow, &[check_in(1, 5.0, 1)]).await;
    // A younger one has ended, so that the open one lies below what the refresh saw.
    evening.store(&[check_in(2, 5.0, 1)]).await;
    let end = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        slow.batch_execute("commit").await.unwrap();
    };
    let (first, ()) = tokio::join!(evening.refresh(CHECK_INS), end);
    assert_eq!(first.events, 1);
    assert_eq!(evening.refresh(CHECK_INS).await.events, 1);
    assert_eq!(evening.checked_in().await, 2);
}

#[tokio::test]
async fn what_is_rolled_back_never_counts() {
    let evening = Evening::new().await;
    let slow = evening.db.owner().await;
    slow.batch_execute("begin").await.unwrap();
    insert(&slow, &[check_in(1, 5.0, 1)]).await;
    assert_eq!(evening.refresh(CHECK_INS).await.events, 0);
    slow.batch_execute("rollback").await.unwrap();
    evening.store(&[check_in(2, 5.0, 1)]).await;
    assert_eq!(evening.refresh(CHECK_INS).await.events, 1);
    assert_eq!(evening.checked_in().await, 1);
}

#[tokio::test]
async fn complete_until_waits_for_open_transactions_and_as_of_does_not() {
    const PASSED: &str = "select count(*) from telemetry.mv_metadata m, opened o
        where m.view = 'mv_kpi_checkin' and m.complete_until > o.at";
    let evening = Evening::new().await;
    let slow = evening.db.owner().await;
    slow.batch_execute("begin").await.unwrap();
    insert(&slow, &[check_in(1, 5.0, 1)]).await;
    evening.run("create table opened as select clock_timestamp() as at").await;
    for _ in 0..3 {
        evening.refresh_all().await;
    }
    assert_eq!(evening.number(PASSED).await, 0);
    let looked = "select count(*) from telemetry.mv_metadata m, opened o where m.as_of > o.at";
    assert_eq!(evening.number(looked).await, 2);
    slow.batch_execute("commit").await.unwrap();
    // Other tests' transactions are open in the same cluster: it may take a moment.
    for _ in 0..200 {
        evening.refresh_all().await;
        if evening.number(PASSED).await == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("complete_until never passed a transaction that had ended");
}

#[tokio::test]
async fn one_refresh_of_a_view_at_a_time() {
    let evening = Evening::new().await;
    evening.store(&[check_in(1, 5.0, 1)]).await;
    let first = evening.db.client_as("seatpilot_kpi").await;
    first.batch_execute("begin").await.unwrap();
    assert_eq!(refresh(&first, CHECK_INS).await.outcome, "ok");
    let second = evening.refresh(CHECK_INS).await;
    assert_eq!((second.outcome.as_str(), second.events), ("busy", 0));
    first.batch_execute("commit").await.unwrap();
    assert_eq!(evening.refresh(CHECK_INS).await.outcome, "ok");
    assert_eq!(evening.checked_in().await, 1);
    let logged = evening.texts("select outcome from telemetry.mv_refresh_log order by refresh_id").await;
    assert_eq!(logged, ["ok", "ok"], "what did nothing is not logged");
}

#[tokio::test]
async fn writers_and_refreshers_at_once_lose_and_double_nothing() {
    let evening = Evening::new().await;
    let writers = (0..6).map(async |writer| {
        let client = evening.db.owner().await;
        for turn in 0..25 {
            insert(&client, &[check_in(writer, 5.0, 1), check_in(turn * 7, 5.0, 1)]).await;
        }
    });
    let refreshers = (0..3).map(async |_| {
        let client = evening.db.client_as("seatpilot_kpi").await;
        for _ in 0..20 {
            let answer = refresh(&client, CHECK_INS).await;
            assert_ne!(answer.outcome, "failed", "{answer:?}");
        }
    });
    tokio::join!(join_all(writers), join_all(refreshers));
    assert_eq!(evening.refresh(CHECK_INS).await.outcome, "ok");
    assert_eq!(evening.checked_in().await, 6 * 25 * 2);
}
