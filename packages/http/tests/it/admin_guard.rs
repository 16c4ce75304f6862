//! Who gets through the administrators' guard, with a shared secret.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use reqwest::{RequestBuilder, Response};
use seatpilot_domain_model::AdminAction;
use seatpilot_http::{
    Access, Answer, Routes, Server, Success,
    admin::{AdminGuard, AdminGuardSettings, COOKIE, Database, Session},
};
use seatpilot_runtime::{AdminAccess, Clock, Deployment, ManualClock, SecretString, Shutdown};
use seatpilot_signing::{AdminSubject, LOGIN_CODE_SECONDS, sign_admin_token, sign_login_code};
use serde_json::{Value, json};

use crate::{
    issuer::{SigningKey, hs256},
    server::{options, problem},
};

pub(crate) const SECRET: &str = "a-secret-of-the-tests-0123456789abcdef";
const NOW: i64 = 1_795_000_000;

/// A server with three guarded routes, and its clock.
pub(crate) struct House {
    pub(crate) url: String,
    pub(crate) hand: ManualClock,
    pub(crate) client: reqwest::Client,
    shutdown: Shutdown,
}

async fn look(session: Session) -> Answer {
    let who = session.who();
    Answer::json(
        Success::Ok,
        &json!({ "tenant": who.tenant, "role": who.role, "name": who.name(), "csrf": session.csrf() }),
    )
}

/// Answers what it read, to see that the guard put the body back.
async fn act(session: Session, body: String) -> Answer {
    Answer::json(Success::Ok, &json!({ "name": session.who().name(), "body": body }))
}

pub(crate) fn routes(routes: &mut Routes, guard: &Arc<AdminGuard>) {
    routes
        .guarded(guard)
        .get("/admin", AdminAction::ReadDashboards, look)
        .get("/admin/bill", AdminAction::ReadBilling, look)
        .post("/admin/act", AdminAction::HandleDeadLetters, Success::Ok, act);
    routes.get("/admin/forgotten", look);
}

impl House {
    pub(crate) fn open(access: AdminAccess, database: Database) -> Self {
        let (clock, hand) = Clock::manual(Timestamp::from_second(NOW).unwrap());
        let settings = AdminGuardSettings {
            access,
            deployment: Deployment::Development,
            database,
            clock: clock.clone(),
        };
        let guard = AdminGuard::new(settings).unwrap().with_login_page(|_| "<form>log in</form>".to_owned());
        let guard = Arc::new(guard);
        let mut options = options(0);
        options.clock = clock;
        let shutdown = options.shutdown.clone();
        let server = Server::bind(options, move |all| routes(all, &guard)).unwrap();
        let url = server.url();
        tokio::spawn(server.run());
        Self { url, hand, client: reqwest::Client::new(), shutdown }
    }

    fn of_secret() -> Self {
        Self::open(AdminAccess::Secret(SecretString::from(SECRET)), Database::Present)
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    fn act(&self) -> RequestBuilder {
        self.client.post(format!("{}/admin/act", self.url))
    }

    pub(crate) async fn look(&self, token: &str) -> Response {
        self.get("/admin").bearer_auth(token).send().await.unwrap()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}

/// The claims of a good token; `change` makes another of it.
pub(crate) fn claims(change: impl FnOnce(&mut Value)) -> Value {
    let mut claims = json!({
        "aud": "authenticated", "sub": "u-1", "exp": NOW + 3600,
        "app_metadata": { "tenant_id": "acme", "seatpilot_role": "admin" },
        "user_metadata": { "tenant_id": "rival", "seatpilot_role": "owner" },
    });
    change(&mut claims);
    claims
}

fn subject<'a>(role: &'a str) -> AdminSubject<'a> {
    AdminSubject { tenant: "acme", role, subject: "u-1" }
}

