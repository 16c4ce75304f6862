//! How a person gets in and out: a pasted token, a link that is good once, the cookie, the form's mark.

use jiff::Timestamp;
use seatpilot_runtime::Clock;
use seatpilot_signing::{AdminSubject, sign_admin_token, sign_login_code};
use uuid::Uuid;

use crate::{
    access::{JWT_SECRET, token, two_houses},
    service::{Reply, Service, reply},
};

/// What Chromium sends when a person opens a page.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

impl Service {
    async fn open(&self, path: &str, cookie: Option<&str>) -> Reply {
        let mut request = self.client.get(format!("{}{path}", self.url)).header("accept", BROWSER);
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        reply(request).await
    }

    /// Sends a form as a browser does, from a page of ours.
    async fn submit(&self, url: &str, path: &str, fields: &[(&str, &str)], cookie: Option<&str>) -> Reply {
        let encoded: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", value.replace('/', "%2F"))).collect();
        let mut request = self
            .client
            .post(format!("{url}{path}"))
            .header("accept", BROWSER)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .body(encoded.join("&"));
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        reply(request).await
    }
}

fn code(role: &str) -> String {
    let who = AdminSubject { tenant: "acme", role, subject: "u-7" };
    sign_login_code(JWT_SECRET.as_bytes(), who, &Uuid::now_v7().to_string(), Timestamp::now().as_second())
}

/// `name=value` of the cookie that was set.
fn cookie(reply: &Reply) -> String {
    let set = reply.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {reply:?}"));
    for part in ["Path=/admin", "HttpOnly", "SameSite=Strict"] {
        assert!(set.contains(part), "{set}");
    }
    set.split(';').next().unwrap().to_owned()
}

/// The hidden field of a page's form.
fn mark(page: &Reply) -> String {
    let (_, rest) = page.text.split_once("name=\"csrf\" value=\"").unwrap_or_else(|| panic!("{page:?}"));
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_pasted_token_opens_a_session_and_the_way_out_closes_it() {
    let service = two_houses().await;
    let page = service.open("/admin?x=1", None).await;
    assert_eq!(page.status, 401);
    assert!(page.text.contains("value=\"/admin?x=1\""), "leads back: {}", page.text);
    let token = token("acme", "owner");
    let fields = [("token", &*token), ("next", "/admin?x=1")];
    let opened = service.submit(&service.url, "/admin/login", &fields, None).await;
    assert_eq!((opened.status, opened.header("location")), (303, Some("/admin?x=1")), "{opened:?}");
    let cookie = cookie(&opened);
    let page = service.open("/admin", Some(&cookie)).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.text.contains("canary-acme") && page.text.contains("owner") && !page.text.contains("rival"));
    assert!(!page.text.contains(&token), "the token stands in no page");
    // Out, with the mark of this session only.
    let refused = service.submit(&service.url, "/admin/logout", &[("csrf", "x")], Some(&cookie)).await;
    assert_eq!(refused.problem(), (403, "forbidden".to_owned()));
    let out = service.submit(&service.url, "/admin/logout", &[("csrf", &mark(&page))], Some(&cookie)).await;
    assert_eq!((out.status, out.header("location")), (303, Some("/admin/login")));
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
}

#[tokio::test]
async fn a_page_runs_nothing_and_is_kept_by_nobody() {
    let service = two_houses().await;
    let cookie = format!("seatpilot_admin={}", token("acme", "owner"));
    let sql = "update ops.venues set name = '<script>alert(1)</script>\"''><img src=x onerror=alert(1)>'
        where tenant_id = 'acme'";
    service.db.owner().await.execute(sql, &[]).await.unwrap();
    for (path, cookie) in [("/admin/login", None), ("/admin", None), ("/admin", Some(&*cookie))] {
        let page = service.open(path, cookie).await;
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("script-src"), "{policy}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        for never in ["<script", "<img", " style=", "onerror=alert(1)>", "javascript:"] {
            assert!(!page.text.contains(never), "{path}: {never}: {}", page.text);
        }
        assert!(page.text.contains("<html lang=\"en\">") && page.text.contains("name=\"viewport\""));
    }
    let sheet = service.open("/admin/admin.css", None).await;
    assert_eq!((sheet.status, sheet.header("content-type")), (200, Some("text/css; charset=utf-8")));
}

