//! The secrets of a house, everything that can be read of it, and whether the one stands in the other.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::RequestBuilder;
use uuid::Uuid;

/// What must not be seen, by what it is.
#[derive(Default)]
pub(super) struct Secrets(pub(super) BTreeMap<String, String>);

impl Secrets {
    /// A word of its own, of 40 letters and digits.
    pub(super) fn word(&mut self, what: &str) -> String {
        let word = format!("{}canary{}", Uuid::new_v4().simple(), self.0.len() + 10);
        self.keep(what, &word);
        word
    }

    pub(super) fn keep(&mut self, what: &str, word: &str) {
        assert!(word.len() >= 16, "{what} is too short to be told from chance");
        self.0.insert(what.to_owned(), word.to_owned());
    }

    /// Bytes, in every way in which they could be written.
    pub(super) fn bytes(&mut self, what: &str, bytes: &[u8]) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.keep(&format!("{what} (base64)"), STANDARD.encode(bytes).trim_end_matches('='));
        self.keep(&format!("{what} (hex)"), &hex);
        self.keep(&format!("{what} (debug)"), &format!("{bytes:?}"));
    }
}

/// What can be read, place by place.
#[derive(Default)]
pub(super) struct Seen(pub(super) Vec<(String, String)>);

impl Seen {
    pub(super) fn add(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.0.push((place.into(), text.into()));
    }

    /// Sends it, and keeps head and body of the answer.
    pub(super) async fn answer(&mut self, place: &str, request: RequestBuilder) -> u16 {
        let answer = request.send().await.unwrap_or_else(|error| panic!("{place}: {error}"));
        let (status, headers) = (answer.status().as_u16(), format!("{:?}", answer.headers()));
        let body = String::from_utf8_lossy(&answer.bytes().await.unwrap()).into_owned();
        self.add(format!("answer {status}: {place}"), format!("{headers}\n{body}"));
        status
    }

    pub(super) fn leaks(&self, secrets: &Secrets) -> Vec<String> {
        let all = secrets.0.iter();
        all.flat_map(|(what, word)| {
            let places = self.0.iter().filter(move |(_, text)| text.contains(word.as_str()));
            places.map(move |(place, _)| format!("{what} in {place}"))
        })
        .collect()
    }

    pub(super) fn found(&self, place: &str, word: &str) -> bool {
        self.0.iter().any(|(named, text)| named.starts_with(place) && text.contains(word))
    }
}
