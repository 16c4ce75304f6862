//! Two instances of the service as processes on one database, which may be killed and come back.

use std::{path::Path, time::Duration};

use seatpilot_domain_model::{DeviceScope, DoorId};
use seatpilot_store::admin::Admin;
use seatpilot_testkit::{Binary, Evening};
use seatpilot_venue_graph::{PlaceKind, Venue};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::door::Reply;

/// How long a client waits for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

pub(crate) struct Instances {
    pub(crate) evening: Evening,
    pub(crate) doors: Vec<DoorId>,
    pub(crate) client: reqwest::Client,
    urls: [String; 2],
    processes: [Mutex<Binary>; 2],
    variables: [Vec<(String, String)>; 2],
}

impl Instances {
    pub(crate) async fn on(evening: Evening) -> Self {
        let variables = [free_port(), free_port()].map(|port| {
            let database = evening.db.url_as("seatpilot_checkin");
            let told = [("PORT", port.as_str()), ("DATABASE_URL", &database), ("LOG_LEVEL", "error")];
            told.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
        });
        let mut processes = [spawn(&variables[0]), spawn(&variables[1])];
        for process in &mut processes {
            process.ready().await;
        }
        let map = Venue::demo();
        let doors = map.places().iter().filter(|place| place.kind == PlaceKind::Door);
        Self {
            doors: doors.map(|door| door.id.parse().unwrap()).collect(),
            client: reqwest::Client::builder().timeout(ANSWER_MAX).build().unwrap(),
            urls: [processes[0].url().to_owned(), processes[1].url().to_owned()],
            processes: processes.map(Mutex::new),
            variables,
            evening,
        }
    }

    /// Of instance 0 or 1; any other number is taken as even or odd.
    pub(crate) fn url(&self, instance: usize) -> &str {
        &self.urls[instance % 2]
    }

    /// A scan of guest `n` that nobody made before.
    pub(crate) fn scan(&self, n: usize) -> Value {
        json!({
            "scan_id": Uuid::now_v7(), "venue_id": self.evening.venue, "event_id": self.evening.event,
            "door_id": self.doors[0], "ticket": Evening::ticket(n), "channel": "kiosk",
        })
    }

    /// Fails where the connection does, as it does when an instance is killed.
    pub(crate) async fn post(
        &self,
        instance: usize,
        token: &str,
        scan: &Value,
    ) -> Result<Reply, reqwest::Error> {
        let request = self.client.post(format!("{}/api/checkin/success", self.url(instance)));
        Reply::of(request.bearer_auth(token).body(scan.to_string()).send().await?).await
    }

    /// As [`post`](Self::post), with the evening's device, where no instance is killed.
    pub(crate) async fn send(&self, instance: usize, scan: &Value) -> Reply {
        self.post(instance, &self.evening.device_token, scan).await.unwrap()
    }

    /// SIGKILL, then the same again; what was under way is cut off.
    pub(crate) async fn kill_and_restart(&self, instance: usize) {
        let mut process = self.processes[instance].lock().await;
        process.kill9();
        *process = spawn(&self.variables[instance]);
        process.ready().await;
    }

    /// Tokens of so many devices without limits.
    pub(crate) async fn devices(&self, count: usize) -> Vec<String> {
        devices(&self.evening, &mut self.evening.admin().await, count).await
    }
}

/// Tokens of so many devices without limits.
pub(crate) async fn devices(evening: &Evening, admin: &mut Admin, count: usize) -> Vec<String> {
    let mut tokens = Vec::with_capacity(count);
    for _ in 0..count {
        let device = admin.add_device(&evening.tenant, "gate", &DeviceScope::default()).await.unwrap();
        tokens.push(device.token.expose_secret().clone());
    }
    tokens
}

fn spawn(variables: &[(String, String)]) -> Binary {
    let told: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (&**name, &**value)).collect();
    Binary::spawn_with(Path::new(env!("CARGO_BIN_EXE_checkin")), &[], &told)
}

fn free_port() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}
