//! The bill as those who answer for it see it: the page, the CSV, what is used of the plan.

use std::time::Duration;

use seatpilot_runtime::Clock;
use serde_json::{Value, json};

use crate::{
    access::{JWT_SECRET, token},
    service::{Reply, Service, reply},
};

/// Long over, so that it can be closed.
pub(crate) const PAST: &str = "2025-01";
const HEADER: &str = "tenant_id,tenant_name,period,state,line,kind,feature,for_period,description,quantity,included,\
    billable,unit_price_minor,unit_per,amount_minor,currency,plan_id,plan_name,closed_at";

/// With a price list, and tenant `acme` on a plan that it went over in a month long ago.
pub(crate) async fn billed() -> Service {
    let service = Service::start_with(Clock::system(), &[("SUPABASE_JWT_SECRET", JWT_SECRET)]).await;
    let sql = format!(
        "select app.metering_roll(); -- the first counts anew what stands here without events
        insert into app.plans (plan_id, name, currency, base_price_minor) values ('house', 'House', 'EUR', 24900);
        insert into app.entitlements (plan_id, feature, limit_quantity, limit_kind, overage_price_minor, overage_per) values
            ('house', 'checkins', 100, 'soft', 9, 1), ('house', 'events', 200, 'hard', 75, 1000);
        insert into app.tenant_plans values ('acme', '{PAST}', 'house');
        update ops.tenants set name = 'Acme Halls' where tenant_id = 'acme';
        insert into app.monthly_counters (tenant_id, period, feature, for_period, venue_id, quantity)
        select 'acme', p, f, p, '', 250
        from unnest(array['{PAST}', to_char(now() at time zone 'UTC', 'YYYY-MM')]) p, unnest(array['checkins', 'events']) f"
    );
    service.db.owner().await.batch_execute(&sql).await.unwrap();
    service
}

impl Service {
    /// As somebody of `acme`.
    pub(crate) async fn see(&self, path: &str, role: &str) -> Reply {
        self.see_as(path, "acme", role).await
    }

    pub(crate) async fn see_as(&self, path: &str, tenant: &str, role: &str) -> Reply {
        let request = self.client.get(format!("{}{path}", self.url)).bearer_auth(token(tenant, role));
        reply(request).await
    }

