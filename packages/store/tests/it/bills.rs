//! Bills: a closed month is the same for ever, adds up, and leads back to its events.

use futures_util::{TryStreamExt as _, future::join_all};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use seatpilot_domain_model::Period;
use seatpilot_store::admin::{AdminError, CloseOutcome, ClosedMonth};
use seatpilot_testkit::Evening;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::dead_letters::{Lying, lay};
use crate::metering::{Stored, assert_recounts, at, count, heartbeat, store};

const MARCH: &str = "2026-03";

fn month(text: &str) -> Period {
    text.parse().unwrap()
}

/// An evening with a plan of 10 events included, further ones at 15 cents per 4, and so many in March.
async fn evening_with(events: usize) -> Evening {
    let evening = Evening::of(0).await;
    evening
        .db
        .owner()
        .await
        .batch_execute(
            "insert into app.plans (plan_id, name, currency, base_price_minor) values ('house', 'House', 'EUR', 9900);
             insert into app.entitlements (plan_id, feature, limit_quantity, limit_kind, overage_price_minor, overage_per)
             values ('house', 'events', 10, 'soft', 15, 4);
             insert into app.tenant_plans (tenant_id, from_period, plan_id) values ('acme', '2026-01', 'house')",
        )
        .await
        .unwrap();
    let march: Vec<_> = (0..events).map(|_| heartbeat(at("2026-03-15T12:00:00Z"))).collect();
    store(&evening.db.owner().await, &march).await;
    count(&evening).await;
    evening
}

