//! What stands before a function: Supabase's gateway with its keys, and PostgREST's reading of a request.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, header::HeaderMap},
    web::{self, Bytes},
};
use futures_util::stream;
use serde_json::{Map, Value, json};

use super::{Called, Manner, Shared, call::Call, status::Refusal, token};

/// The new keys, which are no tokens.
pub(super) const SECRET_KEY: &str = "sb_secret_of-the-tests-only_0123456789abcdef";
const PUBLISHABLE_KEY: &str = "sb_publishable_of-the-tests-only_0123456789";
/// How PostgREST is reached behind the gateway.
const PREFIX: &str = "/rest/v1";

/// The keys of the project.
pub(super) struct ApiKeys {
    pub(super) service_token: String,
    pub(super) anon_token: String,
    pub(super) person_token: String,
}

impl ApiKeys {
    pub(super) fn new() -> Self {
        Self {
            service_token: token::of_role("service_role"),
            anon_token: token::of_role("anon"),
            person_token: token::of_role("authenticated"),
        }
    }

    /// The bearer's token that the gateway hands on, or why it hands nothing on.
    fn bearer(&self, headers: &HeaderMap) -> Result<String, Value> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let unauthorized = |message: &str, hint: &str| json!({ "message": message, "hint": hint });
        let Some(key) = text("apikey") else {
            return Err(unauthorized(
                "No API key found in request",
                "No `apikey` request header or url param was found.",
            ));
        };
        let own = if key == SECRET_KEY || key == self.service_token {
            &self.service_token
        } else if key == PUBLISHABLE_KEY || key == self.anon_token {
            &self.anon_token
        } else {
            return Err(unauthorized(
                "Invalid API key",
                "Double check your Supabase `anon` or `service_role` API key.",
            ));
        };
        Ok(match text("authorization") {
            Some(bearer) => bearer.strip_prefix("Bearer ").unwrap_or(bearer).to_owned(),
            // The gateway mints a token for a key that is none; a legacy key alone would be anonymous.
            None if key.starts_with("sb_") => own.clone(),
            None => self.anon_token.clone(),
        })
    }
}

/// Any request.
pub(super) async fn answer(request: HttpRequest, body: Bytes, shared: web::Data<Shared>) -> HttpResponse {
    let manner = *shared.lock(&shared.manner);
    match manner {
        Manner::Answers | Manner::LosesAnswers => {}
        Manner::IsSilent => std::future::pending().await,
        Manner::IsDown => {
            return HttpResponse::BadGateway().content_type("text/html").body("<html>502 Bad Gateway</html>");
        }
    }
    let bearer = match shared.keys.bearer(request.headers()) {
        Ok(bearer) => bearer,
        Err(refused) => return HttpResponse::Unauthorized().json(refused),
    };
    let call = match read(&shared, &request, &body, &bearer) {
        Ok(call) => call,
        Err(refusal) => return refusal.answer(),
    };
    let called = Called {
        schema: call.schema.clone(),
        function: call.function.clone(),
        task: call.arguments.get("task").and_then(Value::as_str).unwrap_or_default().to_owned(),
        role: call.role.clone(),
    };
    let schema = call.schema.clone();
    let answer = call.run(&shared).await;
    shared.lock(&shared.called).push(called);
    match (answer, manner) {
        (Err(refusal), _) => refusal.answer(),
        (Ok(body), Manner::LosesAnswers) => {
            let cut = body.get(..body.len() / 2).unwrap_or_default().to_owned();
            let parts: [Result<Bytes, std::io::Error>; 2] =
                [Ok(Bytes::from(cut)), Err(std::io::Error::other("the line is cut"))];
            HttpResponse::Ok().content_type("application/json; charset=utf-8").streaming(stream::iter(parts))
        }
        (Ok(body), Manner::Answers | Manner::IsSilent | Manner::IsDown) => HttpResponse::Ok()
            .content_type("application/json; charset=utf-8")
            .insert_header(("Content-Profile", schema))
            .body(body),
    }
}

/// A request as PostgREST reads it, in its order: path, method, who, schema, media types, preferences, body.
fn read(shared: &Shared, request: &HttpRequest, body: &[u8], bearer: &str) -> Result<Call, Refusal> {
    let headers = request.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let path = request.path().strip_prefix(PREFIX).unwrap_or_default();
    let function = path.strip_prefix("/rpc/").filter(|name| !name.is_empty() && !name.contains('/'));
    let Some(function) = function else {
        return Err(Refusal::new(404, "PGRST125", "Invalid path specified in request URL"));
    };
    if request.method() != Method::POST {
        let method = request.method();
        return Err(Refusal::new(405, "PGRST101", format!("Cannot use the {method} method on RPC")));
    }
    if !request.query_string().is_empty() {
        return Err(Refusal::new(400, "PGRST100", "this stand-in knows no query parameters"));
    }
    let claims = token::claims(bearer).map_err(|(code, message)| Refusal::new(401, code, message))?;
    let role = claims["role"].as_str().unwrap_or("anon").to_owned();
    let schemas = shared.lock(&shared.schemas).clone();
    // For a POST it is Content-Profile; Accept-Profile is for reading.
    let schema = text("content-profile").map_or_else(|| schemas[0].clone(), str::to_owned);
    if !schemas.contains(&schema) {
        return Err(Refusal::new(406, "PGRST106", format!("Invalid schema: {schema}"))
            .with_hint(format!("Only the following schemas are exposed: {}", schemas.join(", "))));
    }
    let accepts = text("accept").unwrap_or("*/*");
    if !["*/*", "application/*", "application/json"].iter().any(|kind| accepts.contains(kind)) {
        return Err(Refusal::new(
            406,
            "PGRST107",
            format!("None of these media types are available: {accepts}"),
        ));
    }
    let kind = text("content-type").unwrap_or("application/json");
    if kind.split(';').next().map(str::trim) != Some("application/json") {
        return Err(Refusal::new(415, "PGRST102", format!("Content-Type not acceptable: {kind}")));
    }
    // What it does not know it ignores, unless it is told to be strict; `tx` counts only where the server allows it.
    let preferences = text("prefer").unwrap_or_default();
    if preferences.contains("handling=strict") && preferences.split(',').any(|one| !one.contains('=')) {
        return Err(Refusal::new(400, "PGRST122", "Invalid preferences given with handling=strict"));
    }
    let arguments: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| Refusal::new(400, "PGRST102", "Empty or invalid json"))?;
    Ok(Call {
        schema,
        function: function.to_owned(),
        role,
        claims: claims.to_string(),
        arguments,
        body: String::from_utf8_lossy(body).into_owned(),
    })
}
