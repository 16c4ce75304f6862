//! What the door does not let in, and that nothing of it is counted.

use seatpilot_runtime::{Environment, variable};

use crate::running::{KEY, Running, observed};

#[tokio::test]
async fn without_one_of_the_keys_nothing_is_looked_at() {
    let app = Running::start();
    let before = app.metrics().await;
    let good = r#"{"tenant":"acme","channel":"kiosk","latency_ms":1}"#;
    for what in ["checkin", "checkin-stage", "door-to-seat", "ingest", "mv-lag", "assign"] {
        for keys in
            [vec![], vec!["wrong"], vec![""], vec!["a-metrics-key-of-a-tes"], vec![KEY, KEY], vec!["\u{e9}"]]
        {
            for body in [good, "no json", ""] {
                let mut request = app.http.post(format!("{}/observe/{what}", app.url));
                for key in &keys {
                    request = request.header("x-metrics-key", *key);
                }
                let response = request.body(body).send().await.unwrap();
                assert_eq!(response.status(), 401, "{what} {keys:?} {body}");
                assert_eq!(response.headers()["content-type"], "application/problem+json");
            }
        }
    }
    // Larger than any body may be: still 401, so it was not read.
    let request = app.http.post(format!("{}/observe/checkin", app.url)).body(vec![b'['; 300 * 1024]);
    assert_eq!(request.send().await.unwrap().status(), 401);
    assert_eq!(observed(&app.metrics().await), observed(&before));
}