    /// Closes [`PAST`] of so many tenants; the hash of the last, in hex. While a transaction of another test that began
    /// before is still open the answer is to wait.
    pub(crate) async fn close(&self, tenants: i64) -> String {
        let sql = "select count(*) filter (where outcome like '%closed'), max(sha256)
            from app.billing_close_month($1::text)";
        for _ in 0..300 {
            let row = self.db.owner().await.query_one(sql, &[&PAST]).await.unwrap();
            if row.get::<_, i64>(0) == tenants {
                return row.get(1);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{PAST} of {tenants} tenants does not close");
    }

    /// This month in UTC, as the database knows it.
    pub(crate) async fn this_month(&self) -> String {
        let sql = "select to_char(now() at time zone 'UTC', 'YYYY-MM')";
        self.db.owner().await.query_one(sql, &[]).await.unwrap().get(0)
    }
}

/// RFC 4180, strictly: every row ends with CRLF, nothing follows a closing quote but a comma or the end.
pub(crate) fn parsed(csv: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut rest) = (Vec::new(), Vec::new(), csv);
    while !rest.is_empty() {
        let (cell, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (mut cell, mut quoted) = (String::new(), quoted);
                loop {
                    let (text, after) = quoted.split_once('"').unwrap();
                    cell.push_str(text);
                    match after.strip_prefix('"') {
                        Some(more) => (cell.push('"'), quoted = more).1,
                        None => break (cell, after),
                    }
                }
            }
            None => {
                let end = rest.find([',', '\r']).unwrap();
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        row.push(cell);
        rest = match after.strip_prefix("\r\n") {
            Some(next) => {
                rows.push(std::mem::take(&mut row));
                next
            }
            None => after.strip_prefix(',').unwrap_or_else(|| panic!("{after:.40}")),
        };
    }
    assert!(row.is_empty(), "the last row has its end");
    rows
}

/// The month's rows as the view has them, as text, in the order of the columns.
async fn reported(service: &Service, period: &str) -> Vec<Vec<String>> {
    let sql = "select to_jsonb(r) from app.v_tenant_billing_report r where tenant_id = 'acme' and period = $1 order by line";
    let rows = service.db.owner().await.query(sql, &[&period]).await.unwrap();
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    rows.iter()
        .map(|row| row.get::<_, Value>(0))
        .map(|row| HEADER.split(',').map(|column| text(&row[column])).collect())
        .collect()
}

#[tokio::test]
async fn the_csv_is_the_report_row_by_row_open_and_closed_and_what_is_closed_has_its_hash() {
    let service = billed().await;
    let open = service.see(&format!("/admin/billing/csv?period={PAST}"), "admin").await;
    let sha256 = service.close(1).await;
    let closed = service.see(&format!("/admin/billing/csv?period={PAST}"), "owner").await;
    for (answer, state) in [(&open, "open"), (&closed, "closed")] {
        assert_eq!(answer.status, 200, "{answer:?}");
        for (name, value) in [
            ("content-type", "text/csv; charset=utf-8; header=present"),
            ("content-disposition", &*format!("attachment; filename=\"seatpilot-acme-{PAST}.csv\"")),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("transfer-encoding", "chunked"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name}: {answer:?}");
        }
        let rows = parsed(&answer.text);
        assert_eq!(rows[0].join(","), HEADER);
        assert!(rows.len() > 7 && rows[1..].iter().all(|row| row[3] == state), "{rows:?}");
    }
    assert_eq!(parsed(&closed.text)[1..], reported(&service, PAST).await);
    let this = service.this_month().await;
    let now = service.see(&format!("/admin/billing/csv?period={this}"), "admin").await;
    assert_eq!(parsed(&now.text)[1..], reported(&service, &this).await);
    // Asked of another program than the one that wrote it.
    let sql = "select encode(sha256($1::bytea), 'hex')";
    let row = service.db.owner().await.query_one(sql, &[&closed.text.as_bytes()]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), sha256);
    let stored = "select encode(sha256, 'hex') from app.billing_periods where tenant_id = 'acme'";
    assert_eq!(service.db.owner().await.query_one(stored, &[]).await.unwrap().get::<_, String>(0), sha256);
    let again = service.see(&format!("/admin/billing/csv?period={PAST}"), "owner").await;
    assert_eq!(again.text, closed.text);
}

#[tokio::test]
async fn the_page_shows_months_lines_total_and_use_and_lets_nothing_run() {
    let service = billed().await;
    let sha256 = service.close(1).await;
    let this = service.this_month().await;
    let reason = "a door that did not open";
    let owner = service.db.owner().await;
    owner
        .batch_execute("select set_config('request.jwt.claims', '{\"tenant_id\":\"acme\"}', false)")
        .await
        .unwrap();
    owner.query("select app.billing_credit('acme', $1, -1250, $2)", &[&PAST, &reason]).await.unwrap();
    // The newest month, as nobody said which: open, with the credit.
    let page = service.see("/admin/billing", "admin").await;
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
    ] {
        assert_eq!(page.header(name), Some(value), "{name}: {page:?}");
    }
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'self';") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert!(!page.text.contains("<script") && !page.text.contains("style="));
    // 249.00 + 150 × 0.09 + 50 of 1000 × 0.75, rounded half up, - 12.50
    for part in [
        &*format!("{this} <span class=\"state\">open</span>"),
        "Acme Halls",
        "<dd>House</dd>",
        "249.00\u{a0}EUR",
        "13.50\u{a0}EUR",
        "0.75\u{a0}EUR per 1000",
        &format!("Credit: {reason}"),
        "\u{2212}12.50\u{a0}EUR",
        "<strong>250.04\u{a0}EUR</strong>",
        "250 of 100 checkins",
        "more is refused",
        &format!("/admin/billing/csv?period={this}"),
        &format!("/admin/billing?period={PAST}"),
    ] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    let page = service.see(&format!("/admin/billing?period={PAST}"), "owner").await;
    for part in
        [&*format!("{PAST} <span class=\"state\">closed</span>"), &sha256, "<strong>262.54\u{a0}EUR</strong>"]
    {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
}

#[tokio::test]
async fn what_is_no_month_is_named_and_head_answers_without_a_body() {
    let service = billed().await;
    for (path, field) in [
        ("/admin/billing?period=2026-13", "/query/period"),
        ("/admin/billing?period=2026", "/query/period"),
        ("/admin/billing?period=", "/query/period"),
        ("/admin/billing/csv?period=2026-00", "/query/period"),
        ("/admin/billing/csv?period=2026-01%27--", "/query/period"),
        ("/admin/billing/csv?period=%EF%BC%92026-01", "/query/period"),
        ("/admin/billing/csv", "/query/period"),
    ] {
        let answer = service.see(path, "owner").await;
        assert_eq!(answer.problem(), (422, "schema_violation".to_owned()), "{path}");
        assert!(answer.text.contains(field), "{path}: {answer:?}");
    }
    for path in ["/admin/billing", "/admin/billing/csv"] {
        let answer = service.see(&format!("{path}?period=2026-01&period=2026-02"), "owner").await;
        assert_eq!(answer.problem().0, 422, "{path} with two months: {answer:?}");
    }
    for path in ["/admin/billing", "/admin/billing/csv?period=2025-01", "/admin/billing/usage"] {
        for role in ["viewer", "editor", "admin", "owner"] {
            let got = service.see(path, role).await;
            let request =
                service.client.head(format!("{}{path}", service.url)).bearer_auth(token("acme", role));
            let head = reply(request).await;
            assert_eq!((head.status, head.text.len()), (got.status, 0), "{role} HEAD {path}");
            assert_eq!(head.header("content-type"), got.header("content-type"), "{role} HEAD {path}");
        }
    }
}

#[tokio::test]
async fn a_tenant_without_plan_or_without_anything_has_a_page_and_a_csv_too() {
    let service = billed().await;
    service.add_key("poor", "poor_key_01", &[7; 32], &[]).await;
    let page = service.see_as("/admin/billing", "poor", "owner").await;
    assert!(page.status == 200 && page.text.contains("There is no bill yet"), "{page:?}");
    let csv = service.see_as("/admin/billing/csv?period=2026-01", "poor", "owner").await;
    assert_eq!(csv.text, format!("{HEADER}\r\n"));
    let sql = "insert into app.monthly_counters (tenant_id, period, feature, for_period, venue_id, quantity)
        values ('poor', '2026-01', 'checkins', '2026-01', '', 12)";
    service.db.owner().await.execute(sql, &[]).await.unwrap();
    let page = service.see_as("/admin/billing", "poor", "owner").await;
    assert!(
        page.text.contains("none: nothing is charged") && page.text.contains("0.00\u{a0}EUR"),
        "{page:?}"
    );
    let csv = service.see_as("/admin/billing/csv?period=2026-01", "poor", "admin").await;
    let row = parsed(&csv.text).into_iter().find(|row| row[6] == "checkins").unwrap();
    assert_eq!((&*row[9], &*row[14], &*row[17]), ("12", "0", ""), "{row:?}");
}

#[tokio::test]
async fn what_is_used_of_the_plan_is_told_to_everybody_of_the_house() {
    let service = billed().await;
    let this = service.this_month().await;
    for role in ["viewer", "editor", "admin", "owner"] {
        let usage = service.see("/admin/billing/usage", role).await.json();
        assert_eq!(usage["tenant_id"], "acme");
        let items = usage["items"].as_array().unwrap();
        let of = |feature: &str| items.iter().find(|item| item["feature"] == feature).unwrap();
        let checkins = of("checkins");
        assert_eq!(
            (&checkins["limit"], &checkins["limit_kind"], &checkins["used"], &checkins["period"]),
            (&json!(100), &json!("soft"), &json!(250), &json!(this)),
        );
        assert_eq!(of("events")["limit_kind"], "hard");
        assert_eq!(of("routes")["limit"], Value::Null);
        assert!(of("checkins")["resets_at"].as_str().unwrap().ends_with("-01T00:00:00Z"), "{usage}");
    }
}
