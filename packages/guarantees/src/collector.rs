//! A collector of traces: an HTTP server that reads OTLP as OpenTelemetry defines it, and that can misbehave.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message as _;

/// Larger than any post of ours.
const BODY_BYTES_MAX: usize = 16 << 20;

/// What a collector does with a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Takes it.
    Takes,
    /// Answers this status.
    Answers(u16),
    /// Answers never.
    Hangs,
}

/// A span that came.
#[derive(Debug, Clone)]
pub struct Span {
    /// `service.name` of its sender.
    pub service: String,
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits.
    pub span_id: String,
    /// 16 hex digits; empty for the first of a trace.
    pub parent_id: String,
    /// Its name.
    pub name: String,
    /// OTLP's number: 1 internal, 2 server, 3 client.
    pub kind: i32,
    /// Nanoseconds since 1970.
    pub began: u64,
    /// Nanoseconds since 1970.
    pub ended: u64,
    /// Its attributes; numbers as text.
    pub attributes: BTreeMap<String, String>,
    /// Trace and span of each link.
    pub links: Vec<(String, String)>,
    /// Whether its status is an error.
    pub failed: bool,
}

impl Span {
    /// Whether it lies inside another one.
    pub fn is_inside(&self, other: &Self) -> bool {
        other.began <= self.began && self.began <= self.ended && self.ended <= other.ended
    }
}

/// Takes traces until it is dropped.
pub struct Collector {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: ServerHandle,
}

struct State {
    behaviour: Behaviour,
    /// Every post's path, headers and body as they came.
    posts: Vec<Post>,
    spans: Vec<Span>,
}

/// A post as it came.
#[derive(Debug, Clone)]
pub struct Post {
    /// Its path.
    pub path: String,
    /// Its headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Collector {
    /// At a free port.
    pub fn start() -> Self {
        let behaviour = Behaviour::Takes;
        let state = Arc::new(Mutex::new(State { behaviour, posts: Vec::new(), spans: Vec::new() }));
        let kept = Arc::clone(&state);
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::from(Arc::clone(&kept)))
                .app_data(web::PayloadConfig::new(BODY_BYTES_MAX))
                .default_service(web::post().to(take))
        })
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .expect("a free port");
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { address, state, server: handle }
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is set to.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it does from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        lock(&self.state).behaviour = behaviour;
    }

    /// Every post so far, those that it did not take among them.
    pub fn posts(&self) -> Vec<Post> {
        lock(&self.state).posts.clone()
    }

    /// Every span that it took so far.
    pub fn spans(&self) -> Vec<Span> {
        lock(&self.state).spans.clone()
    }

    /// Waits for so many spans of a trace and answers them by their beginning. Panics after `within`.
    pub async fn trace(&self, trace_id: &str, spans: usize, within: Duration) -> Vec<Span> {
        let since = Instant::now();
        loop {
            let mut found = self.spans();
            found.retain(|span| span.trace_id == trace_id);
            if found.len() >= spans {
                found.sort_by_key(|span| span.began);
                return found;
            }
            assert!(since.elapsed() < within, "{} of {spans} spans came: {found:#?}", found.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // Told, not waited for: its worker ends by itself.
        drop(self.server.stop(false));
    }
}

async fn take(request: HttpRequest, body: web::Bytes, state: web::Data<Mutex<State>>) -> HttpResponse {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes()))).collect();
    let behaviour = {
        let mut state = lock(&state);
        state.posts.push(Post { path: request.path().to_owned(), headers, body: body.to_vec() });
        state.behaviour
    };
    match behaviour {
        Behaviour::Takes => {
            let Ok(message) = ExportTraceServiceRequest::decode(body) else {
                return HttpResponse::BadRequest().finish();
            };
            lock(&state).spans.extend(spans(&message));
            HttpResponse::Ok().content_type("application/x-protobuf").body("")
        }
        Behaviour::Answers(status) => HttpResponse::build(status.try_into().expect("a status")).finish(),
        Behaviour::Hangs => std::future::pending().await,
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spans(message: &ExportTraceServiceRequest) -> Vec<Span> {
    let mut found = Vec::new();
    for of_resource in &message.resource_spans {
        let resource = of_resource.resource.as_ref().map(|resource| texts(&resource.attributes));
        let service = resource.unwrap_or_default().remove("service.name").unwrap_or_default();
        for sent in of_resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
            found.push(span(&service, sent));
        }
    }
    found
}

fn span(service: &str, sent: &otlp::Span) -> Span {
    let failed =
        sent.status.as_ref().is_some_and(|status| status.code().as_str_name() == "STATUS_CODE_ERROR");
    Span {
        service: service.to_owned(),
        trace_id: hex(&sent.trace_id),
        span_id: hex(&sent.span_id),
        parent_id: hex(&sent.parent_span_id),
        name: sent.name.clone(),
        kind: sent.kind,
        began: sent.start_time_unix_nano,
        ended: sent.end_time_unix_nano,
        attributes: texts(&sent.attributes),
        links: sent.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
        failed,
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
