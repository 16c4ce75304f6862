//! One connection, of which every wait is bounded and every answer is one of ours.
//!
//! actix (actix-http 3.20) times the first head of a connection and the silence between requests, but not a
//! later head of which a first byte has come: a sender that stops there would keep the connection for ever.
//! And what it refuses before there is a request, it refuses with an empty body. Both are seen from the
//! stream below it.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_web::{
    HttpResponse,
    body::MessageBody as _,
    http::{StatusCode, header},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use crate::{
    edge::{Edge, seal},
    problem::{Problem, fault_of_status},
    request::RequestId,
    server::{HEAD_DEADLINE, KEEP_ALIVE},
};

/// What is added to actix' own deadlines, so that it acts first where it does, with an answer.
const SLACK: Duration = Duration::from_millis(500);
/// How long a request may be under way with nothing written: more than any body and any handler takes.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing came yet.
    Fresh,
    /// A first byte of a head came.
    Head,
    /// A request reached the edge, and nothing was answered yet.
    Request,
    /// Something was answered.
    Answered,
}

impl Phase {
    fn deadline(self) -> Duration {
        match self {
            Self::Fresh | Self::Head => HEAD_DEADLINE + SLACK,
            Self::Request => REQUEST_DEADLINE,
            Self::Answered => KEEP_ALIVE + SLACK,
        }
    }
}

/// The pace of a connection, shared by its stream and the edge.
#[derive(Debug, Clone)]
pub(crate) struct Pace(Rc<Cell<Phase>>);

impl Pace {
    /// A request reached the edge.
    pub(crate) fn request_came(&self) {
        self.0.set(Phase::Request);
    }
}

/// A stream that fails once its connection waits for too long.
pub(crate) struct Connection<S> {
    stream: S,
    edge: Arc<Edge>,
    pace: Pace,
    timer: Pin<Box<Sleep>>,
    timed: Phase,
    /// Whether an answer has moved since the timer was set: a long one has as long again from there.
    moved: bool,
    refusal: Option<Refusal>,
}

/// A problem document on its way out in place of a bare refusal.
struct Refusal {
    bytes: Vec<u8>,
    written: usize,
}

impl<S> Connection<S> {
    pub(crate) fn new(stream: S, edge: Arc<Edge>) -> Self {
        Self {
            stream,
            edge,
            pace: Pace(Rc::new(Cell::new(Phase::Fresh))),
            timer: Box::pin(sleep(Phase::Fresh.deadline())),
            timed: Phase::Fresh,
            moved: false,
            refusal: None,
        }
    }

    pub(crate) fn pace(&self) -> Pace {
        self.pace.clone()
    }

    /// Whether this phase has lasted too long; wakes the reader when it has.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        let phase = self.pace.0.get();
        if phase != self.timed {
            self.timed = phase;
            self.timer.as_mut().reset(Instant::now() + phase.deadline());
        }
        if self.timer.as_mut().poll(context).is_pending() {
            return false;
        }
        if phase != Phase::Answered || !std::mem::take(&mut self.moved) {
            return true;
        }
        self.timer.as_mut().reset(Instant::now() + phase.deadline());
        self.timer.as_mut().poll(context).is_ready()
    }

    /// The document for a refusal that actix wrote before there was a request, such as
    /// `HTTP/1.1 400 Bad Request` with nothing behind its head.
    fn refusal(&self, answer: &[u8]) -> Option<Refusal> {
        if self.pace.0.get() != Phase::Head || !answer.ends_with(b"\r\n\r\n") {
            return None;
        }
        let digits =
            answer.strip_prefix(b"HTTP/1.1 ").or_else(|| answer.strip_prefix(b"HTTP/1.0 "))?.get(..3)?;
        let status = StatusCode::from_bytes(digits).ok().filter(StatusCode::is_client_error)?;
        let id = RequestId::new(&self.edge.clock);
        let response = seal(Problem::from(fault_of_status(status)).answer(id.as_str()), &id);
        let status = response.status();
        self.edge.metrics.http().observe("", None, status.as_u16(), 0.0);
        tracing::info!(request_id = id.as_str(), status = status.as_u16(), "refused before it was a request");
        Some(Refusal { bytes: written_out(response)?, written: 0 })
    }
}

/// A response as bytes, closing its connection.
fn written_out(response: HttpResponse) -> Option<Vec<u8>> {
    let status = response.status();
    let (head, body) = response.into_parts();
    let body = body.try_into_bytes().ok()?;
    let mut bytes = format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason()?).into_bytes();
    for (name, value) in head.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    let (length, connection) = (header::CONTENT_LENGTH, header::CONNECTION);
    bytes.extend_from_slice(format!("{length}: {}\r\n{connection}: close\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(&body);
    Some(bytes)
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_late(context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before && matches!(this.pace.0.get(), Phase::Fresh | Phase::Answered) {
            this.pace.0.set(Phase::Head);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.refusal.is_none() {
            this.refusal = this.refusal(bytes);
        }
        if let Some(refusal) = &mut this.refusal {
            while refusal.written < refusal.bytes.len() {
                let rest = &refusal.bytes[refusal.written..];
                match ready!(Pin::new(&mut this.stream).poll_write(context, rest))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    written => refusal.written += written,
                }
            }
            this.refusal = None;
            this.pace.0.set(Phase::Answered);
            // All of what actix wrote is out, in other words.
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = ready!(Pin::new(&mut this.stream).poll_write(context, bytes))?;
        this.moved = true;
        if this.pace.0.get() == Phase::Request {
            this.pace.0.set(Phase::Answered);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
