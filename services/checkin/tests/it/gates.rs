//! Many gates, one ticket, the same moment (G12).

use std::sync::Arc;

use futures_util::future::join_all;
use seatpilot_testkit::{Effort, Evening};
use serde_json::json;
use tokio::sync::Barrier;

use crate::instances::Instances;

const GATES: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_gates_on_a_barrier_over_two_instances_admit_exactly_one() {
    let tickets = match Effort::of_run() {
        Effort::Quick => 200,
        Effort::Full => 5_000,
    };
    let house = Arc::new(Instances::on(Evening::of(tickets).await).await);
    let devices = Arc::new(house.devices(GATES).await);
    for ticket in 0..tickets {
        let barrier = Arc::new(Barrier::new(GATES));
        let gates = (0..GATES).map(|gate| {
            let (house, devices, barrier) = (Arc::clone(&house), Arc::clone(&devices), Arc::clone(&barrier));
            tokio::spawn(async move {
                let mut scan = house.scan(ticket);
                scan["door_id"] = json!(house.doors[gate % house.doors.len()]);
                barrier.wait().await;
                house.post(gate, &devices[gate], &scan).await.unwrap()
            })
        });
        let replies: Vec<_> = join_all(gates).await.into_iter().map(Result::unwrap).collect();
        let (admitted, others): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 201);
        assert_eq!(admitted.len(), 1, "ticket {ticket}: {replies:?}");
        let first = admitted[0].json();
        for reply in others {
            assert_eq!(reply.refused(), (409, "already_checked_in".into()), "ticket {ticket}");
            let refusal = reply.json();
            assert_eq!(refusal["first_checked_in_at"], first["checked_in_at"], "ticket {ticket}");
            assert_eq!(refusal["first_door_id"], first["door_id"], "ticket {ticket}");
        }
    }
    // The rows say the same: so many tickets, a session and an event each.
    for (what, sql) in [
        ("sessions", "select count(*) from ops.checkin_sessions"),
        ("tickets", "select count(distinct ticket_id) from ops.checkin_sessions"),
        (
            "events",
            "select count(distinct s.ticket_id) from ops.checkin_sessions s
             join telemetry.events_raw e using (session_id) where e.type = 'checkin.success'",
        ),
        ("all events", "select count(*) from telemetry.events_raw where type = 'checkin.success'"),
    ] {
        assert_eq!(house.evening.count(sql).await, tickets as i64, "{what}");
    }
    println!(
        "guarantee: G12 | {tickets} tickets, each at {GATES} gates of 2 instances at once: 1 admitted, 15 told where and when"
    );
}
