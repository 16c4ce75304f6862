//! The server under test and a client that sends exactly the bytes it is given.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actix_web::{HttpRequest, web};
use seatpilot_domain_model::{Fault, FaultCode, TenantId};
use seatpilot_http::{
    Answer, InFlight, Problem, RequestContext, Routes, ServeOptions, Server, Success, bearer_token,
    note_caller, openapi, parse_json, parse_query, read_body,
};
use seatpilot_metrics_api::Metrics;
use seatpilot_runtime::{Clock, Environment, Readiness, ServiceConfig, ServiceDefaults, Shutdown, StoreKind};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};

pub(crate) const BODY_MAX: usize = 16 * 1024;

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) url: String,
    pub(crate) shutdown: Shutdown,
    pub(crate) readiness: Readiness,
    pub(crate) served: JoinHandle<Result<(), seatpilot_runtime::Failure>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scan {
    door: String,
    party: u8,
}

#[derive(Deserialize)]
struct Asked {
    profile: String,
}

async fn scan(
    request: HttpRequest,
    payload: web::Payload,
    context: RequestContext,
) -> Result<Answer, Problem> {
    let body = read_body(&request, payload, BODY_MAX).await?;
    let scan: Scan = parse_json(&body)?;
    let answer = json!({ "door": scan.door, "party": scan.party, "id": context.id.as_str() });
    Ok(Answer::json(Success::Created, &answer).replayed())
}

async fn who(request: HttpRequest) -> Result<Answer, Problem> {
    let token = bearer_token(&request)?.ok_or_else(Fault::unauthorized)?;
    note_caller(&request, &"demo".parse::<TenantId>().unwrap(), "device-1");
    Ok(Answer::json(Success::Ok, &json!({ "token_length": token.expose_secret().len() })))
}

async fn asked(request: HttpRequest) -> Result<Answer, Problem> {
    let asked: Asked = parse_query(&request)?;
    Ok(Answer::json(Success::Ok, &json!({ "profile": asked.profile })))
}

async fn fails() -> Result<Answer, Problem> {
    let cause = std::io::Error::other("canary: the password is hunter2");
    Err(Problem::from(Fault::internal().with_cause(cause)))
}

#[expect(clippy::panic, reason = "this handler is there to panic")]
async fn panics() -> Answer {
    std::panic::panic_any("canary")
}

async fn refused() -> Result<Answer, Problem> {
    Err(Fault::new(FaultCode::AlreadyCheckedIn, "Somebody is in on this ticket.")
        .with_member("decision", "refused")
        .with_member("first_door_id", "north-1")
        .into())
}

async fn item(id: web::Path<u32>) -> Answer {
    Answer::json(Success::Ok, &json!({ "id": *id }))
}

async fn slow() -> Answer {
    tokio::time::sleep(Duration::from_millis(700)).await;
    Answer::json(Success::Ok, &json!({ "finished": true }))
}

async fn shed(
    request: HttpRequest,
    payload: web::Payload,
    in_flight: web::Data<InFlight>,
) -> Result<Answer, Problem> {
    let _permit = in_flight.enter()?;
    read_body(&request, payload, BODY_MAX).await?;
    Ok(Answer::no_content())
}

pub(crate) fn routes(routes: &mut Routes, in_flight: &Arc<InFlight>) {
    routes
        .state(Arc::clone(in_flight))
        .post("/scan", Success::Created, scan)
        .post("/shed", Success::NoContent, shed)
        .get("/who", who)
        .get("/asked", asked)
        .get("/fails", fails)
        .get("/panics", panics)
        .get("/refused", refused)
        .get("/slow", slow)
        .get("/items/{id}", item);
}

pub(crate) fn options(drain_ms: u64) -> ServeOptions {
    let drain_ms = drain_ms.to_string();
    let config = Environment::of([("PORT", "0"), ("SEATPILOT_DRAIN_MS", &*drain_ms)])
        .read(|env| ServiceConfig::read(env, ServiceDefaults { service: "checkin", port: 3100 }))
        .unwrap();
    ServeOptions {
        config,
        version: "1.2.3",
        clock: Clock::system(),
        shutdown: Shutdown::manual(),
        readiness: Readiness::starting(StoreKind::Postgres),
        metrics: Arc::new(Metrics::new("checkin", "1.2.3")),
        openapi: openapi::document(&utoipa::openapi::OpenApi::default(), "checkin", "1.2.3"),
    }
}

pub(crate) fn start_with(options: ServeOptions) -> Running {
    let (shutdown, readiness) = (options.shutdown.clone(), options.readiness.clone());
    let in_flight = Arc::new(InFlight::new(1));
    let server = Server::bind(options, move |all| routes(all, &in_flight)).unwrap();
    let (address, url) = (server.addr(), server.url());
    Running { address, url, shutdown, readiness, served: tokio::spawn(server.run()) }
}

pub(crate) fn start() -> Running {
    start_with(options(100))
}

impl Running {
    /// Sends bytes and reads until the server closes or says nothing for `patience`.
    pub(crate) async fn raw(&self, bytes: &[u8], patience: Duration) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A server that has answered already may have closed.
        let _ = stream.write_all(bytes).await;
        read_all(&mut stream, patience).await
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        reqwest::get(format!("{}{path}", self.url)).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> reqwest::Response {
        reqwest::Client::new().post(format!("{}{path}", self.url)).body(body).send().await.unwrap()
    }
}

pub(crate) async fn read_all(stream: &mut TcpStream, patience: Duration) -> String {
    let mut answer = Vec::new();
    let mut page = [0; 4096];
    while let Ok(Ok(read)) = timeout(patience, stream.read(&mut page)).await {
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&page[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// The problem document of an answer, checked for what all of them have.
pub(crate) async fn problem(response: reqwest::Response) -> Value {
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    assert_eq!(headers["content-type"], "application/problem+json");
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    let document: Value = response.json().await.unwrap();
    let code = document["code"].as_str().unwrap();
    assert_eq!(document["type"], format!("urn:seatpilot:problem:{code}"));
    assert_eq!(document["status"], status);
    assert_eq!(document["instance"], headers["x-request-id"].to_str().unwrap());
    assert!(document["title"].is_string() && document["detail"].is_string());
    document
}
