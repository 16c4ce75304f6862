//! Keys for pages: minted here by a key that never leaves the server, handed to the page as they come.

use std::{fmt, time::Duration};

use jiff::{SignedDuration, Timestamp};
use reqwest::{Client, Response, Url};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{key::SigningKey, sender::now};

const PATH: &str = "/v1/keys/session";
/// Minting writes nothing: who has no answer by then gets none.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// A clock that is off by less is not why a signature was refused.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// What a page's key is to be good for.
#[derive(Debug, Clone, Serialize)]
pub struct SessionKeyWish {
    origin: String,
    session_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in_seconds: Option<u64>,
}

impl SessionKeyWish {
    /// For the pages of one origin, as browsers send it (`https://tickets.example`), and one session. Sends events, for 15
    /// minutes.
    pub fn new(origin: impl Into<String>, session_id: Uuid) -> Self {
        Self { origin: origin.into(), session_id, scopes: None, expires_in_seconds: None }
    }

    /// `ingest`, `arrive`, or both.
    #[must_use]
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// How long it is good, at most 15 minutes; in whole seconds.
    #[must_use]
    pub fn expires_in(mut self, life: Duration) -> Self {
        self.expires_in_seconds = Some(life.as_secs());
        self
    }
}

/// A page's key, as the service answers it: as JSON it is what `sessionKey` of the SDK for JavaScript reads. Answer it with
/// `Cache-Control: no-store`.
#[derive(Clone, Serialize, Deserialize)]
pub struct SessionKey {
    /// Goes into `x-key`.
    pub key_id: String,
    /// In base64.
    pub secret: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The same from when it was made.
    pub expires_in_seconds: u64,
    /// The one origin that may use it.
    pub origin: String,
    /// The one session of which it may speak.
    pub session_id: Uuid,
    /// What it may do.
    pub scopes: Vec<String>,
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SessionKey").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The address is none.
    #[error("the address of telemetry-ingest must be as https://ingest.example, without a path")]
    Address,
    /// Nobody answered, or not one of ours.
    #[error("telemetry-ingest does not answer: {0}")]
    Unreachable(String),
    /// It refuses.
    #[error("no session key: {status} {code}: {detail}")]
    Refused {
        /// Of the answer.
        status: u16,
        /// Of the problem document.
        code: String,
        /// Of the same: which member, and why.
        detail: String,
    },
}

#[derive(Deserialize, Default)]
struct Problem {
    code: Option<String>,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    errors: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    pointer: String,
    detail: String,
}

/// Mints keys for pages.
#[derive(Debug)]
pub struct SessionKeys {
    client: Client,
    url: Url,
    key: SigningKey,
}

impl SessionKeys {
    /// By the tenant's own key, which may do what the pages are to do. `url` as `https://ingest.example`.
    ///
    /// # Errors
    /// [`MintError::Address`].
    pub fn new(url: &str, key: SigningKey) -> Result<Self, MintError> {
        let url = Url::parse(url).ok().filter(|url| url.path() == "/" && url.query().is_none());
        let url = url.and_then(|url| url.join(PATH).ok()).ok_or(MintError::Address)?;
        Ok(Self { client: Client::new(), url, key })
    }

    /// Mints one. Asked twice where this machine's clock turns out to be off.
    ///
    /// # Errors
    /// [`MintError`].
    pub async fn mint(&self, wish: &SessionKeyWish) -> Result<SessionKey, MintError> {
        let mut response = self.ask(wish, SignedDuration::ZERO).await?;
        if response.status().as_u16() == 401
            && let Some(off) = clock_off(&response)
        {
            response = self.ask(wish, off).await?;
        }
        let status = response.status().as_u16();
        let unreadable = |error: reqwest::Error| MintError::Unreachable(error.without_url().to_string());
        if status == 201 {
            return response.json().await.map_err(unreadable);
        }
        match response.json().await.unwrap_or_default() {
            Problem { code: Some(code), detail, errors } => {
                let member = errors.first().map(|member| format!("{}: {}", member.pointer, member.detail));
                Err(MintError::Refused { status, code, detail: member.unwrap_or(detail) })
            }
            Problem { code: None, .. } => Err(MintError::Unreachable(format!("status {status}"))),
        }
    }

    async fn ask(&self, wish: &SessionKeyWish, off: SignedDuration) -> Result<Response, MintError> {
        let failed = |error: &dyn fmt::Display| MintError::Unreachable(error.to_string());
        let body = serde_json::to_vec(wish).map_err(|error| failed(&error))?;
        let nonce = Uuid::new_v4().simple().to_string();
        let signed = self.key.sign(PATH, now(off).as_second(), &nonce, &body);
        let mut request = self.client.post(self.url.clone()).timeout(ANSWER_MAX);
        request = request.header("content-type", "application/json");
        for (name, value) in &signed.map_err(|error| failed(&error))? {
            request = request.header(*name, value);
        }
        request.body(body).send().await.map_err(|error| failed(&error.without_url()))
    }
}

/// How far the server's clock is ahead, where that is why a signature was refused.
fn clock_off(response: &Response) -> Option<SignedDuration> {
    let date = response.headers().get("date")?.to_str().ok()?;
    let date = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    Some(date.duration_since(now(SignedDuration::ZERO))).filter(|off| off.abs() > SKEW)
}
