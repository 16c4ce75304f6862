//! Events that bring the transaction ids of another cluster: a restored dump, a copy by hand.

use crate::evening::{CHECK_INS, Evening, check_in, crowd};

/// What a restore into a fresh cluster leaves: ids that this cluster has not come to, progress of another one.
const RESTORED: &str = "
    update telemetry.events_raw set xid = (xid::text::bigint + 4000000000000)::text::xid8;
    update telemetry.mv_progress set system_identifier = 1,
        next_xid = (next_xid::text::bigint + 4000000000000)::text::xid8";

#[tokio::test]
async fn a_restored_database_counts_everything_once() {
    let evening = Evening::new().await;
    evening.store(&crowd(400, 3)).await;
    evening.refresh_all().await;
    let late = check_in(700, 5.0, 1);
    evening.store(&[late]).await;
    evening.run(RESTORED).await;
    evening.refresh_all().await;
    let rows = evening.rows().await;
    evening.kpi.query("select telemetry.rebuild_mv()", &[]).await.unwrap();
    assert_eq!(evening.rows().await, rows);
    let stored =
        "select count(*) from telemetry.events_raw where type = 'checkin.success' and source = 'service'";
    assert_eq!(evening.checked_in().await, evening.number(stored).await);

    evening.store(&[check_in(800, 5.0, 1)]).await;
    assert_eq!(evening.refresh(CHECK_INS).await.events, 1);
    assert_eq!(evening.refresh(CHECK_INS).await.events, 0);
}

#[tokio::test]
async fn progress_of_another_cluster_is_not_believed_though_its_ids_look_past() {
    let evening = Evening::new().await;
    evening.store(&[check_in(1, 5.0, 1)]).await;
    evening.refresh_all().await;
    // Written after the restore, but with ids below those that the dump had come to.
    evening.store(&[check_in(2, 5.0, 1)]).await;
    evening
        .run(
            "update telemetry.mv_progress set system_identifier = 1, open_xids = '{}',
                 next_xid = (select max(xid)::text::bigint + 1 from telemetry.events_raw)::text::xid8",
        )
        .await;
    evening.refresh_all().await;
    assert_eq!(evening.checked_in().await, 2);
}

#[tokio::test]
async fn events_copied_in_with_ids_to_come_are_counted_at_once_and_once() {
    let evening = Evening::new().await;
    evening.store(&[check_in(1, 5.0, 1)]).await;
    evening.refresh_all().await;
    evening.store(&[check_in(2, 5.0, 1)]).await;
    evening
        .run("update telemetry.events_raw set xid = '4000000000000' where xid = (select max(xid) from telemetry.events_raw)")
        .await;
    evening.refresh_all().await;
    assert_eq!(evening.checked_in().await, 2);
    evening.refresh_all().await;
    assert_eq!(evening.checked_in().await, 2);
}