#[tokio::test]
async fn a_link_is_shown_as_often_as_one_likes_and_good_once_on_all_instances() {
    let service = two_houses().await;
    let second = service.second().await;
    let code = code("admin");
    for _ in 0..3 {
        let page = service.open(&format!("/admin/login?code={code}"), None).await;
        assert_eq!(page.status, 200, "{page:?}");
        assert!(page.text.contains("Log in as admin of acme") && page.header("set-cookie").is_none());
    }
    // Twenty at once, at two doors: one gets in.
    let tries = (0..20).map(|number| {
        let url = if number % 2 == 0 { service.url.clone() } else { second.clone() };
        let (service, code) = (&service, &code);
        async move { service.submit(&url, "/admin/login", &[("code", code)], None).await }
    });
    let answers = futures_util::future::join_all(tries).await;
    let opened: Vec<&Reply> = answers.iter().filter(|answer| answer.status == 303).collect();
    assert_eq!(opened.len(), 1, "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
    let page = service.open("/admin", Some(&cookie(opened[0]))).await;
    assert!(page.status == 200 && page.text.contains("u-7"), "{page:?}");
    for answer in answers.iter().filter(|answer| answer.status != 303) {
        assert!(matches!(answer.status, 401 | 503), "{answer:?}");
    }
    let late = service.submit(&second, "/admin/login", &[("code", &code)], None).await;
    assert!(late.status == 401 && late.text.contains("was used"), "{late:?}");
    // Who got in, when and from where is written down once, and the chain holds.
    let sql = "select count(*) from audit.log where action = 'session.open' and actor_id = 'u-7'
        and actor_type = 'person' and role = 'admin' and ip is not null and request_id is not null";
    assert_eq!(service.number(sql).await, 1);
    let verdict = service.admin().await.verify_audit(&"acme".parse().unwrap(), None).await.unwrap();
    assert!(verdict.faults.is_empty() && verdict.rows > 0, "{verdict:?}");
}

#[tokio::test]
async fn what_is_no_way_in_is_refused_and_says_so() {
    let service = two_houses().await;
    let session = token("acme", "owner");
    let old = {
        let who = AdminSubject { tenant: "acme", role: "owner", subject: "u-1" };
        sign_login_code(JWT_SECRET.as_bytes(), who, "j-old", Timestamp::now().as_second() - 601)
    };
    let code = code("owner");
    let roleless = {
        let who = AdminSubject { tenant: "acme", role: "king", subject: "u-1" };
        sign_admin_token(JWT_SECRET.as_bytes(), who, Timestamp::now().as_second(), 600)
    };
    for (fields, status) in [
        (vec![("token", "a.b.c")], 401),
        (vec![("token", &*code)], 401),
        (vec![("code", &*session)], 401),
        (vec![("code", &*old)], 401),
        (vec![("token", &*roleless)], 403),
        (vec![], 422),
        (vec![("token", ""), ("code", "")], 422),
        (vec![("token", &*session), ("code", &*code)], 422),
    ] {
        let answer = service.submit(&service.url, "/admin/login", &fields, None).await;
        assert_eq!(answer.status, status, "{fields:?}: {answer:?}");
        assert!(
            answer.header("set-cookie").is_none() && answer.text.contains("role=\"alert\""),
            "{answer:?}"
        );
    }
    assert_eq!(service.open(&format!("/admin/login?code={old}"), None).await.status, 401);
    // A page of another site logs nobody in, not even as somebody else.
    let foreign =
        service.client.post(format!("{}/admin/login", service.url)).body(format!("token={session}"));
    let foreign = reply(foreign.header("sec-fetch-site", "cross-site")).await;
    assert_eq!(foreign.problem(), (403, "forbidden".to_owned()));
    // A program gets problem documents.
    let program = reply(service.client.post(format!("{}/admin/login", service.url)).body("token=x")).await;
    assert_eq!(program.problem(), (401, "unauthorized".to_owned()));
    // Elsewhere is no place to go on to.
    let fields = [("token", &*session), ("next", "https://evil.example/admin")];
    let home = service.submit(&service.url, "/admin/login", &fields, None).await;
    assert_eq!((home.status, home.header("location")), (303, Some("/admin")));
}

#[tokio::test]
async fn a_login_that_cannot_be_written_down_is_none() {
    let service = two_houses().await;
    let revoke = "revoke execute on all functions in schema audit from seatpilot_ingest";
    service.db.owner().await.batch_execute(revoke).await.unwrap();
    let answer =
        service.submit(&service.url, "/admin/login", &[("token", &token("acme", "owner"))], None).await;
    assert!(answer.status == 500 && answer.header("set-cookie").is_none(), "{answer:?}");
}

#[tokio::test]
async fn without_a_secret_nobody_gets_in() {
    let service = Service::start_with(Clock::system(), &[]).await;
    let answer = service.client.get(format!("{}/admin", service.url)).bearer_auth(token("acme", "owner"));
    assert_eq!(reply(answer).await.problem(), (401, "unauthorized".to_owned()));
}
