//! A server that answers as a test wants it to, and notes what it was asked.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        &self.headers.iter().find(|(header, _)| header == name).unwrap_or_else(|| panic!("no {name}")).1
    }

    pub(crate) fn events(&self) -> Vec<Value> {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What to answer.
#[derive(Debug, Clone)]
pub(crate) enum Say {
    /// Every event accepted.
    Accepted,
    /// Status, further headers, body.
    With(u16, Vec<(&'static str, String)>, String),
    /// The connection breaks.
    Cut,
    /// Nothing, for ever.
    Nothing,
}

pub(crate) fn problem(status: u16, code: &str, headers: &[(&'static str, &str)]) -> Say {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Say::With(status, headers, json!({ "status": status, "code": code }).to_string())
}

/// Each accepted.
pub(crate) fn accepted(events: &[Value]) -> String {
    let items: Vec<Value> =
        events.iter().map(|event| json!({ "id": event["id"], "status": "accepted" })).collect();
    json!({ "accepted": items.len(), "duplicates": 0, "rejected": 0, "items": items }).to_string()
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// `answer` is given the request and its number, from 1.
    pub(crate) async fn start(answer: impl Fn(&Asked, usize) -> Say + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (noted, answer) = (Arc::clone(&asked), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&noted), Arc::clone(&answer)));
            }
        });
        Self { url, asked }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// One request a connection: what a sender does on the next one is no matter of these tests.
async fn serve(
    mut stream: TcpStream,
    noted: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<impl Fn(&Asked, usize) -> Say>,
) -> Option<()> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let headers: Vec<(String, String)> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.iter().find(|(name, _)| name == "content-length").unwrap().1.parse().unwrap();
    while bytes.len() < head_end + 4 + length {
        stream.read_buf(&mut bytes).await.ok()?;
    }
    let body = String::from_utf8(bytes[head_end + 4..].to_vec()).unwrap();
    let asked = Asked { headers, body };
    let said = {
        let mut noted = noted.lock().unwrap();
        noted.push(asked.clone());
        answer(&asked, noted.len())
    };
    let (status, headers, body) = match said {
        Say::Accepted => (202, Vec::new(), accepted(&asked.events())),
        Say::With(status, headers, body) => (status, headers, body),
        Say::Cut => return None,
        Say::Nothing => std::future::pending().await,
    };
    let mut text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).await.ok()
}
