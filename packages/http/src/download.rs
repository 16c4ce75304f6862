//! A file that is sent as it is made, a piece at a time, so that its length costs no memory.

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    body::BoxBody,
    http::{
        Method,
        header::{self, HeaderValue},
    },
    web::Bytes,
};
use futures_util::{
    Stream, StreamExt as _,
    stream::{self, LocalBoxStream},
};
use seatpilot_domain_model::Fault;

use crate::problem::Problem;

/// How many bytes are gathered before they are sent: a line at a time would be a write at a time.
const PIECE_BYTES: usize = 32 * 1024;

/// A file under way. Where it cannot go on, the connection breaks off without the end that chunked encoding has, so
/// that nobody takes half of it for the whole.
pub struct Download {
    media_type: &'static str,
    name: String,
    lines: LocalBoxStream<'static, Result<String, Fault>>,
}

impl Download {
    /// Of lines that each get CRLF. `name` is what the file is called: letters, digits, `.`, `_` and `-`.
    pub fn of_lines(
        media_type: &'static str,
        name: impl Into<String>,
        lines: impl Stream<Item = Result<String, Fault>> + 'static,
    ) -> Self {
        Self { media_type, name: name.into(), lines: lines.boxed_local() }
    }
}

impl Responder for Download {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let name: String = self.name.bytes().filter(|byte| plain(*byte)).map(char::from).collect();
        let Ok(disposition) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) else {
            return HttpResponse::from_error(Problem::from(Fault::internal()));
        };
        // To HEAD nothing is sent, so nothing is made.
        let lines =
            if *request.method() == Method::HEAD { stream::empty().boxed_local() } else { self.lines };
        let pieces = stream::unfold(Some(lines), |lines| async {
            let mut lines = lines?;
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            while piece.len() < PIECE_BYTES {
                match lines.next().await {
                    Some(Ok(line)) => {
                        piece.extend_from_slice(line.as_bytes());
                        piece.extend_from_slice(b"\r\n");
                    }
                    Some(Err(fault)) => {
                        tracing::error!(%fault, "a download broke off");
                        return Some((Err(Problem::from(fault)), None));
                    }
                    None if piece.is_empty() => return None,
                    None => return Some((Ok(Bytes::from(piece)), None)),
                }
            }
            Some((Ok(Bytes::from(piece)), Some(lines)))
        });
        HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, self.media_type))
            .insert_header((header::CONTENT_DISPOSITION, disposition))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .streaming(pieces)
    }
}
