//! The database stops, hangs, or is behind a line that swallows everything.

use std::time::Duration;

use seatpilot_guarantees::{Gate, Load, Process, Sender, Service, Vitals};
use seatpilot_testkit::{Cluster, Effort, Evening, TestDb, connect, own_cluster};
use tokio::time::{Instant, sleep, sleep_until};

use super::{Tried, has_vitals, ms, prove};

const SCANS_PER_SECOND: f64 = 40.0;
const BATCHES_PER_SECOND: f64 = 15.0;
/// All is well for so long, then the fault comes.
const BEFORE: Duration = Duration::from_secs(1);
/// All is well again for so long, at the end.
const AFTER: Duration = Duration::from_secs(7);
/// By then a process knows that its database hangs: a ping of 1 s every second, and what was sent before.
const NOTICED_WITHIN: Duration = Duration::from_millis(3_000);
const AT_ONCE: Duration = Duration::from_millis(500);
/// How often a process may try to reach its database while it is away. A core is no measure of that: the other side of
/// each attempt takes most of it.
const ATTEMPTS_PER_SECOND: f64 = 20.0;
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// What a gate waits, and a sender.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Stopped,
    Hung,
    BlackHole,
}

struct House {
    // First: the services end before their database.
    checkin: Process,
    ingest: Process,
    evening: Evening,
    cluster: Cluster,
}

impl House {
    async fn begin(&mut self, fault: Fault) {
        match fault {
            Fault::Stopped => self.cluster.stop_immediate().await,
            Fault::Hung => self.cluster.sigstop(),
            Fault::BlackHole => [&self.checkin, &self.ingest].into_iter().for_each(|at| at.wire.stall()),
        }
    }

    /// Returns when the database answers.
    async fn end(&mut self, fault: Fault) {
        match fault {
            Fault::Stopped => self.cluster.start_again().await.unwrap(),
            Fault::Hung => self.cluster.sigcont(),
            Fault::BlackHole => [&self.checkin, &self.ingest].into_iter().for_each(|at| at.wire.mend()),
        }
        while connect(&self.evening.db.owner_url()).await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_away_everybody_is_told_so_and_service_comes_back_by_itself() {
    if !has_vitals("G26") {
        return;
    }
    let (rounds, outage) = match Effort::of_run() {
        Effort::Quick => (1, Duration::from_secs(6)),
        Effort::Full => (10, Duration::from_secs(60)),
    };
    let folder = tempfile::Builder::new().prefix("seatpilot-outage-").tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let cluster = own_cluster(folder.path()).await;
    let guests = (SCANS_PER_SECOND * (BEFORE + outage + AFTER).as_secs_f64()) as usize + 1;
    let evening = Evening::on(TestDb::on(cluster.url("").trim_end_matches('/')).await, guests).await;
    let mut house = House {
        checkin: Process::start(Service::Checkin, &evening, &[]).await,
        ingest: Process::start(Service::TelemetryIngest, &evening, &[]).await,
        evening,
        cluster,
    };
    for _ in 0..rounds {
        for fault in [Fault::Stopped, Fault::Hung, Fault::BlackHole] {
            prove("G26", async || one(&mut house, fault, outage).await).await;
        }
    }
}

async fn one(house: &mut House, fault: Fault, outage: Duration) -> Tried {
    let gate = Gate::at(&house.evening, house.checkin.url(), Duration::from_secs(10));
    let evening = &house.evening;
    let sender =
        Sender::new(house.ingest.url(), &evening.key_id, &evening.key_secret, evening.venue.as_str());
    let vitals = [&house.checkin, &house.ingest].map(|process| Vitals::of(process.binary().pid()));
    let (began, lasting) = (Instant::now(), BEFORE + outage + AFTER);
    let scans = tokio::spawn(Load::open(SCANS_PER_SECOND, lasting, move |n| gate.scan(n)));
    let batches = tokio::spawn(Load::open(BATCHES_PER_SECOND, lasting, move |_| {
        let sender = sender.clone();
        async move { sender.send(1, 0).await }
    }));
    sleep_until(began + BEFORE).await;
    house.begin(fault).await;
    let (away, core_before) = (began.elapsed(), vitals.map(|of| of.core_time()));
    let wires = [&house.checkin.wire, &house.ingest.wire];
    let tried_before = wires.map(|wire| wire.connections());
    sleep_until(began + BEFORE + outage).await;
    let (ending, core_after) = (began.elapsed(), vitals.map(|of| of.core_time()));
    let tried = [0, 1].map(|at: usize| wires[at].connections() - tried_before[at]);
    let mut degraded = Vec::new();
    for process in [&house.checkin, &house.ingest] {
        let said = reqwest::get(format!("{}/ready", process.url())).await.unwrap();
        degraded.push((said.status().as_u16(), said.text().await.unwrap()));
    }
    house.end(fault).await;
    let back = began.elapsed();
    let loads =
        [("check-in", scans.await.unwrap(), PATIENCE.0), ("ingest", batches.await.unwrap(), PATIENCE.1)];

    for (status, ready) in degraded {
        hold!(status == 200 && ready.contains("degraded"), "{fault:?}: /ready was {status} {ready}");
    }
    let mut said = Vec::new();
    for (at, (name, load, patience)) in loads.iter().enumerate() {
        let answered = load.only(|shot| [201, 202, 409, 503].contains(&shot.status));
        hold!(answered.count() == load.count(), "{name}, {fault:?}: answers were {:?}", load.statuses());
        let meanwhile = load.between(away, ending);
        hold!(meanwhile.took(1.0) < *patience, "{name}, {fault:?}: one waited {:?}", meanwhile.took(1.0));
        // Who is caught by the hang itself waits for the deadline; a server that is gone is known at once.
        let known = if fault == Fault::Stopped { Duration::from_millis(200) } else { NOTICED_WITHIN };
        let later = load.between(away + known, ending);
        hold!(later.answered(503).count() == later.count(), "{name}, {fault:?}: {:?}", later.statuses());
        let p99 = later.took(0.99);
        hold!(p99 <= AT_ONCE, "{name}, {fault:?}: p99 was {p99:?} from {known:?} on");
        let last_refused = load.only(|shot| ![201, 202, 409].contains(&shot.status)).shots.last().copied();
        let again = last_refused.map_or(Duration::ZERO, |shot| shot.due).saturating_sub(back);
        hold!(
            again <= BACK_WITHIN,
            "{name}, {fault:?}: still refused {again:?} after the database was ready"
        );
        hold!(load.between(back + BACK_WITHIN, lasting).count() > 0, "{name}: nobody came afterwards");
        let lasted = (ending - away).as_secs_f64();
        let share = (core_after[at] - core_before[at]).as_secs_f64() / lasted;
        hold!(share <= 0.5, "{name}, {fault:?}: it used {share:.2} of a core");
        let tries = tried[at] as f64 / lasted;
        hold!(tries <= ATTEMPTS_PER_SECOND, "{name}, {fault:?}: it connected {tries:.0} times a second");
        said.push(format!(
            "{name} p99 {} ms, back after {} ms, {share:.2} of a core, {tries:.1} attempts a second",
            ms(p99),
            ms(again)
        ));
    }
    Ok(format!("{fault:?} for {} s at {SCANS_PER_SECOND}/s: {}", outage.as_secs(), said.join(", ")))
}
