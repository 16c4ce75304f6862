//! G5: transactions that the server rolls back, while they run and when they commit.

use std::time::{Duration, Instant};

use seatpilot_testkit::TestDb;

use super::{House, by_effort};

/// A transaction in two fails, by its number: at its commit, or at its second row. A serialization failure, a deadlock, a
/// broken constraint, a full disk, a fault of ours, the backend's own end.
const FAULTS: &str = "
create function public.fault_of_the_test() returns trigger language plpgsql set search_path = pg_catalog as $$
declare
    kind integer := abs(hashint8(pg_current_xact_id()::text::bigint)) % 16;
    rows integer := coalesce(nullif(current_setting('test.rows', true), ''), '0')::integer + 1;
begin
    perform set_config('test.rows', rows::text, true);
    if tg_when = 'BEFORE' then
        -- A statement of one row has no second.
        if kind = 7 and rows = 2 then
            raise exception 'row two' using errcode = 'serialization_failure';
        elsif kind = 6 and rows = 2 then
            raise exception 'row two' using errcode = 'internal_error';
        end if;
        return new;
    end if;
    case kind
        when 0 then raise exception 'at commit' using errcode = 'serialization_failure';
        when 1 then raise exception 'at commit' using errcode = 'deadlock_detected';
        when 2 then raise exception 'at commit' using errcode = 'check_violation';
        when 3 then raise exception 'at commit' using errcode = 'disk_full';
        when 4 then raise exception 'at commit';
        when 5 then perform pg_terminate_backend(pg_backend_pid());
        else null;
    end case;
    return null;
end
$$;
create constraint trigger fault_at_commit after insert on telemetry.event_ids
    deferrable initially deferred for each row execute function public.fault_of_the_test();
create trigger fault_at_row before insert on telemetry.event_ids
    for each row execute function public.fault_of_the_test();
create constraint trigger fault_at_commit after insert on ops.checkin_sessions
    deferrable initially deferred for each row execute function public.fault_of_the_test();
create trigger fault_at_row before insert on ops.checkin_sessions
    for each row execute function public.fault_of_the_test();";
const NO_FAULTS: &str = "
drop trigger fault_at_commit on telemetry.event_ids;
drop trigger fault_at_row on telemetry.event_ids;
drop trigger fault_at_commit on ops.checkin_sessions;
drop trigger fault_at_row on ops.checkin_sessions;";

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_rolled_back_is_never_acknowledged() {
    let wanted = by_effort(100, 2_000);
    let house = House::on(TestDb::new().await, by_effort(2_000, 30_000), 1, &[]).await;
    let owner = house.evening.db.owner().await;
    let before = rolled_back(&house).await;
    owner.batch_execute(FAULTS).await.unwrap();
    let crowd = house.clients.crowd(6, 20, 3);
    let since = Instant::now();
    // The server's own count, which it tells about once a second.
    while rolled_back(&house).await - before < wanted {
        assert!(since.elapsed() < Duration::from_secs(300), "{}", rolled_back(&house).await - before);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    owner.batch_execute(NO_FAULTS).await.unwrap();
    crowd.finish().await;
    let rolled_back = rolled_back(&house).await - before;
    let verdict = house.settled().await;
    assert!(verdict.resent > 0, "{verdict:?}");
    println!(
        "guarantee: G5 | {rolled_back} transactions rolled back (at commit, at row two, backend ended, 40001, 40P01), {} \
         requests with {} items, {} sent again: 0 acknowledged that were not stored",
        verdict.requests, verdict.items, verdict.resent
    );
}

async fn rolled_back(house: &House) -> i64 {
    let sql = "select xact_rollback from pg_stat_database where datname = current_database()";
    house.evening.count(sql).await
}
