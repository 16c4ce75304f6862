//! The trace of a guest, as it is stored: with the session and both events where somebody traced, nowhere else; and
//! processes of the version before, which know nothing of it.

use seatpilot_domain_model::{ArrivalPing, Place, ScanAnswer, TraceParent};
use seatpilot_store::{ArriveAnswer, Writes};
use uuid::Uuid;

use crate::evening::{Evening, now, ticket};

fn trace(digit: u8) -> TraceParent {
    TraceParent::root([digit; 16], [digit; 8]).recorded()
}

fn ping(evening: &Evening, session_id: Uuid, trace: Option<TraceParent>) -> ArrivalPing {
    ArrivalPing {
        tenant: evening.tenant.clone(),
        ping_id: Uuid::now_v7(),
        session_id,
        telemetry_id: Uuid::now_v7(),
        place: Place { section: Some(evening.section.parse().unwrap()), ..Place::default() },
        sign: None,
        arrived_at: None,
        received_at: now(),
        trace,
    }
}

/// What the events of a session have of traces: type, own, the check-in's.
async fn stored(evening: &Evening, session: Uuid) -> Vec<(String, Option<String>, Option<String>)> {
    let sql = "select type, data ->> 'traceparent', data ->> 'check_in_traceparent' \
               from telemetry.events_raw where session_id = $1 order by type";
    let rows = evening.db.owner().await.query(sql, &[&session]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

#[tokio::test]
async fn of_guests_in_one_batch_each_keeps_its_own_trace_and_the_untraced_none() {
    let evening = Evening::of(3).await;
    let (gate, signs) =
        (evening.check_ins().await, evening.store("seatpilot_wayfinding", Writes::Arrivals).await);
    let traces = [Some(trace(1)), None, Some(trace(3))];
    let scans = traces.iter().enumerate().map(|(n, trace)| {
        let mut scan = evening.scan(n);
        scan.trace = *trace;
        gate.check_in(scan)
    });
    let admitted = futures_util::future::join_all(scans).await;
    for (answer, check_in) in admitted.into_iter().zip(traces) {
        let session = match answer.unwrap() {
            ScanAnswer::Admitted(admission) => admission.session_id,
            other => panic!("{other:?}"),
        };
        let own = trace(9);
        match signs.arrive(ping(&evening, session, Some(own)), None).await.unwrap() {
            ArriveAnswer::Seated { check_in_trace, .. } => assert_eq!(check_in_trace, check_in),
            other => panic!("{other:?}"),
        }
        let check_in = check_in.map(|trace| trace.to_string());
        let wanted = [
            ("checkin.success".to_owned(), check_in.clone(), None),
            ("wayfinding.arrive_table".to_owned(), Some(own.to_string()), check_in),
        ];
        assert_eq!(stored(&evening, session).await, wanted);
    }
    let members = "select count(*) from telemetry.events_raw \
                   where data @> '{\"traceparent\":null}' or data @> '{\"check_in_traceparent\":null}'";
    assert_eq!(evening.count(members).await, 0, "no trace is no member, not a null");
}

#[tokio::test]
async fn a_process_of_the_version_before_goes_on_admitting_and_seating() {
    let evening = Evening::of(1).await;
    let (session, tenant) = (Uuid::now_v7(), evening.tenant.as_str());
    let gate = evening.db.client_as("seatpilot_checkin").await;
    let row = gate
        .query_one(
            "select verdict from ops.session_check_in(
                $1, array[$2::uuid], array[$3::uuid], array[$4::uuid], array['\\x07'::bytea], array[$5], array[$6],
                array[$7], array[$8::bytea], array['kiosk'], array[$2::uuid], array[null::smallint], array[now()],
                array[1.5::double precision])",
            &[
                &tenant,
                &Uuid::now_v7(),
                &session,
                &Uuid::now_v7(),
                &evening.venue.as_str(),
                &evening.event.as_str(),
                &evening.door.as_str(),
                &ticket(0).hash().as_bytes().as_slice(),
            ],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, &str>(0), "admitted");
    let signs = evening.db.client_as("seatpilot_wayfinding").await;
    let row = signs
        .query_one(
            "select verdict, first from ops.session_arrive(
                $1, array[$2::uuid], array[$3::uuid], array[$4::uuid], array[null::text], array[null::text],
                array[null::text], array[null::text], array[null::timestamptz], array[now()], array[null::text],
                array[null::bigint], array[null::text], array[null::bytea])",
            &[&tenant, &Uuid::now_v7(), &session, &Uuid::now_v7()],
        )
        .await
        .unwrap();
    assert_eq!((row.get::<_, &str>(0), row.get::<_, bool>(1)), ("arrived", true));
    assert!(stored(&evening, session).await.iter().all(|(_, own, other)| own.is_none() && other.is_none()));
}
