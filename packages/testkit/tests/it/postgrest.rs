//! The stand-in for PostgREST refuses what the documents say that PostgREST refuses.

use seatpilot_testkit::{PostgRest, TestDb};
use serde_json::{Value, json};

struct Answer {
    status: u16,
    body: Value,
}

impl Answer {
    fn code(&self) -> (u16, &str) {
        (self.status, self.body["code"].as_str().unwrap_or("none"))
    }
}

struct Project {
    db: TestDb,
    rest: PostgRest,
    client: reqwest::Client,
}

impl Project {
    async fn new() -> Self {
        let db = TestDb::new().await;
        let rest = PostgRest::before(&db).await;
        Self { db, rest, client: reqwest::Client::new() }
    }

    /// By POST, with the schema of the test's functions.
    async fn call(&self, headers: &[(&str, &str)], function: &str, body: impl Into<String>) -> Answer {
        let url = format!("{}/rest/v1/rpc/{function}", self.rest.url());
        let mut request = self.client.post(url).header("content-type", "application/json").body(body.into());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        Answer { status, body: serde_json::from_str(&response.text().await.unwrap()).unwrap() }
    }
}

#[tokio::test]
async fn a_key_decides_who_acts_and_a_key_that_is_no_token_is_none_as_a_bearers() {
    let project = Project::new().await;
    project
        .db
        .owner()
        .await
        .batch_execute(
            "create function public.who() returns text language sql as 'select current_user::text';
             grant usage on schema public to anon, authenticated, service_role",
        )
        .await
        .unwrap();
    let (token, secret) = (project.rest.service_token(), project.rest.secret_key());
    let bearer = |key: &str| format!("Bearer {key}");
    for (headers, wanted) in [
        (vec![("apikey", secret)], (200, json!("service_role"))),
        (vec![("apikey", token), ("authorization", &*bearer(token))], (200, json!("service_role"))),
        // A legacy key alone says which project, and not who.
        (vec![("apikey", token)], (200, json!("anon"))),
        (
            vec![("apikey", token), ("authorization", &*bearer(project.rest.person_token()))],
            (200, json!("authenticated")),
        ),
    ] {
        let answer = project.call(&headers, "who", "{}").await;
        assert_eq!((answer.status, answer.body), wanted, "{headers:?}");
    }
    for (headers, wanted) in [
        (vec![("apikey", secret), ("authorization", &*bearer(secret))], (401, "PGRST301")),
        (vec![("apikey", token), ("authorization", &*bearer(&format!("{token}x")))], (401, "PGRST301")),
        (vec![], (401, "none")),
        (vec![("apikey", "sb_secret_another")], (401, "none")),
    ] {
        assert_eq!(project.call(&headers, "who", "{}").await.code(), wanted, "{headers:?}");
    }
}

#[tokio::test]
async fn what_postgrest_does_not_know_it_refuses() {
    let project = Project::new().await;
    let key = ("apikey", project.rest.secret_key());
    let ours = ("content-profile", "seatpilot_rest");
    let good = r#"{"task":"hello","given":null}"#;
    assert_eq!(project.call(&[key, ours], "ingest", good).await.status, 200);
    for (headers, function, body, wanted) in [
        (vec![key], "ingest", good, (404, "PGRST202")),
        (vec![key, ours], "other", good, (404, "PGRST202")),
        (vec![key, ours], "ingest", r#"{"task":"hello"}"#, (404, "PGRST202")),
        (vec![key, ours], "ingest", r#"{"task":"hello","given":null,"more":1}"#, (404, "PGRST202")),
        (vec![key, ours], "ingest", "", (400, "PGRST102")),
        (vec![key, ours], "ingest", r#"{"task":"#, (400, "PGRST102")),
        (vec![key, ("content-profile", "telemetry")], "ingest", good, (406, "PGRST106")),
        (vec![key, ours, ("accept", "text/csv")], "ingest", good, (406, "PGRST107")),
        (vec![key, ours], "ingest/x", good, (404, "PGRST125")),
        // Only the service key may call; who is nobody is told to log in.
        (vec![("apikey", project.rest.anon_token()), ours], "ingest", good, (401, "42501")),
        (
            vec![
                ("apikey", project.rest.anon_token()),
                ("authorization", &*format!("Bearer {}", project.rest.person_token())),
                ours,
            ],
            "ingest",
            good,
            (403, "42501"),
        ),
    ] {
        let answer = project.call(&headers, function, body).await;
        assert_eq!(answer.code(), wanted, "{headers:?} {function} {body}: {}", answer.body);
    }
    let get =
        project.client.get(format!("{}/rest/v1/rpc/ingest", project.rest.url())).header("apikey", key.1);
    assert_eq!(get.send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn a_functions_errors_and_timeouts_have_their_status_and_leave_nothing() {
    let project = Project::new().await;
    project
        .db
        .owner()
        .await
        .batch_execute(
            "create table public.written (n int);
             create function public.fails(code text) returns int language plpgsql as $$ begin
                insert into public.written values (1);
                raise exception using errcode = code, message = 'as asked';
             end $$;
             create function public.sleeps() returns int language plpgsql set statement_timeout = '100ms' as $$ begin
                perform pg_sleep(20);
                return 1;
             end $$;
             grant usage on schema public to service_role;
             grant all on public.written to service_role",
        )
        .await
        .unwrap();
    let key = [("apikey", project.rest.secret_key())];
    for (code, status) in
        [("P0001", 400), ("PT409", 409), ("23505", 409), ("42501", 403), ("53100", 503), ("22023", 400)]
    {
        let answer = project.call(&key, "fails", json!({ "code": code }).to_string()).await;
        assert_eq!(answer.code(), (status, code));
        assert_eq!(answer.body["message"], "as asked");
    }
    assert_eq!(project.rest.retried(), 0);
    assert_eq!(project.call(&key, "fails", r#"{"code":"40001"}"#).await.code(), (500, "40001"));
    assert!(project.rest.retried() > 10, "what 40001 says is run again and again");
    assert_eq!(project.call(&key, "sleeps", "{}").await.code(), (500, "57014"));
    let left = project.db.owner().await.query_one("select count(*) from public.written", &[]).await.unwrap();
    assert_eq!(left.get::<_, i64>(0), 0);
}
