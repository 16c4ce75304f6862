//! More events than one refresh takes.

use crate::evening::{CHECK_INS, Evening, check_in, crowd};

/// A refresh that takes 40 events at most: the shipped function with another constant.
async fn small_bites(evening: &Evening) {
    evening
        .run(
            "do $do$
             declare f text := pg_get_functiondef('telemetry.mv_advance(text, boolean)'::regprocedure);
             begin
                 if f not like '%1500000%' then raise 'the constant is another'; end if;
                 execute replace(f, '1500000', '40');
             end $do$",
        )
        .await;
}

#[tokio::test]
async fn bites_add_up_to_the_whole() {
    let crowd = crowd(600, 77);
    let whole = Evening::new().await;
    whole.store(&crowd).await;
    whole.refresh_all().await;

    let bitten = Evening::new().await;
    small_bites(&bitten).await;
    for part in crowd.chunks(30) {
        bitten.store(part).await;
    }
    let mut turns = 0;
    while !bitten.refresh(CHECK_INS).await.caught_up {
        turns += 1;
        assert!(turns < 100);
    }
    assert!(turns >= 10, "{turns}");
    bitten.kpi.query("select telemetry.rebuild_mv('mv_kpi_door2seat')", &[]).await.unwrap();
    assert_eq!(bitten.rows().await, whole.rows().await);
    assert_eq!(bitten.refresh(CHECK_INS).await.events, 0);
}

#[tokio::test]
async fn a_transaction_larger_than_a_bite_is_taken_whole() {
    let evening = Evening::new().await;
    small_bites(&evening).await;
    let many: Vec<_> = (0..100).map(|second| check_in(second, 5.0, 1)).collect();
    evening.store(&many).await;
    evening.store(&many[..10].iter().map(|event| check_in(event.second, 5.0, 1)).collect::<Vec<_>>()).await;
    let first = evening.refresh(CHECK_INS).await;
    assert_eq!((first.events, first.caught_up), (100, false));
    let second = evening.refresh(CHECK_INS).await;
    assert_eq!((second.events, second.caught_up), (10, true));
}