#[tokio::test]
async fn a_good_token_gets_in_by_header_and_by_cookie() {
    let house = House::of_secret();
    let token = hs256(SECRET, &claims(|_| {}));
    let by_header = house.look(&token).await;
    assert_eq!(by_header.status(), 200);
    let seen: Value = by_header.json().await.unwrap();
    assert_eq!(
        (&seen["tenant"], &seen["role"], &seen["name"]),
        (&json!("acme"), &json!("admin"), &json!("u-1"))
    );
    let by_cookie = house.get("/admin").header("cookie", format!("a=b; {COOKIE}={token}"));
    assert_eq!(by_cookie.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_token_made_here_is_one_that_the_library_takes() {
    let house = House::of_secret();
    let token = sign_admin_token(SECRET.as_bytes(), subject("admin"), NOW, 60);
    assert_eq!(house.look(&token).await.status(), 200);
    house.hand.advance(Duration::from_secs(60));
    assert_eq!(house.look(&token).await.status(), 401, "expired to the second");
}

#[tokio::test]
async fn whatever_is_wrong_with_a_token_the_answer_is_the_same_401() {
    let house = House::of_secret();
    let good = hs256(SECRET, &claims(|_| {}));
    let (head_and_claims, signature) = good.rsplit_once('.').unwrap();
    let (head, body) = head_and_claims.split_once('.').unwrap();
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"; // {"alg":"none","typ":"JWT"}
    let ec = SigningKey::es256("k1");
    let bad = [
        ("another secret", hs256("another-secret", &claims(|_| {}))),
        ("no audience", hs256(SECRET, &claims(|c| drop(c.as_object_mut().unwrap().remove("aud"))))),
        ("another audience", hs256(SECRET, &claims(|c| c["aud"] = json!("anon")))),
        ("an empty list of audiences", hs256(SECRET, &claims(|c| c["aud"] = json!([])))),
        ("a login code's audience", sign_login_code(SECRET.as_bytes(), subject("owner"), "j-1", NOW)),
        ("no expiry", hs256(SECRET, &claims(|c| drop(c.as_object_mut().unwrap().remove("exp"))))),
        ("an expiry that is a text", hs256(SECRET, &claims(|c| c["exp"] = json!("2099")))),
        ("expired", hs256(SECRET, &claims(|c| c["exp"] = json!(NOW)))),
        ("expired before it began", hs256(SECRET, &claims(|c| c["exp"] = json!(-1)))),
        ("not good yet", hs256(SECRET, &claims(|c| c["nbf"] = json!(NOW + 61)))),
        ("a subject with a line break", hs256(SECRET, &claims(|c| c["sub"] = json!("a\nb")))),
        ("no signature", format!("{head_and_claims}.")),
        ("a signature cut short", format!("{head_and_claims}.{}", &signature[..20])),
        ("algorithm none", format!("{none}.{body}.")),
        ("algorithm none with a signature", format!("{none}.{body}.{signature}")),
        ("a public key's signature", ec.sign(&claims(|_| {}))),
        ("two parts", format!("{head}.{body}")),
        ("no JWT", "abc".to_owned()),
    ];
    let mut details = std::collections::BTreeSet::new();
    for (what, token) in &bad {
        let response = house.look(token).await;
        assert_eq!(response.headers()["www-authenticate"], "Bearer", "{what}");
        let answer = problem(response).await;
        assert_eq!(answer["code"], "unauthorized", "{what}");
        details.insert(answer["detail"].as_str().unwrap().to_owned());
    }
    assert_eq!(details.len(), 1, "the reason is in the log only");
    assert_eq!(house.look(&good).await.status(), 200, "the control");
}

#[tokio::test]
async fn the_tenant_is_of_app_metadata_else_of_the_top_and_never_the_users_own_word() {
    let house = House::of_secret();
    let tenant = async |claims: Value| {
        let response = house.look(&hs256(SECRET, &claims)).await;
        let status = response.status().as_u16();
        (status, response.json::<Value>().await.unwrap()["tenant"].as_str().map(str::to_owned))
    };
    let both = claims(|c| c["tenant_id"] = json!("other"));
    assert_eq!(tenant(both).await, (200, Some("acme".to_owned())));
    let top = claims(|c| {
        c["tenant_id"] = json!("other");
        c["app_metadata"] = json!({ "seatpilot_role": "viewer" });
    });
    assert_eq!(tenant(top).await, (200, Some("other".to_owned())));
    for nowhere in [
        claims(|c| c["app_metadata"] = json!({ "seatpilot_role": "owner" })),
        claims(|c| c["app_metadata"] = json!({ "tenant_id": "acme" })),
        claims(|c| c["app_metadata"] = json!({ "tenant_id": "acme", "seatpilot_role": "root" })),
        claims(|c| c["app_metadata"] = json!({ "tenant_id": "a b", "seatpilot_role": "owner" })),
        claims(|c| drop(c.as_object_mut().unwrap().remove("app_metadata"))),
    ] {
        let answer = problem(house.look(&hs256(SECRET, &nowhere)).await).await;
        assert_eq!(answer["code"], "forbidden", "{nowhere}");
    }
}

#[tokio::test]
async fn a_claim_that_stands_there_twice_is_no_claim() {
    let house = House::of_secret();
    // Signed by hand: the library would not write it.
    let head = "eyJhbGciOiJIUzI1NiJ9"; // {"alg":"HS256"}
    let text = format!(
        r#"{{"aud":"authenticated","exp":{},"app_metadata":{{"tenant_id":"acme","tenant_id":"rival","seatpilot_role":"viewer"}}}}"#,
        NOW + 60
    );
    let body = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text);
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    let signed = format!("{head}.{body}");
    let tag = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, jsonwebtoken::Algorithm::HS256).unwrap();
    assert_eq!(house.look(&format!("{signed}.{tag}")).await.status(), 401);
}

