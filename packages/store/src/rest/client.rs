//! Calls of the one function, over HTTP.

use std::{fmt, time::Duration};

use reqwest::{
    Client,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use seatpilot_runtime::SecretString;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Semaphore;

use super::fault::RestFault;
use crate::{Error, writer::SendError};

/// The function, and the schema that PostgREST finds it in.
const PATH: &str = "/rest/v1/rpc/ingest";
const SCHEMA: &str = "seatpilot_rest";
/// Keys of this form are no tokens: the gateway knows them by `apikey`, and would refuse them as a bearer's.
const OPAQUE_KEY: &str = "sb_";
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// Above the function's `statement_timeout` of 2 s, below the writer's patience of 3 s.
const CALL_MAX: Duration = Duration::from_millis(2_800);
/// A gateway closes what rests for a minute; what we close first is never found dead.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Look-ups at the same time; PostgREST has ten connections to the database unless told otherwise.
const LOOK_UPS_MAX: usize = 6;
const LOOK_UP_WAIT_MAX: Duration = Duration::from_millis(250);
/// More than any answer has: 256 requests of 500 outcomes, or the limits of 5,000 tenants.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why the REST interface cannot be called.
#[derive(Debug, thiserror::Error)]
pub enum RestSettingsFault {
    /// The key has characters that no header can carry.
    #[error("has characters that no key has")]
    Key,
    /// The TLS client cannot be made.
    #[error("no TLS client for the REST interface: {0}")]
    Tls(String),
}

/// The way to the function.
pub(crate) struct RestClient {
    http: Client,
    url: String,
    look_ups: Semaphore,
}

#[derive(Serialize)]
struct Call<'a, T> {
    task: &'static str,
    given: &'a T,
}

impl RestClient {
    /// A client that has not called yet.
    pub(crate) fn new(url: &str, key: &SecretString) -> Result<Self, RestSettingsFault> {
        let http = Client::builder()
            .default_headers(headers(key.expose_secret())?)
            .user_agent(concat!("seatpilot/", env!("CARGO_PKG_VERSION")))
            // Where an answer leads somewhere else, the key does not go along.
            .redirect(Policy::none())
            .https_only(url.starts_with("https://"))
            // The environment is read by `runtime` only, and names no proxy.
            .no_proxy()
            .connect_timeout(CONNECT_MAX)
            .timeout(CALL_MAX)
            .pool_idle_timeout(IDLE_MAX)
            .build()
            .map_err(|error| RestSettingsFault::Tls(error.without_url().to_string()))?;
        let url = format!("{}{PATH}", url.trim_end_matches('/'));
        Ok(Self { http, url, look_ups: Semaphore::new(LOOK_UPS_MAX) })
    }

    /// Has a task done, and reads its answer.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        task: &'static str,
        given: &impl Serialize,
    ) -> Result<T, SendError> {
        let call = serde_json::to_vec(&Call { task, given })
            .map_err(|error| SendError::Shape(format!("{task} cannot be written: {error}")))?;
        let broken = |error| SendError::Failed(RestFault::of_exchange(error).into());
        let mut response = self.http.post(&self.url).body(call).send().await.map_err(broken)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(broken)? {
            if body.len() + part.len() > ANSWER_BYTES_MAX {
                return Err(SendError::Shape(format!("{task} answered more than {ANSWER_BYTES_MAX} bytes")));
            }
            body.extend_from_slice(&part);
        }
        if status.as_u16() != 200 {
            return Err(SendError::Failed(RestFault::of_answer(status.as_u16(), &body).into()));
        }
        serde_json::from_slice(&body)
            .map_err(|error| SendError::Shape(format!("{task} answered out of shape: {error}")))
    }

    /// The same for what is no writer's: so many at a time, and nobody waits long for a place.
    pub(crate) async fn look_up<T: DeserializeOwned>(
        &self,
        task: &'static str,
        given: &impl Serialize,
    ) -> Result<T, Error> {
        let place = tokio::time::timeout(LOOK_UP_WAIT_MAX, self.look_ups.acquire()).await;
        let Ok(Ok(_place)) = place else { return Err(Error::Full("the REST interface")) };
        Ok(self.call(task, given).await?)
    }
}

fn headers(key: &str) -> Result<HeaderMap, RestSettingsFault> {
    let secret = |text: &str| {
        let mut value = HeaderValue::from_str(text).map_err(|_| RestSettingsFault::Key)?;
        value.set_sensitive(true);
        Ok(value)
    };
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("apikey"), secret(key)?);
    if !key.starts_with(OPAQUE_KEY) {
        headers.insert(AUTHORIZATION, secret(&format!("Bearer {key}"))?);
    }
    headers.insert(HeaderName::from_static("content-profile"), HeaderValue::from_static(SCHEMA));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    Ok(headers)
}

impl fmt::Debug for RestClient {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RestClient").field("url", &self.url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_as_the_bearers_too_and_an_opaque_key_does_not() {
        let token = headers("eyJhbGciOiJIUzI1NiJ9.e30.c2ln").unwrap();
        assert_eq!(token["apikey"], "eyJhbGciOiJIUzI1NiJ9.e30.c2ln");
        assert_eq!(token["authorization"], "Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2ln");
        let opaque = headers("sb_secret_abc").unwrap();
        assert_eq!(opaque["apikey"], "sb_secret_abc");
        assert!(!opaque.contains_key("authorization"));
        assert!(!format!("{token:?} {opaque:?}").contains("sb_secret") && token["apikey"].is_sensitive());
        assert!(headers("line\nbreak").is_err());
    }
}
