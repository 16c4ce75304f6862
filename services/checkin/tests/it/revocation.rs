//! A ticket that was revoked or changed, while gates scan it at two instances (G14).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use jiff::Timestamp;
use seatpilot_domain_model::TicketCode;
use seatpilot_testkit::{Effort, Evening};
use serde_json::json;

use crate::instances::Instances;

/// Scans of each ticket about the moment of its revocation, and how far from it they begin.
const RACING: usize = 4;
const AROUND: Duration = Duration::from_millis(4);
/// Between two scans of the guests who come meanwhile: 50 a second.
const PACE: Duration = Duration::from_millis(20);

/// Guests from `first` on come in at both instances until it is over.
async fn others(house: Arc<Instances>, first: usize, over: Arc<AtomicBool>) -> usize {
    let mut pace = tokio::time::interval(PACE);
    let mut n = 0;
    while !over.load(Ordering::Relaxed) {
        pace.tick().await;
        // The list is shorter than the evening: who was in is told so.
        let status = house.send(n, &house.scan(first + n % 500)).await.status;
        assert!([201, 409].contains(&status), "{status}");
        n += 1;
    }
    n
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_revoked_ticket_is_refused_by_every_instance_from_the_commit_on() {
    let tickets = match Effort::of_run() {
        Effort::Quick => 200,
        Effort::Full => 2_000,
    };
    let house = Arc::new(Instances::on(Evening::of(tickets + 500).await).await);
    let evening = &house.evening;
    let over = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(others(Arc::clone(&house), tickets, Arc::clone(&over)));
    let (mut admin, clock) = (evening.admin().await, evening.db.owner().await);
    let mut revoked_by: Vec<(Vec<u8>, Timestamp)> = Vec::with_capacity(tickets);
    let (before, scans) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for ticket in 0..tickets {
        // Both instances know the ticket and know it to be good: more people than it admits are refused last.
        for instance in 0..2 {
            let mut crowd = house.scan(ticket);
            crowd["party_size"] = json!(50);
            assert_eq!(house.send(instance, &crowd).await.problem(), (422, "schema_violation".into()));
        }
        let hash = TicketCode::new(Evening::ticket(ticket)).unwrap().hash();
        let racing = join_all((0..RACING).map(|turn| {
            let (house, before, scans) = (&house, &before, &scans);
            async move {
                tokio::time::sleep(AROUND * ((ticket + turn * 3) % 8) as u32 / 2).await;
                let reply = house.send(turn, &house.scan(ticket)).await;
                scans.fetch_add(1, Ordering::Relaxed);
                match reply.status {
                    201 => before.fetch_add(1, Ordering::Relaxed),
                    403 => 0,
                    409 => 0,
                    _ => panic!("{reply:?}"),
                };
            }
        }));
        let revoking = async {
            tokio::time::sleep(AROUND).await;
            assert_eq!(admin.revoke_tickets(&evening.tenant, None, &[hash]).await.unwrap().revoked, 1);
            // Not before the commit, by the clock that the admissions are recorded by.
            let now = clock.query_one("select clock_timestamp()", &[]).await.unwrap().get(0);
            let after = join_all((0..2).map(|instance| {
                let (house, scan) = (&house, house.scan(ticket));
                async move { house.send(instance, &scan).await }
            }));
            for reply in after.await {
                assert_eq!(reply.refused(), (403, "ticket_revoked".into()), "ticket {ticket}");
            }
            revoked_by.push((hash.as_bytes().to_vec(), now));
        };
        match ticket % 4 {
            0 => {
                racing.await;
                revoking.await;
            }
            3 => {
                revoking.await;
                racing.await;
            }
            _ => {
                futures_util::future::join(racing, revoking).await;
            }
        }
    }
    over.store(true, Ordering::Relaxed);
    let guests = load.await.unwrap();
    let (hashes, times): (Vec<_>, Vec<_>) = revoked_by.into_iter().unzip();
    // `recorded_at` is when the admitting statement began.
    let late: i64 = clock
        .query_one(
            "select count(*) from unnest($1::bytea[], $2::timestamptz[]) as r (hash, by)
             join ops.tickets t on t.ticket_hash = r.hash join ops.checkin_sessions s using (ticket_id)
             where s.recorded_at > r.by",
            &[&hashes, &times],
        )
        .await
        .unwrap()
        .get(0);
    assert_eq!(late, 0, "admitted after the revocation");
    let before = before.into_inner();
    // A quarter was scanned before, a quarter after, the rest in a race.
    assert!((tickets / 4..=tickets - tickets / 4).contains(&before), "{before} of {tickets} came in before");
    println!(
        "guarantee: G14 | {tickets} revocations while {} scans of them and {guests} of others went to 2 instances: \
         {before} came in before, 0 after; both instances refuse from the commit on",
        scans.into_inner() + 4 * tickets
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_that_was_moved_or_limited_by_a_new_list_is_so_at_every_instance_from_the_commit_on() {
    const TICKETS: usize = 24;
    let house = Instances::on(Evening::of(TICKETS).await).await;
    let evening = &house.evening;
    let mut admin = evening.admin().await;
    for n in 0..TICKETS {
        for instance in 0..2 {
            let mut crowd = house.scan(n);
            crowd["party_size"] = json!(50);
            assert_eq!(house.send(instance, &crowd).await.status, 422);
        }
        let mut line = evening.guest(n);
        let hour = jiff::SignedDuration::from_hours(1);
        let now = seatpilot_runtime::Clock::system().now();
        let refused = match n % 4 {
            0 => {
                line.section = Some("balcony".parse().unwrap());
                None
            }
            1 => {
                line.doors = vec!["stage-door".parse().unwrap()];
                Some("wrong_door")
            }
            2 => {
                line.valid_from = Some(now + hour);
                Some("not_yet_valid")
            }
            _ => {
                line.valid_until = Some(now - hour);
                Some("no_longer_valid")
            }
        };
        let imported = admin.import_guests(&evening.tenant, &evening.venue, &[line]).await.unwrap();
        assert_eq!(imported.updated, 1);
        let (first, second) = (house.scan(n), house.scan(n));
        let replies = futures_util::future::join(house.send(n, &first), house.send(n + 1, &second)).await;
        for reply in [&replies.0, &replies.1] {
            match refused {
                Some(code) => assert_eq!(reply.refused(), (403, code.to_owned()), "ticket {n}"),
                None if reply.status == 201 => assert_eq!(reply.json()["section"], "balcony"),
                None => assert_eq!(reply.refused(), (409, "already_checked_in".into())),
            }
        }
    }
    println!(
        "guarantee: G14 | {TICKETS} tickets moved or limited by a new list: both instances answer by it at once"
    );
}
