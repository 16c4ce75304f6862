//! The service under test, its database, and a sender with a key.

use std::{
    ops::Deref,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use seatpilot_domain_model::{KeyScope, TenantId};
use seatpilot_runtime::{Clock, Environment, Readiness, SecretBytes, SecretString, Shutdown, StoreKind};
use seatpilot_signing::{Key, sign_sp1};
use seatpilot_store::{EventStore, MEMORY_BYTES_MAX, MemoryStore, admin::Admin};
use seatpilot_telemetry_ingest::{Config, Ingest, bind, bind_to};
use seatpilot_testkit::{PostgRest, TestDb};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bus_behind::BusBehind;

/// The path of everything here.
pub(crate) const PATH: &str = "/v1/events";
/// The key that [`Service::start`] makes, for tenant `acme`, scope `ingest`.
pub(crate) const KEY_ID: &str = "acme_gate_01";
/// Its secret: that of the vectors.
pub(crate) const SECRET: [u8; 32] = {
    let mut bytes = [0; 32];
    let mut at = 0;
    while at < 32 {
        bytes[at] = at as u8;
        at += 1;
    }
    bytes
};

/// Which of the three stores, or the bus before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Postgres, by its own protocol.
    Postgres,
    /// The same, through the stand-in for Supabase's REST interface.
    Rest,
    /// Postgres, by an instance that writes what another one verified and handed over NATS.
    Bus,
    /// The process' memory.
    Memory,
}

/// Runs a test on each of the three stores and over the bus: it is a function that takes a [`Kind`].
macro_rules! on_every_store {
    ($($name:ident),+ $(,)?) => {
        $(mod $name {
            use $crate::service::Kind;

            #[tokio::test]
            async fn on_postgres() {
                super::$name(Kind::Postgres).await;
            }

            #[tokio::test]
            async fn on_rest() {
                super::$name(Kind::Rest).await;
            }

            #[tokio::test]
            async fn over_the_bus() {
                if seatpilot_testkit::Nats::is_here() {
                    super::$name(Kind::Bus).await;
                }
            }

            #[tokio::test]
            async fn in_memory() {
                super::$name(Kind::Memory).await;
            }
        })+
    };
}
pub(crate) use on_every_store;

/// A running service, and the store behind it.
pub(crate) struct Service {
    pub(crate) db: Db,
    pub(crate) url: String,
    pub(crate) client: reqwest::Client,
    pub(crate) store: Behind,
    shutdown: Shutdown,
    variables: Vec<(String, String)>,
}

/// What is between the service and its data.
pub(crate) enum Behind {
    Postgres,
    Rest(PostgRest),
    Bus(Box<BusBehind>),
    Memory(MemoryStore),
}

/// The database. Memory has none, and no test that asks for one is a test of memory.
pub(crate) struct Db(Option<TestDb>);

impl Db {
    pub(crate) fn of(db: TestDb) -> Self {
        Self(Some(db))
    }
}

impl Deref for Db {
    type Target = TestDb;

    fn deref(&self) -> &TestDb {
        self.0.as_ref().unwrap_or_else(|| panic!("the store in memory has no database"))
    }
}

/// A dead letter, as any store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) tenant: String,
    pub(crate) reason: String,
    pub(crate) detail: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) payload_len: usize,
    pub(crate) key_id: String,
    pub(crate) request_id: String,
    pub(crate) event_type: Option<String>,
    pub(crate) event_id: Option<Uuid>,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

/// A signed request, to be sent as often as one likes.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Signed {
    /// By SP1, with the key of [`Service::start`], now, with a nonce of its own.
    pub(crate) fn now(body: impl Into<Vec<u8>>) -> Self {
        Self::with(body, KEY_ID, &SECRET, Timestamp::now().as_second(), &nonce())
    }

    /// By SP1.
    pub(crate) fn with(body: impl Into<Vec<u8>>, key_id: &str, secret: &[u8], ts: i64, nonce: &str) -> Self {
        let body = body.into();
        let signature = sign_sp1(&Key::new(secret).unwrap(), "POST", PATH, key_id, ts, nonce, &body).unwrap();
        Self { headers: signature.map(|(name, value)| (name.to_owned(), value)).into(), body }
    }

    /// The same, one header's value changed.
    pub(crate) fn altered(&self, name: &str, value: impl Into<String>) -> Self {
        let mut altered = self.clone();
        altered.headers.iter_mut().find(|(header, _)| header == name).unwrap().1 = value.into();
        altered
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> &str {
        &self.headers.iter().find(|(header, _)| header == name).unwrap().1
    }
}

