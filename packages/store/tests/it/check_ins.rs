//! Admission: exactly once, replayed exactly, refused for the first reason that applies.

use std::sync::Arc;

use futures_util::future::join_all;
use seatpilot_domain_model::{Admission, PartySize, Refusal, ScanAnswer, TicketCode};
use seatpilot_store::{Error, Writes};
use tokio::sync::Barrier;
use uuid::Uuid;

use crate::evening::{Evening, now, ticket};

fn admitted(answer: ScanAnswer) -> Admission {
    match answer {
        ScanAnswer::Admitted(admission) => admission,
        other => panic!("not admitted: {other:?}"),
    }
}

#[tokio::test]
async fn a_ticket_is_admitted_once_and_then_refused_with_the_first_time_and_door() {
    let evening = Evening::of(1).await;
    let store = evening.check_ins().await;
    let first = admitted(store.check_in(evening.scan(0)).await.unwrap());
    assert!(!first.replayed);
    assert_eq!((first.party_size, first.section.unwrap().as_str()), (2, evening.section.as_str()));
    let again = store.check_in(evening.scan(0)).await.unwrap();
    let refused =
        Refusal::AlreadyCheckedIn { first_checked_in_at: first.checked_in_at, first_door: first.door };
    assert_eq!(again, ScanAnswer::Refused(refused));
    assert_eq!(evening.count("select count(*) from ops.checkin_sessions").await, 1);
    assert_eq!(
        evening
            .count("select count(*) from telemetry.events_raw where type = 'checkin.success' and source = 'service'")
            .await,
        1
    );
}

#[tokio::test]
async fn a_repeated_scan_returns_the_first_answer_and_another_body_is_refused() {
    let evening = Evening::of(2).await;
    let store = evening.check_ins().await;
    let scan = evening.scan(0);
    let first = admitted(store.check_in(scan.clone()).await.unwrap());
    let mut repeat = scan.clone();
    repeat.session_id = Uuid::now_v7();
    repeat.checked_in_at = now();
    let second = admitted(store.check_in(repeat).await.unwrap());
    assert_eq!(second, Admission { replayed: true, ..first });
    let mut other = scan.clone();
    other.fingerprint = [8; 32];
    assert_eq!(store.check_in(other).await.unwrap(), ScanAnswer::ScanIdReused);
    // Also where the other body names a ticket that nobody has used.
    let mut stolen = evening.scan(1);
    stolen.scan_id = scan.scan_id;
    stolen.fingerprint = [9; 32];
    assert_eq!(store.check_in(stolen).await.unwrap(), ScanAnswer::ScanIdReused);
}

#[tokio::test]
async fn a_replay_is_answered_as_before_even_after_the_ticket_was_revoked() {
    let evening = Evening::of(1).await;
    let store = evening.check_ins().await;
    let scan = evening.scan(0);
    let first = admitted(store.check_in(scan.clone()).await.unwrap());
    evening.admin().await.revoke_tickets(&evening.tenant, None, &[ticket(0).hash()]).await.unwrap();
    let replay = admitted(store.check_in(scan).await.unwrap());
    assert_eq!(replay.session_id, first.session_id);
    assert_eq!(store.check_in(evening.scan(0)).await.unwrap(), ScanAnswer::Refused(Refusal::TicketRevoked));
}

#[tokio::test]
async fn sixteen_gates_over_two_instances_admit_one_and_the_others_name_it() {
    let evening = Evening::of(24).await;
    let stores = [evening.check_ins().await, evening.check_ins().await];
    for n in 0..24 {
        let barrier = Arc::new(Barrier::new(16));
        let gates = (0..16).map(|gate| {
            let (store, scan, barrier) = (stores[gate % 2].clone(), evening.scan(n), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                store.check_in(scan).await
            })
        });
        let answers: Vec<ScanAnswer> =
            join_all(gates).await.into_iter().map(|answer| answer.unwrap().unwrap()).collect();
        let winners: Vec<&Admission> = answers
            .iter()
            .filter_map(|answer| match answer {
                ScanAnswer::Admitted(admission) => Some(admission),
                _ => None,
            })
            .collect();
        assert_eq!(winners.len(), 1, "{answers:?}");
        let loser = ScanAnswer::Refused(Refusal::AlreadyCheckedIn {
            first_checked_in_at: winners[0].checked_in_at,
            first_door: winners[0].door.clone(),
        });
        assert_eq!(answers.iter().filter(|answer| **answer == loser).count(), 15);
    }
    assert_eq!(evening.count("select count(*) from ops.checkin_sessions").await, 24);
}

#[tokio::test]
async fn one_scan_sent_many_times_at_once_gets_one_answer() {
    let evening = Evening::of(1).await;
    let stores = [evening.check_ins().await, evening.check_ins().await];
    let scan = evening.scan(0);
    let sends = (0..40).map(|turn| {
        let store = stores[turn % 2].clone();
        let mut scan = scan.clone();
        scan.session_id = Uuid::now_v7();
        scan.telemetry_id = Uuid::now_v7();
        async move { admitted(store.check_in(scan).await.unwrap()) }
    });
    let answers = join_all(sends).await;
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    assert!(answers.iter().all(|answer| answer.session_id == answers[0].session_id));
}

