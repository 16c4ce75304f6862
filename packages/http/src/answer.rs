//! What a handler answers when all went well.

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    body::BoxBody,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
    web::Bytes,
};
use seatpilot_domain_model::Fault;
use serde::Serialize;

use crate::problem::{IDEMPOTENT_REPLAYED, Problem};

/// How a request went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Success {
    /// 200: here is what was asked for.
    Ok,
    /// 201: it happened, for the first time.
    Created,
    /// 202: it is stored, and will be looked at.
    Accepted,
    /// 204: it happened, and there is nothing to say.
    NoContent,
}

impl Success {
    /// The number on the wire, for a stored outcome that is answered again.
    pub const fn as_u16(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::Created => 201,
            Self::Accepted => 202,
            Self::NoContent => 204,
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Ok => StatusCode::OK,
            Self::Created => StatusCode::CREATED,
            Self::Accepted => StatusCode::ACCEPTED,
            Self::NoContent => StatusCode::NO_CONTENT,
        }
    }
}

/// An answer of a handler.
#[derive(Debug)]
pub struct Answer {
    success: Success,
    content: Result<Content, serde_json::Error>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Debug)]
struct Content {
    media_type: &'static str,
    bytes: Bytes,
}

impl Answer {
    /// A value as JSON.
    pub fn json(success: Success, value: &impl Serialize) -> Self {
        let content =
            serde_json::to_vec(value).map(|bytes| Content { media_type: JSON, bytes: bytes.into() });
        Self { success, content, headers: Vec::new() }
    }

    /// JSON that is written already, such as a stored first answer.
    pub fn json_bytes(success: Success, bytes: impl Into<Bytes>) -> Self {
        Self::text(success, JSON, bytes)
    }

    /// Text of another media type.
    pub fn text(success: Success, media_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        Self { success, content: Ok(Content { media_type, bytes: bytes.into() }), headers: Vec::new() }
    }

    /// 204.
    pub fn no_content() -> Self {
        Self::text(Success::NoContent, JSON, Bytes::new())
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Marks the answer as the first one, sent again.
    #[must_use]
    pub fn replayed(self) -> Self {
        self.with_header(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"))
    }
}

const JSON: &str = "application/json";

impl Responder for Answer {
    type Body = BoxBody;

    fn respond_to(self, _request: &HttpRequest) -> HttpResponse {
        let content = match self.content {
            Ok(content) => content,
            Err(error) => {
                return HttpResponse::from_error(Problem::from(Fault::internal().with_cause(error)));
            }
        };
        let mut response = HttpResponse::build(self.success.status());
        for (name, value) in self.headers {
            response.append_header((name, value));
        }
        match self.success {
            Success::NoContent => response.finish(),
            Success::Ok | Success::Created | Success::Accepted => {
                response.insert_header((header::CONTENT_TYPE, content.media_type)).body(content.bytes)
            }
        }
    }
}
