//! A keep-alive connection of the driver: one request, one answer, no more work than HTTP/1.1 asks for.

use std::net::SocketAddr;

use anyhow::{Context as _, bail, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// A connection to a service.
pub(crate) struct Line {
    stream: TcpStream,
    heard: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard<'a> {
    /// Its status.
    pub(crate) status: u16,
    /// Its body.
    pub(crate) body: &'a [u8],
}

impl Line {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there.
    pub(crate) async fn open(to: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(to).await.with_context(|| format!("no connection to {to}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, heard: Vec::with_capacity(4096) })
    }

    /// Sends a whole request and reads its answer.
    ///
    /// # Errors
    /// The connection broke, or the answer is none of HTTP/1.1 with a `Content-Length`.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> anyhow::Result<Heard<'_>> {
        self.stream.write_all(request).await?;
        self.heard.clear();
        let (status, body, length) = loop {
            if let Some(head) = head(&self.heard)? {
                break head;
            }
            self.read_more().await?;
        };
        while self.heard.len() < body + length {
            self.read_more().await?;
        }
        ensure!(self.heard.len() == body + length, "more came than one answer");
        Ok(Heard { status, body: &self.heard[body..] })
    }

    async fn read_more(&mut self) -> anyhow::Result<()> {
        ensure!(self.heard.len() < ANSWER_BYTES_MAX, "an answer of over {ANSWER_BYTES_MAX} bytes");
        if self.stream.read_buf(&mut self.heard).await? == 0 {
            bail!("the connection was closed before its answer: {}", String::from_utf8_lossy(&self.heard));
        }
        Ok(())
    }
}

/// Status, where the body begins, and how long it is; none while the head is not whole.
fn head(bytes: &[u8]) -> anyhow::Result<Option<(u16, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(body) = answer.parse(bytes)? else { return Ok(None) };
    let length = answer
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok())
        .context("an answer without Content-Length")?;
    Ok(Some((answer.code.unwrap_or(0), body, length)))
}

/// Writes a request over what is in `out`.
pub(crate) fn write_request(
    out: &mut Vec<u8>,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) {
    out.clear();
    for part in [method, " ", path, " HTTP/1.1\r\nhost: bench\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    for (name, value) in headers {
        for part in [name, ": ", value, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    if method != "GET" {
        out.extend_from_slice(b"content-type: application/json\r\ncontent-length: ");
        out.extend_from_slice(body.len().to_string().as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}
