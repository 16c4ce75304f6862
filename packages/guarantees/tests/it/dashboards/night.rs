//! A night on which every panel has something to show: guests by every channel, one who takes his time, refused
//! scans, events of every outcome, seats found, a restart, and an alert.

use std::time::Duration;

use reqwest::Client;
use seatpilot_guarantees::{LiveStack, METRICS_KEY, Pace, Service, Tools, Traffic};
use seatpilot_testkit::Evening;
use serde_json::{Value, json};
use uuid::Uuid;

/// Of these some are left when it is over.
const GUESTS: usize = 3_000;
const CHANNELS: [&str; 4] = ["mobile", "kiosk", "desk", "signage"];
/// More than any wait within here takes on a busy machine.
pub(super) const WITHIN: Duration = Duration::from_secs(90);

/// A house with its traffic.
pub(super) struct Night {
    pub(super) stack: LiveStack,
    /// The login that `dashboards/reader.sql` makes.
    pub(super) reader: String,
    _traffic: Traffic,
}

impl Night {
    /// Begins it, and waits until what takes its time has come about.
    pub(super) async fn begin(tools: Tools) -> Self {
        let stack = LiveStack::start(tools, Pace::Fast, GUESTS).await;
        let reader = reader(&stack.evening).await;
        // Gone for a moment, and back with another start time.
        stack.service(Service::MetricsApi).kill9();
        stack.service(Service::MetricsApi).start_again().await;
        let traffic = stack
            .light_traffic()
            // One in five refused is over every threshold.
            .and(stack.sender.every(Duration::from_millis(500), 8, 2));
        let night = Self { stack, reader, _traffic: traffic };
        let client = Client::new();
        for round in 0..3 {
            for (nth, channel) in CHANNELS.iter().enumerate() {
                night.guest(&client, channel, GUESTS - 1 - round * CHANNELS.len() - nth).await;
                night.seat_found(&client, channel).await;
            }
        }
        night.oddities(&client).await;
        night.has_come_about().await;
        night
    }

    /// From door to seat by a channel, with the last tickets of the list: the traffic uses up the first.
    async fn guest(&self, client: &Client, channel: &str, n: usize) {
        let (stack, evening) = (&self.stack, &self.stack.evening);
        let scan = json!({
            "scan_id": Uuid::now_v7(), "venue_id": evening.venue, "event_id": evening.event, "door_id": evening.door,
            "ticket": Evening::ticket(n), "channel": channel,
        });
        let url = format!("{}/api/checkin/success", stack.url(Service::Checkin));
        let sent = client.post(url).bearer_auth(&evening.device_token).json(&scan).send().await.unwrap();
        assert_eq!(sent.status(), 201, "by {channel}");
        let admitted: Value = sent.json().await.unwrap();
        let (status, _) = stack.guests.arrive(admitted["session_id"].as_str().unwrap()).await;
        assert_eq!(status, 201, "by {channel}");
    }

    /// Seating tells what it decided: nobody scrapes it.
    async fn seat_found(&self, client: &Client, channel: &str) {
        let found = json!({
            "tenant": self.stack.evening.tenant, "channel": channel, "duration_ms": 12.5, "feasible": true,
        });
        let url = format!("{}/observe/assign", self.stack.url(Service::MetricsApi));
        let sent = client.post(url).header("x-metrics-key", METRICS_KEY).json(&found).send().await.unwrap();
        assert_eq!(sent.status(), 204);
    }

    /// What happens now and then.
    async fn oddities(&self, client: &Client) {
        let (stack, evening) = (&self.stack, &self.stack.evening);
        assert_eq!(stack.guests.walk(Duration::from_secs(950)).await, (201, 201), "an outlier");
        let unknown = json!({
            "scan_id": Uuid::now_v7(), "venue_id": evening.venue, "event_id": evening.event, "door_id": evening.door,
            "ticket": "nobody's", "channel": "desk",
        });
        let url = format!("{}/api/checkin/success", stack.url(Service::Checkin));
        let refused =
            client.post(url).bearer_auth(&evening.device_token).json(&unknown).send().await.unwrap();
        assert_eq!(refused.status(), 404);
        let event = json!([{
            "id": Uuid::now_v7(), "type": "device.heartbeat", "venue_id": evening.venue, "data": {},
            "occurred_at": seatpilot_runtime::Clock::system().now().to_string(),
        }]);
        for _ in 0..2 {
            assert_eq!(
                stack.sender.send_bytes(event.to_string().into_bytes()).await,
                202,
                "and its duplicate"
            );
        }
    }

    async fn has_come_about(&self) {
        let positive = async |promql: &str| {
            self.stack.prometheus.wait_for(promql, |sample| sample.value > 0.0, WITHIN).await;
        };
        positive("sum(seatpilot_dlq_rows)").await;
        positive("sum(increase(seatpilot_door_to_seat_outliers_total[5m])) or sum(seatpilot_door_to_seat_outliers_total)").await;
        positive("count(ALERTS{alertstate=\"firing\"})").await;
        positive("max(seatpilot:assign_p95_5m)").await;
        // The longest windows are recorded last, and are 0 on a good night.
        for ratio in ["checkin_slow", "door_to_seat_late", "ingest_reject"] {
            positive(&format!("1 + max(seatpilot:{ratio}_ratio_6h)")).await;
        }
        if self.stack.node.is_some() {
            positive("count(node_filesystem_avail_bytes)").await;
        }
        positive("sum(rate(seatpilot_checkin_latency_seconds_count[4s]))").await;
        let outliers = "select coalesce(sum(outliers), 0)::bigint from telemetry.mv_kpi_door2seat";
        let since = std::time::Instant::now();
        while self.stack.evening.count(outliers).await == 0 {
            assert!(since.elapsed() < WITHIN, "the outlier is not in the KPI view");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// The login of a Grafana, by the script that operators run. `psql`'s own lines are left out, and its variables put
/// in: not every machine has it. Roles belong to the server, which other tests share: it has the database's name.
pub(crate) async fn reader(evening: &Evening) -> String {
    let login = format!("grafana_{}", evening.db.name());
    let path = seatpilot_guarantees::root().join("dashboards/reader.sql");
    let script = std::fs::read_to_string(path).unwrap();
    let statements: Vec<&str> = script.lines().filter(|line| !line.starts_with('\\')).collect();
    let statements = statements
        .join("\n")
        .replace(":'tenant'", &format!("'{}'", evening.tenant))
        .replace(":'login'", &format!("'{login}'"));
    evening.db.owner().await.batch_execute(&statements).await.unwrap();
    login
}

impl Drop for Night {
    /// The login outlives its database otherwise.
    fn drop(&mut self) {
        let (url, login) = (self.stack.evening.db.owner_url(), self.reader.clone());
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let _ = runtime.map(|runtime| {
                runtime.block_on(async {
                    let owner = seatpilot_testkit::connect(&url).await;
                    let drop_it = format!("drop role if exists {login}");
                    if let Ok(owner) = owner {
                        let _ = owner.batch_execute(&drop_it).await;
                    }
                })
            });
        });
        let _ = dropping.join();
    }
}
