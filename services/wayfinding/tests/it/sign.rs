//! A sign: the service under test, an evening behind it, and guests who came in.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use seatpilot_domain_model::{Channel, CheckIn, ScanAnswer, TicketCode};
use seatpilot_runtime::{Clock, Deployment, Environment, Readiness, SecretString, Shutdown, StoreKind};
use seatpilot_store::{Maps, Store, StoreSettings, Writes};
use seatpilot_testkit::Evening;
use seatpilot_wayfinding::{Config, bind};
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) const ARRIVE: &str = "/api/wayfinding/arrive-table";

pub(crate) struct Sign {
    pub(crate) evening: Evening,
    pub(crate) url: String,
    pub(crate) client: reqwest::Client,
    gate: Store,
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
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// Status and code of a problem document.
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(self.media_type, "application/problem+json", "{self:?}");
        (self.status, self.json()["code"].as_str().unwrap().to_owned())
    }
}

impl Sign {
    pub(crate) async fn of(guests: usize) -> Self {
        Self::by(Clock::system(), guests).await
    }

    /// One that goes by another clock.
    pub(crate) async fn by(clock: Clock, guests: usize) -> Self {
        let evening = Evening::of(guests).await;
        let readiness = Readiness::starting(StoreKind::Postgres);
        let gate = Store::open(StoreSettings {
            database: SecretString::from(evening.db.url_as("seatpilot_checkin").as_str()).into(),
            application_name: "gate".into(),
            writes: Writes::CheckIns,
            maps: Maps::NotKept,
            pool_size: 1,
            deployment: Deployment::Development,
            readiness,
            clock: Clock::system(),
        })
        .unwrap();
        let database = evening.db.url_as("seatpilot_wayfinding");
        let environment = Environment::of([
            ("DATABASE_URL", database.as_str()),
            ("PORT", "0"),
            ("SEATPILOT_DRAIN_MS", "0"),
        ]);
        let config = environment.read(Config::read).unwrap();
        let shutdown = Shutdown::manual();
        let server = bind(config, clock, shutdown.clone()).unwrap();
        let url = server.url();
        tokio::spawn(server.run());
        let began = Instant::now();
        let ready = format!("{url}/ready");
        while !reqwest::get(&ready).await.is_ok_and(|ready| ready.status().is_success())
            || gate.writer_load().1 == 0
        {
            assert!(began.elapsed() < Duration::from_secs(15), "not ready");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Self { evening, url, client: reqwest::Client::new(), gate, shutdown }
    }

    /// Lets guest `n` in so many seconds ago; answers the session.
    pub(crate) async fn let_in(&self, n: usize, seconds_ago: i64) -> Uuid {
        let clock = Clock::system();
        let scan = CheckIn {
            tenant: self.evening.tenant.clone(),
            scan_id: Uuid::now_v7(),
            session_id: Uuid::now_v7(),
            telemetry_id: Uuid::now_v7(),
            fingerprint: [1; 32],
            venue: self.evening.venue.clone(),
            event: self.evening.event.clone(),
            door: self.evening.door.clone(),
            ticket: TicketCode::new(Evening::ticket(n)).unwrap().hash(),
            channel: Channel::Kiosk,
            device: Uuid::nil(),
            party_size: None,
            checked_in_at: clock.now() - SignedDuration::from_secs(seconds_ago),
            received: clock.monotonic(),
            trace: None,
        };
        match self.gate.check_in(scan).await.unwrap() {
            ScanAnswer::Admitted(admission) => admission.session_id,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn ping(&self, session: Uuid) -> Value {
        json!({ "ping_id": Uuid::now_v7(), "session_id": session, "section": self.evening.section })
    }

    pub(crate) async fn send(&self, ping: &Value) -> Reply {
        let headers = [("authorization".to_owned(), format!("Bearer {}", self.evening.device_token))];
        self.post(ping.to_string(), &headers).await
    }

    pub(crate) async fn post(&self, body: impl Into<reqwest::Body>, headers: &[(String, String)]) -> Reply {
        let mut request = self.client.post(format!("{}{ARRIVE}", self.url)).body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        reply(request.send().await.unwrap()).await
    }

    pub(crate) async fn ask(&self, query: &[(&str, &str)]) -> Reply {
        let question: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self
            .client
            .get(format!("{}/api/wayfinding/route?{}", self.url, question.join("&")))
            .bearer_auth(&self.evening.device_token);
        reply(request.send().await.unwrap()).await
    }

    pub(crate) async fn metrics(&self) -> String {
        self.client.get(format!("{}/metrics", self.url)).send().await.unwrap().text().await.unwrap()
    }
}

async fn reply(response: reqwest::Response) -> Reply {
    Reply {
        status: response.status().as_u16(),
        replayed: response.headers().get("idempotent-replayed").is_some_and(|value| value == "true"),
        media_type: response.headers()["content-type"].to_str().unwrap().to_owned(),
        text: response.text().await.unwrap(),
    }
}

impl Drop for Sign {
    fn drop(&mut self) {
        self.shutdown.begin();
        self.shutdown.insist();
    }
}
