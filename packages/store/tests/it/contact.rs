//! Contact: found, lost, found again; revocations and publications are heard.

use std::time::{Duration, Instant};

use seatpilot_domain_model::{DeviceScope, ScanAnswer, TokenHash};
use seatpilot_store::Writes;

use crate::evening::Evening;

#[tokio::test]
async fn a_revoked_device_is_forgotten_within_five_seconds_and_a_new_one_is_known_at_once() {
    let evening = Evening::of(0).await;
    let store = evening.check_ins().await;
    let mut admin = evening.admin().await;
    let device = admin.add_device(&evening.tenant, "gate 1", &DeviceScope::default()).await.unwrap();
    let token = TokenHash::of(device.token.expose_secret().as_bytes());
    assert_eq!(store.device(token).await.unwrap().unwrap().id, device.id);
    assert!(store.device(TokenHash::of(b"another")).await.unwrap().is_none());
    admin.revoke_device(&evening.tenant, device.id).await.unwrap();
    let revoked = Instant::now();
    while store.device(token).await.unwrap().is_some() {
        assert!(revoked.elapsed() < Duration::from_secs(5), "still known");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_revoked_device_is_forgotten_within_five_seconds_also_where_nobody_tells() {
    let evening = Evening::of(0).await;
    let (store, owner) = (evening.check_ins().await, evening.db.owner().await);
    let token = TokenHash::of(evening.device_token.as_bytes());
    owner.batch_execute("alter table ops.devices disable trigger devices_tell").await.unwrap();
    assert!(store.device(token).await.unwrap().is_some());
    let revoked = Instant::now();
    assert_eq!(owner.execute("update ops.devices set revoked_at = now()", &[]).await.unwrap(), 1);
    let mut found = 0;
    // Looked up all the time: that it is found does not keep it.
    while store.device(token).await.unwrap().is_some() {
        assert!(revoked.elapsed() < Duration::from_secs(5), "still known");
        found += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(found > 0, "nobody told, and nothing was remembered");
}

#[tokio::test]
async fn whoever_is_told_ready_can_write_at_once() {
    let evening = Evening::of(1).await;
    for (role, writes) in [
        ("seatpilot_checkin", Writes::CheckIns),
        ("seatpilot_wayfinding", Writes::Arrivals),
        ("seatpilot_ingest", Writes::Events),
    ] {
        assert!(evening.store(role, writes).await.writer_load().1 > 0, "{role}");
    }
}

#[tokio::test]
async fn a_published_map_is_served_within_two_seconds() {
    let evening = Evening::of(0).await;
    let store = evening.check_ins().await;
    assert!(store.graph(&evening.tenant, &evening.venue).is_some());
    let annex = "annex".parse().unwrap();
    assert!(store.graph(&evening.tenant, &annex).is_none());
    let map = seatpilot_venue_graph::Venue::demo();
    evening
        .admin()
        .await
        .publish_venue(&evening.tenant, &annex, "Annex", Some("Europe/Madrid"), &map)
        .await
        .unwrap();
    let published = Instant::now();
    while store.graph(&evening.tenant, &annex).is_none() {
        assert!(published.elapsed() < Duration::from_secs(2), "not served");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn places_that_do_not_belong_together_are_not_known() {
    let evening = Evening::of(1).await;
    let store = evening.check_ins().await;
    let door = evening.door.clone();
    assert!(store.knows_place(&evening.tenant, &evening.venue, &evening.event, &door).await.unwrap());
    let nowhere = "nowhere".parse().unwrap();
    assert!(!store.knows_place(&evening.tenant, &evening.venue, &evening.event, &nowhere).await.unwrap());
    let rival = "rival".parse().unwrap();
    assert!(!store.knows_place(&rival, &evening.venue, &evening.event, &door).await.unwrap());
}

#[tokio::test]
async fn connections_that_the_server_ends_come_back_by_themselves() {
    let evening = Evening::of(40).await;
    let store = evening.store("seatpilot_checkin", Writes::CheckIns).await;
    let owner = evening.db.owner().await;
    for n in 0..5 {
        owner
            .execute(
                "select pg_terminate_backend(pid) from pg_stat_activity
                 where datname = current_database() and usename = 'seatpilot_checkin'",
                &[],
            )
            .await
            .unwrap();
        let ended = Instant::now();
        loop {
            match store.check_in(evening.scan(n)).await {
                Ok(ScanAnswer::Admitted(_)) => break,
                // In doubt at first: the retry of the same guest is told who is in.
                Ok(ScanAnswer::Refused(_)) => break,
                Ok(other) => panic!("{other:?}"),
                Err(_) => assert!(ended.elapsed() < Duration::from_secs(5), "not back"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
