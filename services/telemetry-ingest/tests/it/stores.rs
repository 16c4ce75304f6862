//! The stores beside Postgres' own protocol, as a service has them: what becomes of it when the way to the database
//! fails, and what a process without a database is.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use seatpilot_domain_model::KeyScope;
use seatpilot_runtime::Clock;
use seatpilot_testkit::{Binary, Manner, PostgRest, TestDb};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    access::{JWT_SECRET, every_target, token},
    service::{
        Behind, Db, KEY_ID, Kind, PATH, Reply, SECRET, Service, Signed, add_key, bootstrap, event, nonce,
        reply,
    },
};

fn rest(service: &Service) -> &PostgRest {
    match &service.store {
        Behind::Rest(rest) => rest,
        Behind::Postgres | Behind::Bus(_) | Behind::Memory(_) => panic!("not over REST"),
    }
}

/// Asks until the answer is as wanted, and tells how long it took.
async fn until<T>(within: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> (T, Duration) {
    let began = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return (found, began.elapsed());
        }
        assert!(began.elapsed() < within, "not within {within:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn readiness(service: &Service) -> (u16, Value) {
    let ready = service.get("/ready").await;
    (ready.status, ready.json())
}

#[tokio::test]
async fn the_service_key_calls_one_function_and_two_instances_with_one_nonce_never_make_it_run_again() {
    let service = Service::on(Kind::Rest).await;
    let second = service.second().await;
    for _ in 0..5 {
        let signed = Signed::now(json!([event(), event(), 3]).to_string());
        let sends = (0..24).map(|turn| {
            let (service, signed, second) = (&service, &signed, &second);
            async move { service.send_to(if turn % 2 == 0 { &service.url } else { second }, signed).await }
        });
        let replies = join_all(sends).await;
        assert!(replies.iter().all(|reply| reply.status == 202 && reply.text == replies[0].text));
        assert_eq!(replies.iter().filter(|reply| reply.header("idempotent-replayed").is_none()).count(), 1);
    }
    assert_eq!(service.rows().await, (10, 5, 5));
    let empty = service.post("[]").await;
    assert_eq!(empty.problem(), (422, "schema_violation".to_owned()));
    let called = rest(&service).called();
    assert!(called.iter().all(|call| call.schema == "seatpilot_rest" && call.function == "ingest"));
    assert!(called.iter().all(|call| call.role == "service_role"), "{called:?}");
    for task in ["hello", "look", "key", "submit", "nonce"] {
        assert!(called.iter().any(|call| call.task == task), "{task}");
    }
    // Several requests of one tenant go by one call.
    let submits = || rest(&service).called().iter().filter(|call| call.task == "submit").count();
    let before = submits();
    let different = (0..100).map(|_| service.post(event().to_string()));
    let different: Vec<Reply> = join_all(different.collect::<Vec<_>>()).await;
    assert!(different.iter().all(|reply| reply.status == 202), "{different:?}");
    let calls = submits() - before;
    assert!(calls < 60, "{calls} calls for 100 requests");
    // PostgREST runs 40001 again without end: nothing of ours may end so.
    assert_eq!(rest(&service).retried(), 0);
    let ready = readiness(&service).await;
    assert_eq!((ready.0, &ready.1["store"], &ready.1["status"]), (200, &json!("supabase"), &json!("ready")));
    assert!(ready.1["schema_version"].as_str().unwrap() >= "111");
    assert_eq!(service.series(r#"seatpilot_store_info{kind="supabase"}"#).await, 1.0);
    println!(
        "guarantee: stores | over REST 5 requests sent 24 times each to two instances, then 100 at once by {calls} calls of \
         one function; none was run again"
    );
}

#[tokio::test]
async fn an_answer_that_was_lost_is_503_and_the_same_bytes_again_find_the_first_outcome() {
    let service = Service::on(Kind::Rest).await;
    // The key is known before the way breaks.
    assert_eq!(service.post(event().to_string()).await.status, 202);
    let signed = Signed::now(json!([event(), {"id": 1}]).to_string());
    rest(&service).behave(Manner::LosesAnswers);
    let lost = service.send(&signed).await;
    assert_eq!(lost.problem(), (503, "database_unavailable".to_owned()));
    assert!(lost.header("retry-after").is_some());
    rest(&service).behave(Manner::Answers);
    let (again, _) = until(Duration::from_secs(10), async || {
        let again = service.send(&signed).await;
        (again.status != 503).then_some(again)
    })
    .await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (202, Some("true")));
    assert_eq!(again.verdicts(), ["accepted", "schema_violation"]);
    assert_eq!(service.rows().await, (2, 1, 2));
}

#[tokio::test]
async fn a_gateway_that_is_silent_or_down_is_503_at_once_or_in_time_and_nothing_is_stored_twice() {
    let service = Service::on(Kind::Rest).await;
    assert_eq!(service.post(event().to_string()).await.status, 202);
    for manner in [Manner::IsSilent, Manner::IsDown] {
        rest(&service).behave(manner);
        let signed = Signed::now(event().to_string());
        let began = Instant::now();
        let refused = service.send(&signed).await;
        assert_eq!(refused.problem().0, 503, "{manner:?}: {refused:?}");
        assert!(began.elapsed() < Duration::from_secs(10), "{manner:?}: {:?}", began.elapsed());
        let degraded = async || {
            let (status, ready) = readiness(&service).await;
            assert_eq!(status, 200, "an outage empties no balancer: {ready}");
            (ready["status"] == "degraded").then_some(())
        };
        until(Duration::from_secs(15), degraded).await;
        // Now nobody waits for the gateway.
        let began = Instant::now();
        assert_eq!(service.send(&signed).await.problem().0, 503);
        assert!(began.elapsed() < Duration::from_secs(2), "{manner:?}: {:?}", began.elapsed());
        rest(&service).behave(Manner::Answers);
        until(Duration::from_secs(20), async || (service.send(&signed).await.status == 202).then_some(()))
            .await;
        let ready = async || (readiness(&service).await.1["status"] == "ready").then_some(());
        until(Duration::from_secs(20), ready).await;
    }
    assert_eq!(service.rows().await, (3, 0, 3));
}

#[tokio::test]
async fn over_rest_a_revocation_holds_within_5_s_and_a_new_limit_is_read_without_being_told() {
    let service = Service::on(Kind::Rest).await;
    assert_eq!(service.post(event().to_string()).await.status, 202);
    let owner = service.db.owner().await;
    owner
        .batch_execute(
            "insert into app.entitlement_overrides (tenant_id, feature, limit_quantity, limit_kind, reason)
             values ('acme', 'events', 0, 'hard', 'a test')",
        )
        .await
        .unwrap();
    let refused = async || (service.post(event().to_string()).await.status == 422).then_some(());
    let (_, took) = until(Duration::from_secs(20), refused).await;
    println!("a limit was in force over REST after {took:?}");
    let last = service.post(event().to_string()).await;
    assert_eq!(last.problem(), (422, "quota_exceeded".to_owned()));

    owner
        .execute("update ops.signing_keys set revoked_at = now() where key_id = $1", &[&KEY_ID])
        .await
        .unwrap();
    let began = Instant::now();
    let revoked = async || (service.post(event().to_string()).await.status == 401).then_some(());
    until(Duration::from_secs(15), revoked).await;
    // 4 s in the cache and a call; a noisy machine has a second more.
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_limit_of_the_plan_holds_over_rest_from_the_first_request() {
    let db = TestDb::new().await;
    add_key(&db, "acme", KEY_ID, &SECRET, &[KeyScope::Ingest]).await;
    db.owner()
        .await
        .batch_execute(
            "insert into app.entitlement_overrides (tenant_id, feature, limit_quantity, limit_kind, reason)
             values ('acme', 'events', 2, 'hard', 'a test')",
        )
        .await
        .unwrap();
    let rest = PostgRest::before(&db).await;
    let service = Service::before(Db::of(db), Behind::Rest(rest), Clock::system(), &[]).await;
    let reply = service.post_json(&json!([event(), event(), event()])).await;
    assert_eq!(reply.verdicts(), ["accepted", "accepted", "quota_exceeded"]);
    assert_eq!(service.rows().await, (2, 1, 1));
}

#[tokio::test]
async fn a_key_that_may_not_call_or_a_schema_that_is_not_shown_is_said_and_never_ready() {
    let db = TestDb::new().await;
    let rest = PostgRest::before(&db).await;
    let url = rest.url();
    for (key, shown, said) in [
        (rest.anon_token(), &["public", "seatpilot_rest"][..], "not a service key"),
        ("sb_secret_another", &["public", "seatpilot_rest"], "refuses the key"),
        (rest.secret_key(), &["public"], "exposed schemas"),
    ] {
        rest.show(shown);
        let port = free_port();
        let binary = spawn(&[
            ("PORT", &port),
            ("SUPABASE_URL", &url),
            ("SUPABASE_SERVICE_ROLE_KEY", key),
            ("SEATPILOT_DRAIN_MS", "0"),
        ]);
        let told = async || binary.output().contains(said).then_some(());
        until(Duration::from_secs(15), told).await;
        let ready = reqwest::get(format!("{}/ready", binary.url())).await.unwrap();
        assert_eq!(ready.status(), 503);
        assert!(!binary.output().contains(key), "{}", binary.output());
    }
    assert!(rest.called().iter().all(|call| call.task == "hello"), "{:?}", rest.called());
}

fn spawn(variables: &[(&str, &str)]) -> Binary {
    Binary::spawn_with(Path::new(env!("CARGO_BIN_EXE_telemetry-ingest")), &[], variables)
}

fn free_port() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

async fn send_to(binary: &Binary, signed: &Signed) -> Reply {
    let mut request =
        reqwest::Client::new().post(format!("{}{PATH}", binary.url())).body(signed.body.clone());
    for (name, value) in &signed.headers {
        request = request.header(name, value);
    }
    reply(request).await
}

/// Every route of administration, with a token that would be good, answers 503 and names the variable.
async fn administration_wants_a_database(binary: &Binary) {
    let client = reqwest::Client::new();
    let all = every_target();
    assert!(all.len() >= 8, "{all:?}");
    for (method, target) in all {
        for request in [false, true].map(|with_token| {
            let request = client.request(method.parse().unwrap(), format!("{}{target}", binary.url()));
            if with_token { request.bearer_auth(token("acme", "owner")) } else { request }
        }) {
            let answer = reply(request).await;
            assert_eq!(answer.problem(), (503, "database_required".to_owned()), "{method} {target}");
            assert!(answer.json()["detail"].as_str().unwrap().contains("DATABASE_URL"), "{target}");
        }
    }
}

#[tokio::test]
async fn a_process_in_memory_says_what_it_is_and_forgets_everything_at_its_end() {
    let (port, key) = (free_port(), bootstrap());
    let variables = [
        ("PORT", &*port),
        ("STORE", "memory"),
        ("HMAC_TENANT_SECRET", &*key),
        ("SUPABASE_JWT_SECRET", JWT_SECRET),
        ("SEATPILOT_DRAIN_MS", "0"),
    ];
    let sent = event();
    for _ in 0..2 {
        let mut binary = spawn(&variables);
        binary.ready().await;
        let get =
            async |path: &str| reply(reqwest::Client::new().get(format!("{}{path}", binary.url()))).await;
        let ready = get("/ready").await.json();
        assert_eq!((&ready["store"], &ready["status"]), (&json!("memory"), &json!("ready")));
        assert_eq!(ready["schema_version"], Value::Null);
        let metrics = get("/metrics").await.text;
        assert!(metrics.contains("seatpilot_store_info{kind=\"memory\"} 1"));
        assert!(metrics.contains("seatpilot_ingest_accepted_total{tenant=\"acme\"} 0"));
        assert!(
            binary.output().contains("STORE=memory: events are kept in this process"),
            "{}",
            binary.output()
        );

        // The second process knows nothing of the first: nor of its nonces, so that one is signed anew.
        let first = send_to(&binary, &Signed::now(sent.to_string())).await;
        assert_eq!((first.status, first.verdicts()), (202, vec!["accepted".to_owned()]));
        let again = send_to(&binary, &Signed::now(sent.to_string())).await;
        assert_eq!(again.verdicts(), ["duplicate"]);
        let stranger =
            Signed::with("{}", "another_key_01", &SECRET, jiff::Timestamp::now().as_second(), &nonce());
        assert_eq!(send_to(&binary, &stranger).await.problem(), (401, "unauthorized".to_owned()));
        administration_wants_a_database(&binary).await;
        binary.terminate();
        let ended = binary.wait(Duration::from_secs(10)).await;
        assert_eq!(ended.and_then(|status| status.code()), Some(0));
        assert!(!binary.output().contains(key.rsplit(':').next().unwrap()));
    }
}

#[tokio::test]
async fn a_process_over_rest_has_no_administration_either() {
    let db = TestDb::new().await;
    add_key(&db, "acme", KEY_ID, &SECRET, &[KeyScope::Ingest]).await;
    let rest = PostgRest::before(&db).await;
    let (port, url) = (free_port(), rest.url());
    let mut binary = spawn(&[
        ("PORT", &port),
        ("SUPABASE_URL", &url),
        ("SUPABASE_SERVICE_ROLE_KEY", rest.service_token()),
        ("SUPABASE_JWT_SECRET", JWT_SECRET),
        ("SEATPILOT_DRAIN_MS", "0"),
    ]);
    binary.ready().await;
    administration_wants_a_database(&binary).await;
    let id = Uuid::now_v7();
    let mut sent = event();
    sent["id"] = json!(id);
    assert_eq!(send_to(&binary, &Signed::now(sent.to_string())).await.status, 202);
    // Acknowledged, then killed: the row is there.
    binary.kill9();
    let row =
        db.owner().await.query_one("select count(*) from telemetry.events_raw where id = $1", &[&id]).await;
    assert_eq!(row.unwrap().get::<_, i64>(0), 1);
    assert!(!binary.output().contains(rest.service_token()));
}

#[tokio::test]
async fn memory_is_refused_in_production_and_without_a_key() {
    let key = bootstrap();
    let at_rest = tempfile::NamedTempFile::new().unwrap();
    let file = at_rest.path().to_str().unwrap();
    for (variables, named) in [
        (vec![("STORE", "memory")], "HMAC_TENANT_SECRET"),
        (
            vec![
                ("STORE", "memory"),
                ("HMAC_TENANT_SECRET", &*key),
                ("SEATPILOT_ENV", "production"),
                ("SEATPILOT_SECRETS_KEY_FILE", file),
            ],
            "STORE: memory is refused in production",
        ),
    ] {
        let mut binary = spawn(&variables);
        let status = binary.wait(Duration::from_secs(10)).await.expect("it ends");
        assert_eq!(status.code(), Some(64), "{}", binary.output());
        assert!(binary.output().contains(named), "{}", binary.output());
    }
}
