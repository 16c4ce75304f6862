//! Every error is a problem document with the request's id.

use serde_json::json;

use crate::server::{problem, start};

#[tokio::test]
async fn a_path_that_is_not_there_is_404() {
    let server = start();
    for path in ["/nothing", "/", "/scan/", "/%zz", "/%00", "/scan/..%2f", "/items", "/items/1/2", "/healthz"]
    {
        let answer = problem(server.get(path).await).await;
        assert_eq!(answer["code"], "not_found", "{path}");
    }
}

#[tokio::test]
async fn a_parameter_of_the_path_that_does_not_fit_is_a_problem_not_a_page() {
    let server = start();
    for path in ["/items/x", "/items/-1", "/items/%ff", "/items/99999999999"] {
        let answer = problem(server.get(path).await).await;
        assert_eq!(answer["code"], "not_found", "{path}");
    }
    assert_eq!(server.get("/items/7").await.status(), 200);
}

#[tokio::test]
async fn another_method_is_405_and_names_the_right_ones() {
    let server = start();
    let client = reqwest::Client::new();
    for (method, path, allow) in [
        ("GET", "/scan", "POST"),
        ("OPTIONS", "/scan", "POST"),
        ("BREW", "/scan", "POST"),
        ("POST", "/health", "GET, HEAD"),
        ("DELETE", "/items/7", "GET, HEAD"),
    ] {
        let method = method.parse().unwrap();
        let response = client.request(method, format!("{}{path}", server.url)).send().await.unwrap();
        assert_eq!(response.headers()["allow"], allow);
        assert_eq!(problem(response).await["code"], "method_not_allowed");
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let server = start();
    let response = reqwest::Client::new().head(format!("{}/items/7", server.url)).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-length"], "8");
    assert!(response.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_refusal_carries_its_own_members() {
    let server = start();
    let answer = problem(server.get("/refused").await).await;
    assert_eq!(
        answer,
        json!({
            "type": "urn:seatpilot:problem:already_checked_in",
            "title": "Already checked in",
            "status": 409,
            "detail": "Somebody is in on this ticket.",
            "instance": answer["instance"],
            "code": "already_checked_in",
            "decision": "refused",
            "first_door_id": "north-1",
        })
    );
}

#[tokio::test]
async fn what_is_ours_to_blame_is_500_without_its_cause() {
    let server = start();
    for path in ["/fails", "/panics"] {
        let response = server.get(path).await;
        assert_eq!(response.status(), 500, "{path}");
        let answer = problem(response).await.to_string();
        assert!(answer.contains("\"code\":\"internal\""), "{answer}");
        assert!(!answer.contains("canary") && !answer.contains("panic"), "{answer}");
    }
    assert_eq!(server.get("/items/7").await.status(), 200, "a panic is one request's, not the server's");
}

#[tokio::test]
async fn without_a_credential_the_answer_says_how_to_bring_one() {
    let server = start();
    let response = server.get("/who").await;
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    assert_eq!(problem(response).await["code"], "unauthorized");
    let client = reqwest::Client::new();
    let with = |value: &'static str| client.get(format!("{}/who", server.url)).header("authorization", value);
    assert_eq!(problem(with("Basic YTpi").send().await.unwrap()).await["status"], 401);
    assert_eq!(with("bearer abc").send().await.unwrap().status(), 200);
    let doubled = with("Bearer abc").header("authorization", "Bearer abc").send().await.unwrap();
    assert_eq!(problem(doubled).await["status"], 401);
}

#[tokio::test]
async fn a_missing_parameter_is_named() {
    let server = start();
    let answer = problem(server.get("/asked?other=1").await).await;
    assert_eq!(answer["status"], 422);
    assert_eq!(answer["errors"], json!([{ "pointer": "/query/profile", "detail": "is required" }]));
    assert_eq!(server.get("/asked?profile=walk").await.status(), 200);
}

#[tokio::test]
async fn a_request_id_is_echoed_or_replaced() {
    let server = start();
    let client = reqwest::Client::new();
    let ask = |path: &str, id: String| {
        client.get(format!("{}{path}", server.url)).header("x-request-id", id).send()
    };
    for path in ["/health", "/nothing", "/fails"] {
        let response = ask(path, "Gate-7.scan_1".to_owned()).await.unwrap();
        assert_eq!(response.headers()["x-request-id"], "Gate-7.scan_1");
    }
    for bad in [String::new(), "a b".to_owned(), "{}".to_owned(), "x".repeat(129)] {
        let response = ask("/health", bad).await.unwrap();
        let id: uuid::Uuid = response.headers()["x-request-id"].to_str().unwrap().parse().unwrap();
        assert_eq!(id.get_version_num(), 7);
    }
    let twice =
        client.get(format!("{}/health", server.url)).header("x-request-id", "a").header("x-request-id", "b");
    let response = twice.send().await.unwrap();
    assert_eq!(response.headers()["x-request-id"].len(), 36);
    assert_eq!(response.headers().get_all("x-request-id").iter().count(), 1);
}
