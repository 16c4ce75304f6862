//! The bytes of a body, within a size and a time.

use std::time::Duration;

use actix_web::{
    HttpRequest,
    error::PayloadError,
    http::header,
    web::{Bytes, BytesMut, Payload},
};
use futures_util::StreamExt as _;
use seatpilot_domain_model::{Fault, FaultCode};
use tokio::time::{Instant, timeout_at};

/// How long a body may take to arrive once its head is there. actix bounds the head only, and a sender of
/// one byte a second would hold a connection and a permit for as long as it likes.
pub const BODY_DEADLINE: Duration = Duration::from_secs(3);

/// Reads a body of at most `limit_bytes`.
///
/// # Errors
/// `body_too_large` (by `Content-Length`, before a byte is read, or as soon as the limit is passed),
/// `request_timeout` after [`BODY_DEADLINE`], `bad_request` where the framing is broken or the sender gone.
pub async fn read_body(
    request: &HttpRequest,
    mut payload: Payload,
    limit_bytes: usize,
) -> Result<Bytes, Fault> {
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit_bytes as u64) {
        return Err(too_large(limit_bytes));
    }
    let deadline = Instant::now() + BODY_DEADLINE;
    let mut whole = BytesMut::new();
    loop {
        let chunk = timeout_at(deadline, payload.next()).await.map_err(|_| {
            Fault::new(FaultCode::RequestTimeout, "The body took longer than 3 seconds to arrive.")
        })?;
        match chunk {
            None => return Ok(whole.freeze()),
            Some(Ok(chunk)) if whole.len() + chunk.len() > limit_bytes => return Err(too_large(limit_bytes)),
            // The usual body is one chunk: it is not copied.
            Some(Ok(chunk)) if whole.is_empty() && announced == Some(chunk.len() as u64) => return Ok(chunk),
            Some(Ok(chunk)) => whole.extend_from_slice(&chunk),
            Some(Err(PayloadError::Overflow)) => return Err(too_large(limit_bytes)),
            Some(Err(error)) => {
                return Err(Fault::new(FaultCode::BadRequest, "The body ended early or is badly framed.")
                    .with_cause(error.to_string()));
            }
        }
    }
}

fn too_large(limit_bytes: usize) -> Fault {
    Fault::new(FaultCode::BodyTooLarge, format!("The body has more than {limit_bytes} bytes."))
}
