//! Nothing that was acknowledged is lost, stored twice or stored by halves: G1 to G6 and G9, under real faults.
//!
//! Clients note on disk what they send and hear; what is in doubt they send again until it is answered. The verdict is
//! read from those notes and from the tables, by sets of ids.

mod bus;
mod conservation;
mod cuts;
mod disks;
mod kills;
mod rollbacks;
mod same_ids;
mod server_kills;
mod vanishing;

use std::path::Path;
use std::time::Duration;

use seatpilot_guarantees::{Client, Persistent, Process, Request, Service};
use seatpilot_testkit::{Doubts, Effort, Evening, TestDb, Verdict};
use tempfile::TempDir;
use tokio::sync::Mutex;

/// An evening with check-in, one or two telemetry-ingest, and clients that keep at it.
struct House {
    clients: Persistent,
    checkin: Process,
    ingest: Vec<Process>,
    evening: Evening,
    logs: TempDir,
    /// What is to be settled when the fault is over.
    later: Mutex<Vec<Request>>,
}

impl House {
    /// On a database, for so many guests, with so many instances of telemetry-ingest.
    async fn on(db: TestDb, guests: usize, instances: usize, more: &[(&'static str, String)]) -> Self {
        let evening = Evening::on(db, guests).await;
        let logs = tempfile::Builder::new().prefix("seatpilot-clients-").tempdir().unwrap();
        let checkin = Process::start(Service::Checkin, &evening, more).await;
        let mut ingest = Vec::new();
        let mut told = vec![
            // The crowd is of one key.
            ("INGEST_RATE_PER_SECOND", "100000".to_owned()),
            ("INGEST_RATE_BURST", "100000".to_owned()),
        ];
        told.extend_from_slice(more);
        for _ in 0..instances {
            ingest.push(Process::start(Service::TelemetryIngest, &evening, &told).await);
        }
        let urls: Vec<&str> = ingest.iter().map(Process::url).collect();
        let clients = Persistent::of(&evening, guests, logs.path(), &urls, &[checkin.url()]);
        Self { clients, checkin, ingest, evening, logs, later: Mutex::default() }
    }

    fn logs(&self) -> &Path {
        self.logs.path()
    }

    /// The verdict so far. Nobody may be writing.
    async fn verdict(&self) -> Verdict {
        Verdict::of(&self.evening, self.logs()).await
    }

    /// Whether the verdict is asked for after this round. What is lost stays lost, so a long run looks after one round in
    /// ten: each look reads all that was ever sent.
    fn looks_after(&self, round: usize) -> bool {
        round.is_multiple_of(by_effort(1, 10))
    }

    /// Keeps a request to be settled when the fault is over.
    async fn later(&self, request: Request) {
        self.later.lock().await.push(request);
    }

    /// Sends what was kept again, until each has its answer.
    async fn settle_later(&self, client: &mut Client) {
        for request in std::mem::take(&mut *self.later.lock().await) {
            client.push(request).await;
        }
    }

    async fn checkin_is_ready(&self) -> bool {
        let ready = reqwest::get(format!("{}/ready", self.checkin.url())).await;
        ready.is_ok_and(|answer| answer.status() == 200)
    }

    /// Waits until no statement of a service runs any more: what a killed service had sent is then decided.
    async fn quiet(&self) {
        let owner = self.evening.db.owner().await;
        let running = "select count(*) from pg_stat_activity
            where datname = current_database() and usename like 'seatpilot\\_%' and state <> 'idle'";
        for _ in 0..1_000 {
            if owner.query_one(running, &[]).await.unwrap().get::<_, i64>(0) == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("a statement runs for ten seconds");
    }

    /// The last verdict: every request has its answer, and every answer is true.
    async fn settled(&self) -> Verdict {
        let faults = self.clients.faults(&self.evening).await;
        assert!(
            faults.is_empty(),
            "{} answers were wrong: {:#?}",
            faults.len(),
            &faults[..faults.len().min(5)]
        );
        let verdict = self.verdict().await;
        assert_eq!(verdict.faults(Doubts::Settled), None);
        verdict
    }
}

/// One of two numbers, by what the run can afford.
fn by_effort<T>(quick: T, full: T) -> T {
    match Effort::of_run() {
        Effort::Quick => quick,
        Effort::Full => full,
    }
}

/// A folder that the server's account may enter.
pub(crate) fn open_folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("seatpilot-own-").tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    folder
}
