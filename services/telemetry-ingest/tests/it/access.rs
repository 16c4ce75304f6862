//! Who may come to which route of `/admin`: one table, every role, the own house and another's, by header and by
//! cookie. A route that is served and is not in the table fails.

use std::collections::BTreeSet;

use jiff::Timestamp;
use reqwest::RequestBuilder;
use seatpilot_domain_model::Role;
use seatpilot_runtime::Clock;
use seatpilot_signing::{AdminSubject, sign_admin_token};
use serde_json::json;

use crate::service::{Reply, Service, reply};

pub(crate) const JWT_SECRET: &str = "the-secret-of-these-tests-0123456789abcdef";

/// What everybody may come to: the form, its answer, the stylesheet.
const OPEN: &[(&str, &str)] =
    &[("GET", "/admin/login"), ("POST", "/admin/login"), ("GET", "/admin/admin.css")];

/// A guarded route, and what it answers viewer, editor, admin and owner when they ask as `target` says.
struct Row {
    method: &'static str,
    route: &'static str,
    target: &'static str,
    answers: [u16; 4],
}

const fn row(method: &'static str, route: &'static str, target: &'static str, answers: [u16; 4]) -> Row {
    Row { method, route, target, answers }
}

/// A letter that each house has under the same id.
const LETTER: &str = "/admin/dlq/019aa0c4-7a00-7000-8000-000000000001";

const TABLE: &[Row] = &[
    row("GET", "/admin", "/admin", [200, 200, 200, 200]),
    row("POST", "/admin/logout", "/admin/logout", [303, 303, 303, 303]),
    row("GET", "/admin/audit", "/admin/audit", [403, 403, 403, 200]),
    row("GET", "/admin/billing", "/admin/billing?period=2026-03", [403, 403, 200, 200]),
    row("GET", "/admin/billing/csv", "/admin/billing/csv?period=2026-03", [403, 403, 200, 200]),
    row("GET", "/admin/billing/usage", "/admin/billing/usage", [200, 200, 200, 200]),
    row("GET", "/admin/dlq", "/admin/dlq", [403, 403, 200, 200]),
    row("GET", "/admin/dlq/{dlq_id}", LETTER, [403, 403, 200, 200]),
    // Who may gets as far as the body, which is none.
    row("POST", "/admin/dlq/dry-run", "/admin/dlq/dry-run", [403, 403, 400, 400]),
    row("POST", "/admin/dlq/redrive", "/admin/dlq/redrive", [403, 403, 400, 400]),
    row("POST", "/admin/dlq/discard", "/admin/dlq/discard", [403, 403, 400, 400]),
];

pub(crate) fn token(tenant: &str, role: &str) -> String {
    let who = AdminSubject { tenant, role, subject: "u-1" };
    sign_admin_token(JWT_SECRET.as_bytes(), who, Timestamp::now().as_second(), 600)
}

/// What a house used: a number that is nobody else's.
fn canary_quantity(tenant: &str) -> i64 {
    if tenant == "acme" { 7_700_000_077 } else { 8_800_000_088 }
}

/// Whether an answer tells of a house.
fn tells_of(reply: &Reply, tenant: &str) -> bool {
    reply.text.contains(&format!("canary-{tenant}"))
        || reply.text.contains(&canary_quantity(tenant).to_string())
}

/// With two houses, each of which has a venue and acts of its own, named after it.
pub(crate) async fn two_houses() -> Service {
    let service = Service::start_with(Clock::system(), &[("SUPABASE_JWT_SECRET", JWT_SECRET)]).await;
    let mut admin = service.admin().await;
    for tenant in ["acme", "rival"] {
        admin.ensure_tenant(&tenant.parse().unwrap(), &format!("canary-{tenant}")).await.unwrap();
        let sql = "insert into ops.venues (tenant_id, venue_id, name, time_zone) values ($1::text, 'hall', $2, 'UTC')";
        service.db.owner().await.execute(sql, &[&tenant, &format!("canary-{tenant}")]).await.unwrap();
        // What was used, in a month that was and in this one.
        let sql =
            "insert into app.monthly_counters (tenant_id, period, feature, for_period, venue_id, quantity)
            select $1::text, p, 'checkins', p, 'hall', $2
            from unnest(array['2026-03', to_char(now() at time zone 'UTC', 'YYYY-MM')]) p";
        service.db.owner().await.execute(sql, &[&tenant, &canary_quantity(tenant)]).await.unwrap();
        // What was refused, signed with a key of the house's name.
        let sql = "insert into telemetry.events_dlq (dlq_id, tenant_id, reason, reason_detail, received_at, source_key_id,
                request_id, payload, payload_len, payload_sha256, truncated)
            values ('019aa0c4-7a00-7000-8000-000000000001', $1, 'json_syntax', '', now(), $2, 'r', '', 0, '', false)";
        service.db.owner().await.execute(sql, &[&tenant, &format!("canary-{tenant}")]).await.unwrap();
    }
    // Made before, under its own name.
    let sql = "select set_config('request.jwt.claims', '{\"tenant_id\":\"acme\"}', false)";
    let owner = service.db.owner().await;
    owner.query(sql, &[]).await.unwrap();
    let sql = "select audit.append('operator', 'canary-acme', 'test', 'tenant', 'acme')";
    owner.query(sql, &[]).await.unwrap();
    service
}

