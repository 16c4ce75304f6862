//! A bill of very many lines: sent as it is read, in bounded memory, and never half of it for the whole.

use std::{path::Path, time::Duration};

use seatpilot_testkit::{Binary, Effort, TestDb};

use crate::{
    access::{JWT_SECRET, token},
    billing::PAST,
    service::Service,
};

/// What the process may grow by while it sends 200 bytes a line, 220 MB in full.
const GROWTH_KIB_MAX: u64 = 24 * 1024;

/// Gives `acme` a closed month of so many lines, as the owner of the tables may; its hash is nobody's.
async fn many_lines(db: &TestDb, lines: i64) {
    let sql = format!(
        "begin;
        insert into ops.tenants (tenant_id, name) values ('acme', 'Acme') on conflict do nothing;
        insert into app.billing_periods (tenant_id, period, tenant_name, plan_id, plan_name, currency, total_minor, lines,
            counted_until, closed_by, sha256)
        values ('acme', '{PAST}', 'Acme', 'house', 'House', 'EUR', 9 * {lines}, {lines}, now(), 'test', sha256(''));
        insert into app.billing_lines (tenant_id, period, line, kind, feature, for_period, quantity, included, billable,
            unit_price_minor, unit_per, amount_minor, description)
        select 'acme', '{PAST}', n, 'usage', 'checkins', '{PAST}', 1, 0, 1, 9, 1, 9, 'Tickets admitted, door ' || n
        from generate_series(1, {lines}) n;
        commit;
        analyze app.billing_lines"
    );
    db.owner().await.batch_execute(&sql).await.unwrap();
}

/// The peak of a process' memory so far, in KiB; none where `/proc` is not.
fn peak_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok())
}

/// Connections of the service that are inside a download.
async fn under_way(db: &TestDb) -> i64 {
    let sql = "select count(*) from pg_stat_activity where datname = current_database()
        and usename = 'seatpilot_ingest' and xact_start is not null";
    db.owner().await.query_one(sql, &[]).await.unwrap().get(0)
}

/// Waits until no connection is. One that is inside a transaction and does nothing was handed back as it was: the
/// server would end it after 2 s, and until then the next to borrow it reads as somebody else.
async fn none_under_way(db: &TestDb) {
    let idle = "select count(*) from pg_stat_activity where datname = current_database()
        and usename = 'seatpilot_ingest' and state like 'idle in transaction%'";
    let owner = db.owner().await;
    for _ in 0..200 {
        assert_eq!(
            owner.query_one(idle, &[]).await.unwrap().get::<_, i64>(0),
            0,
            "left inside a transaction"
        );
        if under_way(db).await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{} connections are still inside a transaction", under_way(db).await);
}

#[tokio::test]
async fn a_million_lines_are_sent_in_bounded_memory() {
    let lines = match Effort::of_run() {
        Effort::Quick => 60_000,
        Effort::Full => 1_000_000,
    };
    let db = TestDb::new().await;
    many_lines(&db, lines).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let database = db.url_as("seatpilot_ingest");
    let variables = [("PORT", &*port), ("DATABASE_URL", &*database), ("SUPABASE_JWT_SECRET", JWT_SECRET)];
    let mut binary = Binary::spawn_with(Path::new(env!("CARGO_BIN_EXE_telemetry-ingest")), &[], &variables);
    binary.ready().await;
    let client = reqwest::Client::new();
    let ask = |path: &str| {
        client.get(format!("{}/admin/billing{path}", binary.url())).bearer_auth(token("acme", "owner")).send()
    };
    assert_eq!(ask("").await.unwrap().status(), 200, "the page, of the first thousand");
    let before = peak_kib(binary.pid());
    let began = std::time::Instant::now();
    let mut answer = ask(&format!("/csv?period={PAST}")).await.unwrap();
    assert_eq!(answer.status(), 200);
    let (mut ends, mut bytes, mut tail) = (0, 0, Vec::new());
    let mut pauses = if Effort::of_run() == Effort::Full { 3 } else { 0 };
    while let Some(piece) = answer.chunk().await.unwrap() {
        // In full it takes longer than a connection may be silent, with rests that are shorter.
        if pauses > 0 && ends > lines / 4 * (4 - pauses) {
            pauses -= 1;
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
        ends += piece.windows(2).filter(|two| two == b"\r\n").count() as i64;
        bytes += piece.len();
        // An end that fell between two pieces.
        ends += i64::from(tail.last() == Some(&b'\r') && piece.first() == Some(&b'\n'));
        tail = piece.to_vec();
    }
    let last = String::from_utf8_lossy(&tail);
    assert_eq!(ends, lines + 1);
    assert!(last.lines().last().unwrap().contains(&format!("door {lines}\"")), "{last}");
    let after = peak_kib(binary.pid());
    println!(
        "{lines} lines, {bytes} bytes in {:?}; peak {before:?} KiB before, {after:?} after",
        began.elapsed()
    );
    if let (Some(before), Some(after)) = (before, after) {
        assert!(after < before + GROWTH_KIB_MAX, "{before} KiB before, {after} KiB after");
    }
    none_under_way(&db).await;
}

#[tokio::test]
async fn a_reader_who_stops_or_goes_holds_nobody_up_and_leaves_nothing_open() {
    let variables = [("SUPABASE_JWT_SECRET", JWT_SECRET)];
    let service = Service::start_with(seatpilot_runtime::Clock::system(), &variables).await;
    many_lines(&service.db, 60_000).await;
    let csv = || {
        let url = format!("{}/admin/billing/csv?period={PAST}", service.url);
        service.client.get(url).bearer_auth(token("acme", "owner")).send()
    };
    let mut stopped = Vec::new();
    for _ in 0..2 {
        let mut answer = csv().await.unwrap();
        assert_eq!(answer.status(), 200);
        let first = answer.chunk().await.unwrap().unwrap();
        assert!(first.starts_with(b"tenant_id,tenant_name,"));
        stopped.push(answer);
    }
    // They read no further: as many connections as there may be, and not one more.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(under_way(&service.db).await, 2);
    let third = csv().await.unwrap();
    assert_eq!(third.status(), 503, "the third is told, and does not wait for minutes");
    assert_eq!(
        service.see("/admin/billing", "owner").await.status,
        200,
        "the page has connections of its own"
    );
    drop(stopped);
    none_under_way(&service.db).await;
    let whole = csv().await.unwrap().text().await.unwrap();
    assert_eq!(whole.lines().count(), 60_001);
}

#[tokio::test]
async fn a_download_that_fails_midway_has_no_clean_end() {
    let variables = [("SUPABASE_JWT_SECRET", JWT_SECRET)];
    let service = Service::start_with(seatpilot_runtime::Clock::system(), &variables).await;
    many_lines(&service.db, 60_000).await;
    let url = format!("{}/admin/billing/csv?period={PAST}", service.url);
    let mut answer = service.client.get(url).bearer_auth(token("acme", "owner")).send().await.unwrap();
    assert!(answer.chunk().await.unwrap().is_some());
    let kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity
        where datname = current_database() and usename = 'seatpilot_ingest' and xact_start is not null";
    assert_eq!(service.number(kill).await, 1);
    let ended = loop {
        match answer.chunk().await {
            Ok(Some(_)) => {}
            ended => break ended,
        }
    };
    assert!(ended.is_err(), "half a bill passed for a whole one");
    none_under_way(&service.db).await;
}
