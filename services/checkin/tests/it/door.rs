//! A door: the service under test, an evening behind it, and a device that scans.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use seatpilot_checkin::{Config, bind};
use seatpilot_runtime::{Clock, Environment, Shutdown};
use seatpilot_testkit::Evening;
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) struct Door {
    pub(crate) evening: Evening,
    pub(crate) url: String,
    pub(crate) client: reqwest::Client,
    shutdown: Shutdown,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) replayed: bool,
    pub(crate) media_type: String,
    pub(crate) text: String,
}

impl Reply {
    /// Fails where the body does not come.
    pub(crate) async fn of(response: reqwest::Response) -> Result<Self, reqwest::Error> {
        Ok(Self {
            status: response.status().as_u16(),
            replayed: response.headers().get("idempotent-replayed").is_some_and(|value| value == "true"),
            media_type: response.headers()["content-type"].to_str().unwrap().to_owned(),
            text: response.text().await?,
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// Status and code of a problem document.
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(self.media_type, "application/problem+json", "{self:?}");
        let body = self.json();
        assert_eq!(body["status"], self.status);
        assert_eq!(body["type"], format!("urn:seatpilot:problem:{}", body["code"].as_str().unwrap()));
        (self.status, body["code"].as_str().unwrap().to_owned())
    }

    /// A refusal's status and code.
    pub(crate) fn refused(&self) -> (u16, String) {
        assert_eq!(self.json()["decision"], "refused", "{self:?}");
        self.problem()
    }
}

impl Door {
    pub(crate) async fn open(guests: usize) -> Self {
        Self::of(Evening::of(guests).await).await
    }

    pub(crate) async fn of(evening: Evening) -> Self {
        Self::told(evening, &[]).await
    }

    /// One whose process is told more than where its database is.
    pub(crate) async fn told(evening: Evening, variables: &[(&str, &str)]) -> Self {
        let (url, shutdown) = serve(&evening, variables).await;
        Self { evening, url, client: reqwest::Client::new(), shutdown }
    }

    /// Another instance on the same database.
    pub(crate) async fn second_instance(&self) -> (String, Shutdown) {
        serve(&self.evening, &[]).await
    }

    pub(crate) fn scan(&self, n: usize) -> Value {
        json!({
            "scan_id": Uuid::now_v7(), "venue_id": self.evening.venue, "event_id": self.evening.event,
            "door_id": self.evening.door, "ticket": Evening::ticket(n), "channel": "kiosk",
        })
    }

    pub(crate) async fn send(&self, scan: &Value) -> Reply {
        self.post(&self.url, &self.evening.device_token, scan.to_string(), &[]).await
    }

    pub(crate) async fn post(
        &self,
        url: &str,
        token: &str,
        body: impl Into<reqwest::Body>,
        headers: &[(&str, &str)],
    ) -> Reply {
        let mut request = self.client.post(format!("{url}/api/checkin/success")).body(body);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Reply::of(request.send().await.unwrap()).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap().text().await.unwrap()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shutdown.begin();
        self.shutdown.insist();
    }
}

async fn serve(evening: &Evening, variables: &[(&str, &str)]) -> (String, Shutdown) {
    let database = evening.db.url_as("seatpilot_checkin");
    let own = [("DATABASE_URL", database.as_str()), ("PORT", "0"), ("SEATPILOT_DRAIN_MS", "0")];
    let environment = Environment::of(own.iter().chain(variables).copied());
    let config = environment.read(Config::read).unwrap();
    let shutdown = Shutdown::manual();
    let server = bind(config, Clock::system(), shutdown.clone()).unwrap();
    let (address, url): (SocketAddr, String) = (server.addr(), server.url());
    assert_ne!(address.port(), 0);
    tokio::spawn(server.run());
    let began = Instant::now();
    while !reqwest::get(format!("{url}/ready")).await.is_ok_and(|ready| ready.status().is_success()) {
        assert!(began.elapsed() < Duration::from_secs(15), "not ready");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (url, shutdown)
}