/// Every request of the table and to the form; the stylesheet needs no database.
pub(crate) fn every_target() -> Vec<(&'static str, &'static str)> {
    let all = TABLE.iter().map(|row| (row.method, row.target)).chain(OPEN.iter().copied());
    all.filter(|(_, target)| *target != "/admin/admin.css").collect()
}

impl Service {
    fn ask(&self, row: &Row) -> RequestBuilder {
        self.client.request(row.method.parse().unwrap(), format!("{}{}", self.url, row.target))
    }
}

/// Every route under `/admin` that this process serves: each has its series from the first scrape.
async fn served(service: &Service) -> BTreeSet<(String, String)> {
    let metrics = service.get("/metrics").await.text;
    let label = |line: &str, name: &str| {
        line.split_once(&format!("{name}=\"")).and_then(|(_, rest)| rest.split('"').next()).map(str::to_owned)
    };
    metrics
        .lines()
        .filter(|line| line.starts_with("http_request_duration_seconds_count"))
        .filter_map(|line| Some((label(line, "method")?, label(line, "route")?)))
        .filter(|(_, route)| route.starts_with("/admin"))
        .collect()
}

#[tokio::test]
async fn every_route_of_administration_stands_in_the_table_and_in_the_document() {
    let service = two_houses().await;
    let pair = |(method, route): (&str, &str)| (method.to_owned(), route.to_owned());
    let listed: BTreeSet<_> =
        TABLE.iter().map(|row| (row.method, row.route)).chain(OPEN.iter().copied()).map(pair).collect();
    assert_eq!(served(&service).await, listed);
    let document = service.get("/openapi.json").await.json();
    let mut told = BTreeSet::from([pair(("GET", "/admin/admin.css"))]);
    for (path, operations) in document["paths"].as_object().unwrap() {
        if path.starts_with("/admin") {
            for (method, operation) in operations.as_object().unwrap() {
                told.insert((method.to_uppercase(), path.clone()));
                let guarded = TABLE.iter().any(|row| row.route == path);
                assert_eq!(operation["security"] == json!([{ "admin": [] }]), guarded, "{method} {path}");
            }
        }
    }
    assert_eq!(told, listed);
}

#[tokio::test]
async fn each_role_gets_what_the_table_says_by_header_and_by_cookie() {
    let service = two_houses().await;
    for row in TABLE {
        for (role, expected) in Role::ALL.iter().zip(row.answers) {
            let token = token("acme", role.as_str());
            let by_header = reply(service.ask(row).bearer_auth(&token)).await;
            assert_eq!(by_header.status, expected, "{role} {} {}", row.method, row.target);
            if expected == 403 {
                assert_eq!(by_header.problem().1, "forbidden");
            }
            let by_cookie = service.ask(row).header("cookie", format!("seatpilot_admin={token}"));
            let by_cookie = reply(by_cookie).await;
            // A change by cookie carries its mark, which this one does not.
            let expected = if row.method == "GET" { expected } else { 403 };
            assert_eq!(by_cookie.status, expected, "{role} {} {} by cookie", row.method, row.target);
        }
        for nobody in ["", "Bearer a.b.c"] {
            let request = service.ask(row);
            let request = if nobody.is_empty() { request } else { request.header("authorization", nobody) };
            assert_eq!(reply(request).await.problem(), (401, "unauthorized".to_owned()), "{}", row.target);
        }
    }
}

#[tokio::test]
async fn nobody_sees_another_house_whatever_is_asked() {
    let service = two_houses().await;
    let seen = async |row: &Row, tenant: &str, query: &str| -> Reply {
        let query = if row.target.contains('?') { query.replacen('?', "&", 1) } else { query.to_owned() };
        let url = format!("{}{}{query}", service.url, row.target);
        reply(service.client.request(row.method.parse().unwrap(), url).bearer_auth(token(tenant, "owner")))
            .await
    };
    for row in TABLE.iter().filter(|row| row.method == "GET") {
        for query in ["", "?tenant=acme", "?tenant_id=acme", "?app_metadata[tenant_id]=acme"] {
            let theirs = seen(row, "rival", query).await;
            assert!(!tells_of(&theirs, "acme"), "{} {query}: {theirs:?}", row.target);
            // Where a tenant can be named, another's is refused.
            if query == "?tenant=acme" && row.route.starts_with("/admin/billing") {
                assert_eq!(theirs.problem(), (403, "forbidden".to_owned()), "{}", row.target);
            } else {
                assert!(tells_of(&theirs, "rival"), "the control: {} {query}: {theirs:?}", row.target);
            }
            let nobodys = seen(row, "nobody", query).await;
            let tells = tells_of(&nobodys, "acme") || tells_of(&nobodys, "rival");
            assert!(!tells, "{} {query}: {nobodys:?}", row.target);
        }
        let own = seen(row, "acme", "").await;
        assert!(tells_of(&own, "acme"), "the control: {} {own:?}", row.target);
    }
}