#[tokio::test]
async fn both_keys_open_while_they_rotate_and_none_opens_where_none_is_set() {
    let two = Running::start_with(&[("METRICS_INGEST_KEY", "the-next-key-of-ours,a-metrics-key-of-a-test")]);
    let none = Running::start_with(&[]);
    let send = async |app: &Running, key: &str| {
        let request = app.http.post(format!("{}/observe/mv-lag", app.url)).header("x-metrics-key", key);
        let sent = request.body(r#"{"view":"mv_kpi_checkin","seconds":1}"#).send().await.unwrap();
        sent.status().as_u16()
    };
    assert_eq!(send(&two, "the-next-key-of-ours").await, 204);
    assert_eq!(send(&two, KEY).await, 204);
    assert_eq!(send(&two, "the-next-key-of-ours,a-metrics-key-of-a-test").await, 401);
    assert_eq!(send(&none, KEY).await, 401);
    assert_eq!(send(&none, "").await, 401);
}

#[tokio::test]
async fn a_number_that_is_none_or_absurd_is_named_by_its_pointer() {
    let app = Running::start();
    let before = app.metrics().await;
    let numbers = [
        "null",
        "-1",
        "-0.001",
        "NaN",
        "Infinity",
        "-Infinity",
        "\"1\"",
        "true",
        "[]",
        "{}",
        "1e300",
        "1e400",
    ];
    for number in numbers {
        for (what, rest, member) in [
            ("checkin", r#""tenant":"acme","channel":"kiosk""#, "latency_ms"),
            ("checkin-stage", r#""tenant":"acme","channel":"kiosk","stage":"parse""#, "seconds"),
            ("door-to-seat", r#""tenant":"acme","channel":"kiosk""#, "seconds"),
            ("ingest", r#""tenant":"acme","outcome":"accepted""#, "count"),
            ("mv-lag", r#""view":"mv_kpi_checkin""#, "seconds"),
            ("assign", r#""tenant":"acme","channel":"kiosk","feasible":true"#, "duration_ms"),
        ] {
            let body = format!(r#"{{{rest},"{member}":{number}}}"#);
            let expected = (422, "schema_violation".to_owned(), format!("/{member}"));
            assert_eq!(app.refused(what, &body).await, expected, "{what} {body}");
            let good = format!(r#"{{{rest},"{member}":1}}"#);
            let array = format!("[{good},{good},{good},{body}]");
            let expected = (422, "schema_violation".to_owned(), format!("/3/{member}"));
            assert_eq!(app.refused(what, &array).await, expected, "{what} {array}");
        }
    }
    assert_eq!(observed(&app.metrics().await), observed(&before), "all or nothing");
}

#[tokio::test]
async fn a_day_is_the_most_that_anything_takes() {
    let app = Running::start();
    let checkin = |ms: &str| format!(r#"{{"tenant":"acme","channel":"kiosk","latency_ms":{ms}}}"#);
    assert_eq!(app.observe("checkin", checkin("86400000")).await.0, 204);
    assert_eq!(app.refused("checkin", &checkin("86400000.1")).await.0, 422);
    let lag = |seconds: &str| format!(r#"{{"view":"mv_kpi_checkin","seconds":{seconds}}}"#);
    assert_eq!(app.observe("mv-lag", lag("86400")).await.0, 204);
    assert_eq!(app.refused("mv-lag", &lag("86401")).await.0, 422);
}

#[tokio::test]
async fn a_word_outside_its_closed_set_is_refused() {
    let app = Running::start();
    for (what, body, pointer) in [
        ("checkin", r#"{"tenant":"acme","channel":"door","latency_ms":1}"#, "/channel"),
        ("checkin", r#"{"tenant":"acme","channel":null,"latency_ms":1}"#, "/channel"),
        ("checkin", r#"{"tenant":"a b","channel":"desk","latency_ms":1}"#, "/tenant"),
        ("checkin", r#"{"tenant":"a\"b\\\n","channel":"desk","latency_ms":1}"#, "/tenant"),
        ("checkin", r#"{"tenant":"","channel":"desk","latency_ms":1}"#, "/tenant"),
        ("checkin", r#"{"channel":"desk","latency_ms":1}"#, "/tenant"),
        ("checkin", r#"{"tenant":"acme","channel":"desk","latency_ms":1,"more":1}"#, "/more"),
        ("checkin", r#"{"tenant":"acme","channel":"desk","latency_ms":1,"latency_ms":2}"#, "/latency_ms"),
        ("checkin-stage", r#"{"tenant":"acme","channel":"desk","stage":"think","seconds":1}"#, "/stage"),
        ("ingest", r#"{"tenant":"acme","outcome":"lost"}"#, "/outcome"),
        ("ingest", r#"{"tenant":"acme","outcome":"rejected","reason":"mood"}"#, "/reason"),
        ("ingest", r#"{"tenant":"acme","outcome":"accepted","reason":null}"#, "/reason"),
        ("ingest", r#"{"tenant":"acme","outcome":"rejected"}"#, ""),
        ("ingest", r#"{"tenant":"acme","outcome":"accepted","reason":"stale"}"#, ""),
        ("ingest", r#"{"tenant":"acme","outcome":"accepted","count":1.5}"#, "/count"),
        ("mv-lag", r#"{"view":"mv_kpi","seconds":1}"#, "/view"),
        ("assign", r#"{"tenant":"acme","channel":"desk","duration_ms":1,"feasible":1}"#, "/feasible"),
        ("assign", r#"{"tenant":"acme","channel":"desk","duration_ms":1}"#, "/feasible"),
        ("mv-lag", "3", ""),
        ("mv-lag", "[[]]", "/0"),
    ] {
        let expected = (422, "schema_violation".to_owned(), pointer.to_owned());
        assert_eq!(app.refused(what, body).await, expected, "{what} {body}");
    }
}

#[tokio::test]
async fn what_is_no_json_is_400_and_what_is_too_much_is_413_or_422() {
    let app = Running::start();
    for body in ["", "no json", "{", r#"{"view":"mv_kpi_checkin","seconds":1}x"#, "[1,"] {
        assert_eq!(app.refused("mv-lag", body).await.0, 400, "{body}");
    }
    let many =
        |times: usize| format!("[{}]", vec![r#"{"view":"mv_kpi_checkin","seconds":1}"#; times].join(","));
    assert_eq!(app.observe("mv-lag", many(1_000)).await.0, 204);
    assert_eq!(app.observe("mv-lag", many(0)).await.0, 204);
    assert_eq!(app.refused("mv-lag", &many(1_001)).await, (422, "schema_violation".into(), String::new()));
    let (status, code, _) = app.refused("mv-lag", &" ".repeat(256 * 1024 + 1)).await;
    assert_eq!((status, code.as_str()), (413, "body_too_large"));
}

#[tokio::test]
async fn hostile_text_never_breaks_a_scrape() {
    let app = Running::start();
    let long = "x".repeat(10_000);
    for text in ["a\"} 1\\n", "\\u0000", "\\ud800", "{{{", long.as_str()] {
        let body = format!(r#"{{"tenant":"{text}","channel":"{text}","latency_ms":1,"{text}":1}}"#);
        let (status, answer) = app.observe("checkin", body).await;
        assert!(status == 422 || status == 400, "{status}");
        assert!(answer.len() < 2_000, "{}", answer.len());
    }
    for line in app.metrics().await.lines().filter(|line| !line.starts_with('#')) {
        let (series, number) = line.rsplit_once(' ').unwrap();
        assert!(number.parse::<f64>().is_ok(), "{line}");
        assert!(!series.contains('{') || series.ends_with("\"}"), "{line}");
    }
}

#[test]
fn every_fault_of_the_configuration_is_named() {
    let environment = Environment::of([
        ("PORT", "seventy"),
        ("METRICS_TENANT", "a b"),
        ("DATABASE_URL", "nonsense"),
        ("METRICS_INGEST_KEY", "with space"),
    ]);
    let faults = environment.read(seatpilot_metrics_api_app::Config::read).unwrap_err();
    let told = faults.to_string() + &faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    for variable in
        [&variable::PORT, &variable::METRICS_TENANT, &variable::DATABASE_URL, &variable::METRICS_INGEST_KEY]
    {
        assert!(told.contains(variable.name), "{}: {told}", variable.name);
    }
    assert!(!told.contains("with space"), "a key is never printed");
}