#[tokio::test]
async fn a_role_may_do_what_the_table_says() {
    let house = House::of_secret();
    for (role, looks, bill, acts) in [
        ("viewer", 200, 403, 403),
        ("editor", 200, 403, 403),
        ("admin", 200, 200, 200),
        ("owner", 200, 200, 200),
    ] {
        let token = sign_admin_token(SECRET.as_bytes(), subject(role), NOW, 60);
        let status = async |request: RequestBuilder| {
            request.bearer_auth(&token).send().await.unwrap().status().as_u16()
        };
        assert_eq!(status(house.get("/admin")).await, looks, "{role}");
        assert_eq!(status(house.get("/admin/bill")).await, bill, "{role}");
        assert_eq!(status(house.act()).await, acts, "{role}");
    }
}

#[tokio::test]
async fn a_header_holds_over_the_cookie_and_two_of_either_are_none() {
    let house = House::of_secret();
    let good = hs256(SECRET, &claims(|_| {}));
    let cookie = format!("{COOKIE}={good}");
    let bad_header = house.get("/admin").bearer_auth("a.b.c").header("cookie", &cookie);
    assert_eq!(bad_header.send().await.unwrap().status(), 401);
    let basic = house.get("/admin").header("authorization", "Basic YTpi").header("cookie", &cookie);
    assert_eq!(basic.send().await.unwrap().status(), 401);
    let two = house.get("/admin").header("cookie", format!("{cookie}; {cookie}"));
    assert_eq!(two.send().await.unwrap().status(), 401);
    let two = house.get("/admin").bearer_auth(&good).header("authorization", format!("Bearer {good}"));
    assert_eq!(two.send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_browser_without_a_session_gets_the_form_and_a_program_the_problem() {
    let house = House::of_secret();
    let page = house.get("/admin").header("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    let page = page.send().await.unwrap();
    assert_eq!(page.status(), 401);
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(page.headers()["cache-control"], "no-store");
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(page.text().await.unwrap().contains("<form"));
    for accept in ["*/*", "application/json", "text/csv", "text/html;q=0, application/json"] {
        let answer = house.get("/admin").header("accept", accept).send().await.unwrap();
        assert_eq!(problem(answer).await["code"], "unauthorized", "{accept}");
    }
    // A good token whose role is not enough is told so, whoever asks.
    let viewer = sign_admin_token(SECRET.as_bytes(), subject("viewer"), NOW, 60);
    let answer =
        house.get("/admin/bill").bearer_auth(viewer).header("accept", "text/html").send().await.unwrap();
    assert_eq!(problem(answer).await["code"], "forbidden");
}

#[tokio::test]
async fn a_change_by_cookie_carries_the_mark_of_its_session_and_comes_from_our_page() {
    let house = House::of_secret();
    let token = hs256(SECRET, &claims(|_| {}));
    let cookie = format!("{COOKIE}={token}");
    let seen: Value =
        house.get("/admin").header("cookie", &cookie).send().await.unwrap().json().await.unwrap();
    let mark = seen["csrf"].as_str().unwrap().to_owned();
    let other: Value =
        house.look(&hs256(SECRET, &claims(|c| c["sub"] = json!("u-2")))).await.json().await.unwrap();
    let form = |mark: &str| format!("reason=because&csrf={mark}");
    let post = |body: String| house.act().header("cookie", &cookie).body(body);

    let good = post(form(&mark)).header("sec-fetch-site", "same-origin").send().await.unwrap();
    assert_eq!(good.status(), 200);
    let read: Value = good.json().await.unwrap();
    assert_eq!(read["body"], form(&mark).as_str(), "the handler reads the body that the guard read");
    let by_header = post("{}".to_owned()).header("x-csrf-token", &mark).send().await.unwrap();
    assert_eq!(by_header.status(), 200);
    let big = format!("a={}&csrf={mark}", "x".repeat(50_000));
    assert_eq!(post(big).send().await.unwrap().status(), 200, "a body of several chunks");

    for (what, request) in [
        ("no mark", post("reason=because".to_owned())),
        ("no body", post(String::new())),
        ("another session's", post(form(other["csrf"].as_str().unwrap()))),
        ("a wrong header beside a good form", post(form(&mark)).header("x-csrf-token", "x")),
        ("another site", post(form(&mark)).header("sec-fetch-site", "cross-site")),
        ("another origin", post(form(&mark)).header("origin", "http://evil.example")),
    ] {
        assert_eq!(problem(request.send().await.unwrap()).await["code"], "forbidden", "{what}");
    }
    let twice = post(format!("csrf={mark}&csrf={mark}")).send().await.unwrap();
    assert_eq!(problem(twice).await["code"], "schema_violation");
    let huge = post(format!("csrf={mark}&x={}", "y".repeat(70_000))).send().await.unwrap();
    assert_eq!(problem(huge).await["code"], "body_too_large");
    // A program with a token of its own has no page.
    let bearer = house.act().bearer_auth(&token).header("sec-fetch-site", "cross-site").send().await.unwrap();
    assert_eq!(bearer.status(), 200);
}

#[tokio::test]
async fn a_handler_that_wants_a_session_and_has_no_guard_is_shut() {
    let house = House::of_secret();
    let token = hs256(SECRET, &claims(|_| {}));
    let answer = house.get("/admin/forgotten").bearer_auth(token).send().await.unwrap();
    assert_eq!(problem(answer).await["code"], "unauthorized");
}

#[tokio::test]
async fn without_a_database_everything_behind_the_guard_names_the_variable() {
    let house = House::open(AdminAccess::Secret(SecretString::from(SECRET)), Database::Missing);
    let token = hs256(SECRET, &claims(|_| {}));
    for request in [house.get("/admin"), house.get("/admin/bill").bearer_auth(&token), house.act()] {
        let answer = problem(request.send().await.unwrap()).await;
        assert_eq!((&answer["status"], &answer["code"]), (&json!(503), &json!("database_required")));
        assert!(answer["detail"].as_str().unwrap().contains("DATABASE_URL"));
    }
}

#[tokio::test]
async fn with_nothing_to_verify_by_nobody_gets_in() {
    let house = House::open(AdminAccess::Nobody, Database::Present);
    for secret in ["", SECRET] {
        assert_eq!(house.look(&hs256(secret, &claims(|_| {}))).await.status(), 401);
    }
}

#[tokio::test]
async fn a_login_code_opens_a_session_of_its_subject_until_it_is_over() {
    let (clock, hand) = Clock::manual(Timestamp::from_second(NOW).unwrap());
    let settings = |access| AdminGuardSettings {
        access,
        deployment: Deployment::Production,
        database: Database::Present,
        clock: clock.clone(),
    };
    let guard = AdminGuard::new(settings(AdminAccess::Secret(SecretString::from(SECRET)))).unwrap();
    let code = sign_login_code(SECRET.as_bytes(), subject("owner"), "j-1", NOW);
    assert_eq!(guard.whose_code(&code).await.unwrap().name(), "u-1");
    let opened = guard.open_by_code(&code).await.unwrap();
    assert_eq!((opened.who.role.as_str(), opened.code_id.as_deref()), ("owner", Some("j-1")));
    // A session's token is no code, and the other way round.
    let session = sign_admin_token(SECRET.as_bytes(), subject("owner"), NOW, 60);
    assert!(guard.open_by_code(&session).await.is_err());
    assert!(guard.open_by_token(&code).await.is_err());
    assert!(guard.open_by_token(&session).await.is_ok());
    hand.advance(Duration::from_secs(LOGIN_CODE_SECONDS.unsigned_abs()));
    assert!(guard.open_by_code(&code).await.is_err(), "over");
    // Where tokens are signed elsewhere, no code is signed here.
    let keys = AdminGuard::new(settings(AdminAccess::Jwks("http://127.0.0.1:1/keys".to_owned()))).unwrap();
    assert!(keys.open_by_code(&code).await.is_err());
}

#[test]
fn a_list_of_routes_says_who_may_come() {
    let (clock, _hand) = Clock::manual(Timestamp::from_second(NOW).unwrap());
    let guard = AdminGuard::new(AdminGuardSettings {
        access: AdminAccess::Nobody,
        deployment: Deployment::Development,
        database: Database::Present,
        clock,
    });
    let mut all = Routes::default();
    routes(&mut all, &Arc::new(guard.unwrap()));
    let listed: Vec<_> =
        all.entries().iter().map(|entry| (entry.method, entry.template, entry.access)).collect();
    assert_eq!(
        listed,
        [
            ("GET", "/admin", Access::Guarded(AdminAction::ReadDashboards)),
            ("GET", "/admin/bill", Access::Guarded(AdminAction::ReadBilling)),
            ("POST", "/admin/act", Access::Guarded(AdminAction::HandleDeadLetters)),
            ("GET", "/admin/forgotten", Access::Open),
        ]
    );
}
