//! Requests are observed by template, never by path.

use crate::server::start;

#[tokio::test]
async fn requests_are_observed_by_the_template_of_their_route() {
    let server = start();
    for id in 0..20 {
        server.get(&format!("/items/{id}?canary={id}")).await;
        server.get(&format!("/canary/{id}")).await;
        let method = format!("CANARY{id}").parse().unwrap();
        reqwest::Client::new().request(method, format!("{}/items/1", server.url)).send().await.unwrap();
    }
    let response = server.get("/metrics").await;
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4");
    let text = response.text().await.unwrap();
    let count = |labels: &str| {
        let line = format!("http_request_duration_seconds_count{{{labels}}} ");
        text.lines().find_map(|found| found.strip_prefix(&line)).map(str::to_owned)
    };
    assert_eq!(count(r#"method="GET",route="/items/{id}",status="200""#).as_deref(), Some("20"));
    assert_eq!(count(r#"method="GET",route="unmatched",status="404""#).as_deref(), Some("20"));
    assert_eq!(count(r#"method="OTHER",route="/items/{id}",status="405""#).as_deref(), Some("20"));
    assert_eq!(
        count(r#"method="POST",route="/scan",status="201""#).as_deref(),
        Some("0"),
        "there from the start"
    );
    assert!(!text.to_ascii_lowercase().contains("canary"), "{text}");
}