/// Closes a month, once no other test's transaction is in the way: they share the cluster, and so its ids.
async fn close(evening: &Evening, period: &str) -> ClosedMonth {
    for _ in 0..200 {
        let closed = close_once(evening, period).await;
        if closed.outcome != CloseOutcome::Waiting {
            return closed;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("some transaction is open for 20 s");
}

async fn close_once(evening: &Evening, period: &str) -> ClosedMonth {
    let mut closed =
        evening.admin().await.close_month(&month(period), Some(&evening.tenant), "ana").await.unwrap();
    assert_eq!(closed.len(), 1);
    closed.remove(0)
}

async fn csv(evening: &Evening, period: &str, settings: &str) -> String {
    let mut admin = evening.admin().await;
    let lines: Vec<String> = if settings.is_empty() {
        admin.bill_csv(&evening.tenant, &month(period)).await.unwrap().try_collect().await.unwrap()
    } else {
        let owner = evening.db.owner().await;
        owner.batch_execute(settings).await.unwrap();
        let rows = owner
            .query(
                "select app.csv_header() union all (select app.csv_line(r) from app.v_tenant_billing_report r
                 where r.tenant_id = 'acme' and r.period = $1 order by r.line)",
                &[&period],
            )
            .await
            .unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    };
    lines.iter().flat_map(|line| [line.as_str(), "\r\n"]).collect()
}

#[tokio::test]
async fn of_many_who_close_a_month_one_does_and_all_hear_the_same() {
    let evening = evening_with(17).await;
    let closed = join_all((0..6).map(|_| close(&evening, MARCH))).await;
    let now = closed.iter().filter(|month| month.outcome == CloseOutcome::Closed).count();
    assert_eq!(now, 1);
    for month in &closed {
        assert!(month.outcome.is_closed(), "{month:?}");
        // 17 - 10 = 7 events over, 7 * 15 / 4 = 26.25 cents.
        assert_eq!((month.total_minor, month.currency.as_deref()), (Some(9926), Some("EUR")));
        assert_eq!(month.sha256, closed[0].sha256);
    }
    // One act, one row of the log.
    let logged = "select count(*) from audit.log where action = 'billing.close' and actor_id = 'ana' and target_id = '2026-03'";
    assert_eq!(evening.count(logged).await, 1);
}

#[tokio::test]
async fn a_closed_month_is_the_same_bytes_whatever_happens_after_it() {
    let evening = evening_with(17).await;
    let closed = close(&evening, MARCH).await;
    let first = csv(&evening, MARCH, "").await;
    assert_eq!(hex(&Sha256::digest(first.as_bytes())), closed.sha256.unwrap());
    let owner = evening.db.owner().await;
    owner
        .batch_execute(
            "update ops.tenants set name = 'Another';
             update app.plans set name = 'Dearer', base_price_minor = 1000000;
             update app.entitlements set overage_price_minor = 99;
             update ops.venues set time_zone = 'Asia/Tokyo'",
        )
        .await
        .unwrap();
    store(
        &owner,
        &[Stored { received_at: at("2026-03-31T12:00:00Z"), ..heartbeat(at("2026-03-15T12:00:00Z")) }],
    )
    .await;
    count(&evening).await;
    assert_eq!(csv(&evening, MARCH, "").await, first);
    // Nor does it depend on who asks, and how.
    let settings =
        "set datestyle = 'German, DMY'; set timezone = 'Asia/Kathmandu'; set extra_float_digits = -4;
        set bytea_output = 'escape'; set intervalstyle = 'sql_standard'";
    assert_eq!(csv(&evening, MARCH, settings).await, first);
    assert!(evening.admin().await.altered_bills(&evening.tenant).await.unwrap().is_empty());
}

#[tokio::test]
async fn nobody_edits_a_closed_month_and_who_goes_around_that_is_found() {
    let evening = evening_with(17).await;
    close(&evening, MARCH).await;
    let owner = evening.db.owner().await;
    for act in [
        "update app.billing_lines set amount_minor = 0",
        "delete from app.billing_lines",
        "truncate app.billing_lines, app.billing_periods",
        "update app.billing_periods set total_minor = 0",
        "delete from app.billing_periods",
        "delete from app.billing_credits",
    ] {
        let done = owner.batch_execute(act).await;
        if act.contains("credits") {
            done.unwrap(); // there are none
        } else {
            assert_eq!(done.unwrap_err().as_db_error().unwrap().code().code(), "23001", "{act}");
        }
    }
    for tampering in [
        "update app.billing_lines set amount_minor = amount_minor - 1 where line = 1",
        "update app.billing_lines set description = description || '.' where line = 2",
        "delete from app.billing_lines where line = 2",
        "update app.billing_periods set total_minor = total_minor - 1",
        "update app.billing_periods set tenant_name = 'Somebody'",
        "update app.billing_periods set sha256 = sha256('x')",
    ] {
        let mut admin = evening.admin().await;
        owner.batch_execute("begin; set local session_replication_role = replica").await.unwrap();
        owner.batch_execute(tampering).await.unwrap();
        let found: i64 =
            owner.query_one("select count(*) from app.billing_verify()", &[]).await.unwrap().get(0);
        assert_eq!(found, 1, "{tampering}");
        owner.batch_execute("rollback").await.unwrap();
        assert!(admin.altered_bills(&evening.tenant).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_comes_late_is_a_line_of_the_open_month_at_the_price_of_its_own() {
    let evening = evening_with(8).await;
    close(&evening, MARCH).await;
    let owner = evening.db.owner().await;
    // 8 of 10 were used: 5 late ones are 3 over, as if they had been in time.
    let late: Vec<_> = (0..5)
        .map(|_| Stored { received_at: at("2026-04-20T12:00:00Z"), ..heartbeat(at("2026-03-15T12:00:00Z")) })
        .collect();
    store(&owner, &late).await;
    count(&evening).await;
    // April's price list is another one: March's stays.
    owner.batch_execute("update app.entitlements set overage_price_minor = 9999").await.unwrap();
    let closed = close(&evening, "2026-04").await;
    let bill = evening.admin().await.bill(&evening.tenant, &month("2026-04")).await.unwrap();
    let adjustment = bill.iter().find(|line| line.kind == "adjustment").unwrap();
    assert_eq!(
        (adjustment.for_period.as_str(), adjustment.quantity, adjustment.billable, adjustment.amount_minor),
        (MARCH, 5, 3, 11)
    );
    assert_eq!(closed.total_minor, Some(9900 + 11));
    assert_recounts(&evening).await;
}

#[tokio::test]
async fn a_letter_sent_again_after_the_close_is_billed_once_in_the_open_month() {
    let evening = evening_with(3).await;
    close(&evening, MARCH).await;
    let before = csv(&evening, MARCH, "").await;
    let owner = evening.db.owner().await;
    // Received in time, stored only now.
    let letter = lay(&evening, &[Lying::heartbeat(Uuid::now_v7(), at("2026-03-20T12:00:00Z"))]).await;
    let mut admin = evening.admin().await;
    let became = admin.dead_letter_desk(&evening.tenant).redrive(&letter, |_| {}).await.unwrap();
    assert_eq!(became[0].outcome.status(), "accepted");
    assert_eq!(count(&evening).await, 1);
    assert_eq!(count(&evening).await, 0);
    assert_eq!(csv(&evening, MARCH, "").await, before);
    let billed = "select count(*) from app.monthly_counters
        where feature = 'events' and for_period = '2026-03' and quantity = 1 and period = to_char(now() at time zone 'Europe/Madrid', 'YYYY-MM')";
    assert_eq!(evening.count(billed).await, 1);
    assert_recounts(&evening).await;
    // Nor is it lost or doubled where counting starts over.
    owner.batch_execute("select app.metering_start_over()").await.unwrap();
    count(&evening).await;
    assert_eq!(evening.count(billed).await, 1);
    assert_recounts(&evening).await;
}

#[tokio::test]
async fn each_line_leads_to_its_events_and_no_others() {
    let evening = evening_with(17).await;
    let owner = evening.db.owner().await;
    let late = Stored { received_at: at("2026-04-20T12:00:00Z"), ..heartbeat(at("2026-03-15T12:00:00Z")) };
    let other = heartbeat(at("2026-04-15T12:00:00Z"));
    let (late_id, other_id) = (late.id, other.id);
    store(&owner, &[late, other]).await;
    count(&evening).await;
    close(&evening, MARCH).await;
    let mut admin = evening.admin().await;
    for period in [MARCH, "2026-04"] {
        for line in admin.bill(&evening.tenant, &month(period)).await.unwrap() {
            let events =
                admin.trace_bill(&evening.tenant, &month(period), line.line, 1000, None).await.unwrap();
            let behind: i64 = events.iter().map(|event| event.quantity).sum();
            let counted =
                if matches!(line.kind.as_str(), "usage" | "adjustment") { line.quantity } else { 0 };
            assert_eq!(behind, counted, "{line:?}");
            match (period, line.kind.as_str(), line.feature.as_str()) {
                ("2026-04", "adjustment", "events") => assert_eq!(events[0].id, late_id),
                ("2026-04", "usage", "events") => assert_eq!(events[0].id, other_id),
                _ => {}
            }
            // In pages it is the same list.
            let mut paged = Vec::new();
            let mut after = None;
            loop {
                let page =
                    admin.trace_bill(&evening.tenant, &month(period), line.line, 4, after).await.unwrap();
                let Some(last) = page.last() else { break };
                after = Some((last.received_at, last.id));
                paged.extend(page);
            }
            assert_eq!(paged, events);
        }
    }
    let unknown = admin.trace_bill(&evening.tenant, &month(MARCH), 99, 10, None).await.unwrap_err();
    assert!(
        matches!(&unknown, AdminError::Refused(why) if why == "2026-03 of acme has no line 99"),
        "{unknown}"
    );
}

#[tokio::test]
async fn a_month_closes_only_when_nothing_of_it_can_come_in_time_any_more() {
    let evening = evening_with(0).await;
    let this_month: String = evening
        .db
        .owner()
        .await
        .query_one("select to_char(now() at time zone 'UTC', 'YYYY-MM')", &[])
        .await
        .unwrap()
        .get(0);
    let early = close(&evening, &this_month).await;
    assert_eq!(early.outcome, CloseOutcome::TooEarly);
    assert!(early.detail.unwrap().contains("may come in time until"));

    // A transaction of March's that is still open: its event would be missed.
    store(&evening.db.owner().await, &[heartbeat(at("2026-03-15T12:00:00Z"))]).await;
    let slow = evening.db.owner().await;
    slow.batch_execute("begin").await.unwrap();
    store(&slow, &[heartbeat(at("2026-03-15T12:00:00Z"))]).await;
    evening
        .db
        .owner()
        .await
        .batch_execute("update app.metering_progress set complete_until = '2026-04-01', mark_xids = '{}', mark_times = '{}'")
        .await
        .unwrap();
    assert_eq!(close_once(&evening, MARCH).await.outcome, CloseOutcome::Waiting);
    slow.batch_execute("commit").await.unwrap();
    assert_eq!(close(&evening, MARCH).await.outcome, CloseOutcome::Closed);
    assert_recounts(&evening).await;
}

#[tokio::test]
async fn a_credit_corrects_a_closed_month_in_an_open_one() {
    let evening = evening_with(17).await;
    let mut admin = evening.admin().await;
    let refused =
        admin.credit(&evening.tenant, &month(MARCH), 500, "two gates down", "ana").await.unwrap_err();
    assert!(
        matches!(&refused, AdminError::Refused(why) if why == "2026-03 of acme is not closed"),
        "{refused}"
    );
    close(&evening, MARCH).await;
    let before = csv(&evening, MARCH, "").await;
    let given = admin.credit(&evening.tenant, &month(MARCH), 500, "two gates\ndown", "ana").await.unwrap();
    assert_eq!(csv(&evening, MARCH, "").await, before);
    let bill = admin.bill(&evening.tenant, &month(&given.period)).await.unwrap();
    let credit = bill.iter().find(|line| line.kind == "credit").unwrap();
    assert_eq!((credit.amount_minor, credit.for_period.as_str()), (-500, MARCH));
    assert_eq!(credit.description, "Credit: two gates down");
    assert_eq!(evening.count("select count(*) from audit.log where action = 'billing.credit'").await, 1);
}

#[tokio::test]
async fn a_plan_changes_only_from_an_open_month_on() {
    let evening = evening_with(17).await;
    close(&evening, MARCH).await;
    let mut admin = evening.admin().await;
    assert!(!admin.assign_plan(&evening.tenant, "palace", &month("2026-05"), "ana").await.unwrap());
    let refused = admin.assign_plan(&evening.tenant, "house", &month(MARCH), "ana").await.unwrap_err();
    assert!(
        matches!(&refused, AdminError::Refused(why) if why.starts_with("2026-03 is closed")),
        "{refused}"
    );
    assert!(admin.assign_plan(&evening.tenant, "house", &month("2026-04"), "ana").await.unwrap());
}

/// Half up, in numbers that cannot overflow.
fn exact(quantity: i64, included: i64, price: i64, per: i64) -> i64 {
    let over = i128::from((quantity - included).max(0));
    i64::try_from((2 * over * i128::from(price) + i128::from(per)) / (2 * i128::from(per))).unwrap()
}

#[tokio::test]
async fn a_charge_is_the_exact_one_rounded_half_up_and_parts_add_up_to_the_whole() {
    let evening = Evening::of(0).await;
    let owner = evening.db.owner().await;
    let mut dice = StdRng::seed_from_u64(4);
    let mut columns: [Vec<i64>; 5] = Default::default();
    for _ in 0..5_000 {
        let large = dice.random_range(0..5) == 0;
        let (quantity, included) = if large {
            (dice.random_range(0..2_000_000_000), dice.random_range(0..2_000_000_000))
        } else {
            (dice.random_range(0..50), dice.random_range(0..50))
        };
        let price = if large { dice.random_range(0..1_000_000) } else { dice.random_range(0..20) };
        let per = if large { dice.random_range(1..1_000_000) } else { dice.random_range(1..12) };
        let part = dice.random_range(0..=quantity);
        for (column, value) in columns.iter_mut().zip([quantity, included, price, per, part]) {
            column.push(value);
        }
    }
    let [quantity, included, price, per, part] = &columns;
    let rows = owner
        .query(
            "select app.charge_minor(q, i, p, u), app.charge_minor(part, i, p, u) from unnest($1::bigint[], $2::bigint[],
             $3::bigint[], $4::bigint[], $5::bigint[]) with ordinality t (q, i, p, u, part, ord) order by ord",
            &[quantity, included, price, per, part],
        )
        .await
        .unwrap();
    for (at, row) in rows.iter().enumerate() {
        let (whole, before): (i64, i64) = (row.get(0), row.get(1));
        let want = exact(quantity[at], included[at], price[at], per[at]);
        assert_eq!(whole, want, "{} {} {} {}", quantity[at], included[at], price[at], per[at]);
        // An adjustment is the difference: what came in parts costs what the whole would have cost, and never less than 0.
        assert_eq!(before, exact(part[at], included[at], price[at], per[at]));
        assert!(whole >= before);
    }
    let unlimited: i64 = owner
        .query_one("select app.charge_minor(9000000000000000000, null, 1000, 1)", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(unlimited, 0);
}

#[tokio::test]
async fn currencies_without_cents_and_with_three_are_whole_minor_units_too() {
    let evening = evening_with(17).await;
    for (currency, digits) in [("JPY", 0), ("KWD", 3)] {
        let owner = evening.db.owner().await;
        owner.execute("update app.plans set currency = $1", &[&currency]).await.unwrap();
        let bill = evening.admin().await.bill(&evening.tenant, &month(MARCH)).await.unwrap();
        assert_eq!(
            (bill[0].currency.as_str(), bill[0].minor_digits, bill[0].amount_minor),
            (currency, digits, 9900)
        );
    }
}

#[tokio::test]
async fn a_bill_is_read_by_who_answers_for_its_tenant_and_by_nobody_else() {
    let evening = evening_with(17).await;
    close(&evening, MARCH).await;
    let rows = "select (select count(*) from app.v_tenant_billing_report where period = '2026-03'),
        (select count(*) from app.billing_lines), (select count(*) from app.billing_periods)";
    for (tenant, role, sees) in [
        ("acme", "owner", true),
        ("acme", "admin", true),
        ("acme", "editor", false),
        ("acme", "viewer", false),
        ("acme", "", false),
        ("rival", "owner", false),
    ] {
        let owner = evening.db.owner().await;
        let claims = format!(r#"{{"app_metadata":{{"tenant_id":"{tenant}","seatpilot_role":"{role}"}}}}"#);
        owner.batch_execute("begin; set local role authenticated").await.unwrap();
        owner.execute("select set_config('request.jwt.claims', $1, true)", &[&claims]).await.unwrap();
        let row = owner.query_one(rows, &[]).await.unwrap();
        let seen: [i64; 3] = [row.get(0), row.get(1), row.get(2)];
        assert_eq!(seen.iter().all(|count| *count > 0), sees, "{tenant} {role} {seen:?}");
        if !sees {
            assert_eq!(seen, [0, 0, 0], "{tenant} {role}");
        }
        owner.batch_execute("rollback").await.unwrap();
    }
}

#[tokio::test]
async fn no_cell_of_a_csv_is_a_formula_and_every_line_is_one() {
    let evening = evening_with(1).await;
    let owner = evening.db.owner().await;
    for (name, cell) in [
        ("Plain, Ltd. \"Ω\"", r#""Plain, Ltd. ""Ω""""#),
        ("=1+1", "\"'=1+1\""),
        ("+SUM(A1)", "\"'+SUM(A1)\""),
        ("-2", "\"'-2\""),
        ("@cmd", "\"'@cmd\""),
        ("\t=1", "\"' =1\""),
        ("\r=1", "\"' =1\""),
        (" \u{a0}=1", "\"' \u{a0}=1\""),
        ("＝1", "\"'＝1\""),
        ("a\r\nb\u{2028}c\u{0085}d", "\"a  b c d\""),
    ] {
        owner.execute("update ops.tenants set name = $1", &[&name]).await.unwrap();
        let text = csv(&evening, MARCH, "").await;
        let first = text.split("\r\n").nth(1).unwrap();
        let wanted = format!("\"acme\",{cell},\"2026-03\"");
        assert!(first.starts_with(&wanted), "{name:?}: {first}");
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
