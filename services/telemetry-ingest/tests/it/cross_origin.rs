//! Pages of other origins: what a browser is told before and after it sends, and what it is never told.

use reqwest::Method;

use crate::{
    service::{PATH, Reply, Service, Signed, event, reply},
    session_keys::ORIGIN,
};

const ASKED: &str = "content-type,x-key,x-nonce,x-sig,x-ts";

async fn preflight(service: &Service, path: &str, origin: Option<&str>) -> Reply {
    let mut request = service.client.request(Method::OPTIONS, format!("{}{path}", service.url));
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    let request = request.header("access-control-request-method", "POST");
    reply(request.header("access-control-request-headers", ASKED)).await
}

/// The headers by which a browser lets a page go on, or not.
fn told(reply: &Reply) -> Vec<&str> {
    let names = reply.headers.keys().map(|name| name.as_str());
    names.filter(|name| name.starts_with("access-control-")).collect()
}

#[tokio::test]
async fn a_preflight_of_any_page_that_could_have_a_key_is_answered_without_one() {
    let service = Service::start().await;
    for origin in [ORIGIN, "https://tickets.example:8443", "http://localhost:5173", "http://127.0.0.1:3000"] {
        let answer = preflight(&service, PATH, Some(origin)).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, Some(origin)));
        assert_eq!(answer.header("access-control-allow-methods"), Some("POST"));
        assert_eq!(answer.header("vary"), Some("origin"));
        assert_eq!(answer.header("access-control-max-age"), Some("600"));
        let allowed: Vec<&str> = answer.header("access-control-allow-headers").unwrap().split(", ").collect();
        let signed = seatpilot_signing::HEADERS.into_iter();
        assert_eq!(allowed, std::iter::once("content-type").chain(signed).collect::<Vec<_>>());
        assert!(ASKED.split(',').all(|asked| allowed.contains(&asked)));
        assert!(
            answer.header("access-control-allow-credentials").is_none(),
            "no cookie is worth anything here"
        );
        assert!(answer.header("x-request-id").is_some() && answer.text.is_empty());
    }
    for origin in [None, Some("null"), Some("http://tickets.example"), Some("file://"), Some("https://*")] {
        let answer = preflight(&service, PATH, origin).await;
        assert_eq!((answer.status, told(&answer)), (204, vec![]), "{origin:?}");
        assert_eq!(answer.header("vary"), Some("origin"));
    }
}

#[tokio::test]
async fn a_page_may_read_every_answer_to_what_it_sent_errors_too() {
    let service = Service::start().await;
    let good = Signed::now(event().to_string());
    let wrong = good.altered("x-sig", format!("v1={}", "0".repeat(64)));
    let malformed = good.altered("x-ts", "yesterday");
    let mut packed = good.clone();
    packed.headers.push(("content-encoding".to_owned(), "gzip".to_owned()));
    for (signed, status) in [(&good, 202), (&wrong, 401), (&malformed, 400), (&packed, 415)] {
        let mut signed = signed.clone();
        signed.headers.push(("origin".to_owned(), ORIGIN.to_owned()));
        let answer = service.send(&signed).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (status, Some(ORIGIN)));
        let exposed = answer.header("access-control-expose-headers").unwrap();
        for name in ["date", "retry-after", "ratelimit", "ratelimit-policy", "x-request-id"] {
            assert!(exposed.split(", ").any(|one| one == name), "{name}");
        }
        assert_eq!(answer.header("vary"), Some("origin"));
    }
    assert!(
        told(&service.send(&Signed::now(event().to_string())).await).is_empty(),
        "who is no page asks nothing"
    );
}

#[tokio::test]
async fn no_page_of_another_origin_calls_anything_else() {
    let service = Service::start().await;
    let others = ["/v1/keys/session", "/admin/login", "/admin/dlq", "/health", "/metrics", "/nowhere"];
    for path in others {
        let answer = preflight(&service, path, Some(ORIGIN)).await;
        assert!(matches!(answer.status, 404 | 405), "{path}: {answer:?}");
        assert!(told(&answer).is_empty(), "{path}: {answer:?}");
        let sent = service.client.post(format!("{}{path}", service.url)).header("origin", ORIGIN);
        assert!(told(&reply(sent).await).is_empty(), "{path}");
    }
}

#[tokio::test]
async fn preflights_leave_one_series_whatever_they_ask() {
    let service = Service::start().await;
    for n in 0..40 {
        let request = service.client.request(Method::OPTIONS, format!("{}{PATH}", service.url));
        let request = request
            .header("origin", format!("https://page-{n}.example"))
            .header("access-control-request-method", format!("MADE-UP-{n}"))
            .header("access-control-request-headers", format!("x-made-up-{n}"));
        assert_eq!(reply(request).await.status, 204);
    }
    let metrics = service.get("/metrics").await.text;
    let series = metrics.lines().filter(|line| {
        line.starts_with("http_request_duration_seconds_count") && line.contains(r#"method="OPTIONS""#)
    });
    let series: Vec<&str> = series.collect();
    assert_eq!(series.len(), 1, "{series:?}");
    assert!(series[0].ends_with(" 40") && !metrics.contains("made-up") && !metrics.contains("page-"));
}