/// A nonce that nobody used.
pub(crate) fn nonce() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("nonce-{:020}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A good event with an id of its own.
pub(crate) fn event() -> Value {
    event_with(Uuid::now_v7(), json!({}))
}

/// A good event.
pub(crate) fn event_with(id: Uuid, data: Value) -> Value {
    json!({
        "id": id, "type": "device.heartbeat", "occurred_at": Timestamp::now().round(jiff::Unit::Millisecond).unwrap(),
        "venue_id": "arena", "data": data,
    })
}

impl Service {
    /// With a database of its own, tenant `acme` and [`KEY_ID`].
    pub(crate) async fn start() -> Self {
        Self::start_with(Clock::system(), &[]).await
    }

    /// The same, by another clock and with more in its environment.
    pub(crate) async fn start_with(clock: Clock, variables: &[(&str, &str)]) -> Self {
        Self::start_on(Kind::Postgres, clock, variables).await
    }

    /// The same, on another store.
    pub(crate) async fn on(kind: Kind) -> Self {
        Self::start_on(kind, Clock::system(), &[]).await
    }

    /// On a store, by a clock, with more in its environment.
    pub(crate) async fn start_on(kind: Kind, clock: Clock, variables: &[(&str, &str)]) -> Self {
        let tenant: TenantId = "acme".parse().unwrap();
        let (db, store) = match kind {
            Kind::Postgres => (Some(TestDb::new().await), Behind::Postgres),
            Kind::Rest => {
                let db = TestDb::new().await;
                let rest = PostgRest::before(&db).await;
                (Some(db), Behind::Rest(rest))
            }
            Kind::Bus => {
                let db = TestDb::new().await;
                let bus = BusBehind::before(&db).await;
                (Some(db), Behind::Bus(Box::new(bus)))
            }
            Kind::Memory => {
                let memory = MemoryStore::new(Some(tenant), MEMORY_BYTES_MAX, clock.clone());
                (None, Behind::Memory(memory))
            }
        };
        let db = Db(db);
        if kind != Kind::Memory {
            add_key(&db, "acme", KEY_ID, &SECRET, &[KeyScope::Ingest]).await;
        }
        Self::before(db, store, clock, variables).await
    }

    /// On a database, and what is between, that are there already.
    pub(crate) async fn before(db: Db, store: Behind, clock: Clock, variables: &[(&str, &str)]) -> Self {
        let (url, shutdown) = serve(&db, &store, clock, variables).await;
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Self { db, url, client, store, shutdown, variables }
    }

    /// A second instance on the same database, until the first ends. Of memory there is one only: the first.
    pub(crate) async fn second(&self) -> String {
        if matches!(self.store, Behind::Memory(_)) {
            return self.url.clone();
        }
        let variables: Vec<(&str, &str)> =
            self.variables.iter().map(|(name, value)| (&**name, &**value)).collect();
        let (url, shutdown) = serve(&self.db, &self.store, Clock::system(), &variables).await;
        let first = self.shutdown.clone();
        tokio::spawn(async move {
            first.begun().await;
            shutdown.begin();
        });
        url
    }

    pub(crate) async fn admin(&self) -> Admin {
        Admin::connect(&SecretString::from(self.db.owner_url().as_str())).await.unwrap()
    }

    pub(crate) async fn add_key(&self, tenant: &str, key_id: &str, secret: &[u8], scopes: &[KeyScope]) {
        add_key(&self.db, tenant, key_id, secret, scopes).await;
    }

    pub(crate) async fn send(&self, signed: &Signed) -> Reply {
        self.send_to(&self.url, signed).await
    }

    pub(crate) async fn send_to(&self, url: &str, signed: &Signed) -> Reply {
        let mut request = self.client.post(format!("{url}{PATH}")).body(signed.body.clone());
        for (name, value) in &signed.headers {
            request = request.header(name, value);
        }
        reply(request).await
    }

    /// Signs and sends a body.
    pub(crate) async fn post(&self, body: impl Into<Vec<u8>>) -> Reply {
        self.send(&Signed::now(body)).await
    }

    /// Signs and sends a value.
    pub(crate) async fn post_json(&self, body: &Value) -> Reply {
        self.post(body.to_string()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        reply(self.client.get(format!("{}{path}", self.url))).await
    }

    /// One number out of the database, asked as its owner.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.db.owner().await.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Events, dead letters and nonces stored.
    pub(crate) async fn rows(&self) -> (i64, i64, i64) {
        if let Behind::Memory(memory) = &self.store {
            let count = |number: usize| i64::try_from(number).unwrap();
            return (
                count(memory.events().len()),
                count(memory.dead_letters().len()),
                count(memory.nonces()),
            );
        }
        (
            self.number("select count(*) from telemetry.events_raw").await,
            self.number("select count(*) from telemetry.events_dlq").await,
            self.number("select count(*) from telemetry.ingest_nonces").await,
        )
    }

    /// Every dead letter, in the order received.
    pub(crate) async fn letters(&self) -> Vec<Letter> {
        if let Behind::Memory(memory) = &self.store {
            let letters = memory.dead_letters().into_iter().map(|letter| Letter {
                tenant: letter.tenant.as_str().to_owned(),
                reason: letter.reason.as_str().to_owned(),
                detail: letter.detail,
                payload: letter.payload.into(),
                payload_len: letter.payload_len,
                key_id: letter.key_id,
                request_id: letter.request_id,
                event_type: letter.event_type.map(str::to_owned),
                event_id: letter.event_id,
            });
            return letters.collect();
        }
        let rows = self
            .db
            .owner()
            .await
            .query("select * from telemetry.events_dlq order by received_at, dlq_id", &[])
            .await
            .unwrap();
        rows.iter()
            .map(|row| Letter {
                tenant: row.get("tenant_id"),
                reason: row.get("reason"),
                detail: row.get("reason_detail"),
                payload: row.get("payload"),
                payload_len: usize::try_from(row.get::<_, i32>("payload_len")).unwrap(),
                key_id: row.get("source_key_id"),
                request_id: row.get("request_id"),
                event_type: row.get("event_type"),
                event_id: row.get("event_id"),
            })
            .collect()
    }

    /// The value of a series on `/metrics`, by its whole name with labels; 0 for a tenant that came just now.
    pub(crate) async fn series(&self, series: &str) -> f64 {
        let metrics = self.get("/metrics").await.text;
        metrics
            .lines()
            .find_map(|line| line.strip_prefix(series))
            .map_or(0.0, |value| value.trim().parse().unwrap())
    }

    /// How often something was rejected, of a tenant and for a reason.
    pub(crate) async fn rejected(&self, tenant: &str, reason: &str) -> f64 {
        self.series(&format!(r#"seatpilot_ingest_rejected_total{{reason="{reason}",tenant="{tenant}"}}"#))
            .await
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The statuses or reasons of the items, in their order.
    pub(crate) fn verdicts(&self) -> Vec<String> {
        let body = self.json();
        let items = body["items"].as_array().unwrap_or_else(|| panic!("no items: {self:?}"));
        items
            .iter()
            .map(|item| item["reason"].as_str().or(item["status"].as_str()).unwrap().to_owned())
            .collect()
    }

    /// Checks that this is a problem document of the contract, and gives status and code.
    pub(crate) fn problem(&self) -> (u16, String) {
        let body = self.json();
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let code = body["code"].as_str().unwrap().to_owned();
        assert_eq!(body["type"], format!("urn:seatpilot:problem:{code}"));
        assert_eq!(body["status"], self.status);
        assert_eq!(body["instance"].as_str(), self.header("x-request-id"));
        assert!(body["title"].is_string() && body["detail"].is_string());
        (self.status, code)
    }
}

/// Sends a request.
pub(crate) async fn reply(request: reqwest::RequestBuilder) -> Reply {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Reply { status, headers, text: response.text().await.unwrap() }
}

/// Gives a tenant of the database a key.
pub(crate) async fn add_key(db: &TestDb, tenant: &str, key_id: &str, secret: &[u8], scopes: &[KeyScope]) {
    let tenant: TenantId = tenant.parse().unwrap();
    let mut admin = Admin::connect(&SecretString::from(db.owner_url().as_str())).await.unwrap();
    admin.ensure_tenant(&tenant, tenant.as_str()).await.unwrap();
    assert!(admin.put_key(&tenant, key_id, scopes, &SecretBytes::new(secret.to_vec())).await.unwrap());
}

/// `HMAC_TENANT_SECRET` with the key of [`Service::start`].
pub(crate) fn bootstrap() -> String {
    format!("acme:{KEY_ID}:{}", STANDARD.encode(SECRET))
}

async fn serve(db: &Db, store: &Behind, clock: Clock, variables: &[(&str, &str)]) -> (String, Shutdown) {
    let mut all = match store {
        Behind::Postgres => vec![("DATABASE_URL", db.url_as("seatpilot_ingest"))],
        Behind::Rest(rest) => {
            vec![("SUPABASE_URL", rest.url()), ("SUPABASE_SERVICE_ROLE_KEY", rest.secret_key().to_owned())]
        }
        Behind::Bus(bus) => bus.variables(db, "verify"),
        Behind::Memory(_) => vec![("STORE", "memory".to_owned()), ("HMAC_TENANT_SECRET", bootstrap())],
    };
    all.extend(variables.iter().map(|(name, value)| (*name, (*value).to_owned())));
    run(&all, |config, shutdown| match store {
        Behind::Postgres | Behind::Rest(_) | Behind::Bus(_) => bind(config, clock, shutdown).unwrap(),
        Behind::Memory(memory) => {
            let readiness = Readiness::without_database(StoreKind::Memory);
            bind_to(EventStore::Memory(memory.clone()), readiness, config, clock, shutdown).unwrap()
        }
    })
    .await
}

/// Runs an instance until its shutdown begins, and waits until it is ready.
pub(crate) async fn run(
    variables: &[(&str, String)],
    bind: impl FnOnce(Config, Shutdown) -> Ingest,
) -> (String, Shutdown) {
    let all = variables.iter().map(|(name, value)| (*name, &**value));
    let all = [("PORT", "0"), ("SEATPILOT_DRAIN_MS", "0")].into_iter().chain(all);
    let config = Environment::of(all).read(Config::read).unwrap();
    let shutdown = Shutdown::manual();
    let server = bind(config, shutdown.clone());
    let url = server.url();
    tokio::spawn(server.run());
    let began = Instant::now();
    while reqwest::get(format!("{url}/ready")).await.map_or(0, |response| response.status().as_u16()) != 200 {
        assert!(began.elapsed() < Duration::from_secs(20), "the service is not ready");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (url, shutdown)
}