#[tokio::test]
async fn a_scan_is_refused_for_the_first_reason_that_applies() {
    let evening = Evening::of(1).await;
    let mut admin = evening.admin().await;
    let hour = jiff::SignedDuration::from_hours(1);
    let other_event = "matinee".parse().unwrap();
    let mut guests = Vec::new();
    let mut add = |n: usize, change: &dyn Fn(&mut seatpilot_store::admin::GuestRow)| {
        let mut row = evening.guest(n);
        change(&mut row);
        guests.push(row);
    };
    add(10, &|row| row.valid_from = Some(now() + hour));
    add(11, &|row| row.valid_until = Some(now() - hour));
    add(12, &|row| row.doors = vec!["stage-door".parse().unwrap()]);
    add(13, &|row| row.event = "matinee".parse().unwrap());
    // Everything is wrong with this one; revoked is said.
    add(14, &|row| {
        row.doors = vec!["stage-door".parse().unwrap()];
        row.valid_until = Some(now() - hour);
    });
    add(15, &|_| {});
    admin.import_guests(&evening.tenant, &evening.venue, &guests).await.unwrap();
    admin.revoke_tickets(&evening.tenant, Some(&evening.event), &[ticket(14).hash()]).await.unwrap();
    let elsewhere =
        admin.revoke_tickets(&evening.tenant, Some(&other_event), &[ticket(15).hash()]).await.unwrap();
    assert_eq!((elsewhere.revoked, elsewhere.unknown), (0, 1));

    let store = evening.check_ins().await;
    for (n, refusal) in [
        (10, Refusal::NotYetValid),
        (11, Refusal::NoLongerValid),
        (12, Refusal::WrongDoor),
        (13, Refusal::WrongEvent),
        (14, Refusal::TicketRevoked),
        (99, Refusal::TicketUnknown),
    ] {
        assert_eq!(
            store.check_in(evening.scan(n)).await.unwrap(),
            ScanAnswer::Refused(refusal),
            "ticket {n}"
        );
    }
    let mut crowd = evening.scan(0);
    crowd.party_size = PartySize::new(3);
    assert_eq!(store.check_in(crowd).await.unwrap(), ScanAnswer::PartyTooLarge { ticket_admits: 2 });
    let mut alone = evening.scan(15);
    alone.party_size = PartySize::new(1);
    assert_eq!(admitted(store.check_in(alone).await.unwrap()).party_size, 1);
    assert_eq!(evening.count("select count(*) from ops.checkin_sessions").await, 1);
}

#[tokio::test]
async fn another_tenants_ticket_is_unknown() {
    let evening = Evening::of(1).await;
    let mut admin = evening.admin().await;
    let rival = "rival".parse().unwrap();
    admin.ensure_tenant(&rival, "Rival").await.unwrap();
    let store = evening.check_ins().await;
    let mut scan = evening.scan(0);
    scan.tenant = rival;
    assert_eq!(store.check_in(scan).await.unwrap(), ScanAnswer::Refused(Refusal::TicketUnknown));
    // Two tenants at once are two statements, each under its own claim.
    let scans = (0..40).map(|turn| {
        let mut scan = evening.scan(0);
        if turn % 2 == 0 {
            scan.tenant = "rival".parse().unwrap();
        }
        let store = store.clone();
        async move { (turn % 2 == 0, store.check_in(scan).await.unwrap()) }
    });
    for (foreign, answer) in join_all(scans).await {
        assert_eq!(foreign, answer == ScanAnswer::Refused(Refusal::TicketUnknown));
    }
}

#[tokio::test]
async fn a_ticket_of_any_unicode_is_looked_up_and_not_found() {
    let evening = Evening::of(1).await;
    let store = evening.check_ins().await;
    for code in ["\0", "' or 1=1 --", "席\u{202e}", "\u{10ffff}", &"x".repeat(512)] {
        let mut scan = evening.scan(0);
        scan.ticket = TicketCode::new(code).unwrap().hash();
        assert_eq!(store.check_in(scan).await.unwrap(), ScanAnswer::Refused(Refusal::TicketUnknown));
    }
}

#[tokio::test]
async fn a_poison_row_does_not_fail_its_neighbours() {
    let evening = Evening::of(32).await;
    // Postgres refuses a negative arrival nowhere near here, so the poison is planted: one ticket fails a check.
    evening
        .db
        .owner()
        .await
        .batch_execute(&format!(
            "alter table ops.checkin_sessions add constraint planted check (seat_id is distinct from 'poison');
             update ops.tickets set seat_id = 'poison' where ticket_hash = decode('{}', 'hex')",
            ticket(5).hash().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        ))
        .await
        .unwrap();
    let store = evening.check_ins().await;
    let answers = join_all((0..32).map(|n| store.check_in(evening.scan(n)))).await;
    for (n, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(answer) => assert!(n != 5 && matches!(answer, ScanAnswer::Admitted(_)), "{n}: {answer:?}"),
            Err(error) => assert!(n == 5 && matches!(error, Error::BadValue(_)), "{n}: {error:?}"),
        }
    }
    assert_eq!(evening.count("select count(*) from ops.checkin_sessions").await, 31);
}

#[tokio::test]
async fn the_hot_statements_never_scan_the_tickets() {
    let evening = Evening::of(20_000).await;
    evening.db.owner().await.batch_execute("analyze").await.unwrap();
    let store = evening.check_ins().await;
    join_all((0..2_000).map(|n| store.check_in(evening.scan(n)))).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    drop(store);
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let scans =
        "select coalesce(sum(seq_scan), 0)::bigint from pg_stat_user_tables where relname = 'tickets'";
    let before = evening.count(scans).await;
    let store = evening.check_ins().await;
    let answers = join_all((2_000..4_000).map(|n| store.check_in(evening.scan(n)))).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(ScanAnswer::Admitted(_)))));
    drop(store);
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(evening.count(scans).await, before);
}

#[tokio::test]
async fn a_process_that_writes_nothing_says_so() {
    let evening = Evening::of(1).await;
    let store = evening.store("seatpilot_ingest", Writes::Events).await;
    assert!(matches!(store.check_in(evening.scan(0)).await, Err(Error::NotStarted(_))));
}
