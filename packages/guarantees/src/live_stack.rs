//! The house on an evening's database: five services, each as its own role over a line of its own, and what watches
//! them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use seatpilot_testkit::{Binary, Evening};
use tempfile::TempDir;

use crate::{
    Alertmanager, Guests, NodeExporter, Pace, Prometheus, Receiver, Sender, Shipped, Tools, Traffic, Wire,
    wiring,
};

/// The key of metrics-api's door.
pub const METRICS_KEY: &str = "metrics-key-of-the-tests";
/// What signs administrators' tokens.
pub const JWT_SECRET: &str = "the secret of administrators' tokens in the tests";

/// A service of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// Admits guests.
    Checkin,
    /// Shows the way and seats them.
    Wayfinding,
    /// Takes events.
    TelemetryIngest,
    /// Keeps the KPIs fresh.
    KpiRefresher,
    /// Takes what cannot be scraped.
    MetricsApi,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Checkin, Self::Wayfinding, Self::TelemetryIngest, Self::KpiRefresher, Self::MetricsApi];

    /// The binary, and its job in Prometheus.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Checkin => "checkin",
            Self::Wayfinding => "wayfinding",
            Self::TelemetryIngest => "telemetry-ingest",
            Self::KpiRefresher => "kpi-refresher",
            Self::MetricsApi => "metrics-api",
        }
    }

    /// Its port in the contract's table, by which the shipped configuration names it.
    pub(crate) const fn port(self) -> u16 {
        match self {
            Self::Checkin => 3100,
            Self::Wayfinding => 3200,
            Self::TelemetryIngest => 3300,
            Self::KpiRefresher => 3400,
            Self::MetricsApi => 8080,
        }
    }

    /// The role that it logs in as.
    pub const fn role(self) -> &'static str {
        match self {
            Self::Checkin => "seatpilot_checkin",
            Self::Wayfinding => "seatpilot_wayfinding",
            Self::TelemetryIngest => "seatpilot_ingest",
            Self::KpiRefresher => "seatpilot_kpi",
            Self::MetricsApi => "seatpilot_metrics",
        }
    }
}

/// A service as a process, with the line to its database.
pub struct Process {
    /// Its line to the database.
    pub wire: Wire,
    service: Service,
    url: String,
    variables: Vec<(&'static str, String)>,
    binary: Mutex<Binary>,
}

impl Process {
    /// One service on an evening's database, ready; `more` stands in its environment as well.
    pub async fn start(service: Service, evening: &Evening, more: &[(&'static str, String)]) -> Self {
        allow_open_files();
        let [port] = free_ports::<1>();
        let mut process = process(service, evening, Pace::Shipped, port, more).await;
        process.binary.get_mut().unwrap_or_else(PoisonError::into_inner).ready().await;
        process
    }

    /// Where it serves.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.binary().signal(signal);
    }

    /// Kills it at once.
    pub fn kill9(&self) {
        self.binary().kill9();
    }

    /// Starts it again after it was killed, at the same port, and waits until it is ready.
    pub async fn start_again(&self) {
        let mut again = spawn(self.service, &self.variables);
        again.ready().await;
        *self.binary() = again;
    }

    /// The process itself; not to be held while anybody waits for anything.
    pub fn binary(&self) -> MutexGuard<'_, Binary> {
        self.binary.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that runs in an evening, ended with the value.
pub struct LiveStack {
    /// What the processes were told, at which pace.
    pub pace: Pace,
    /// Prometheus, with the shipped rules.
    pub prometheus: Prometheus,
    /// Alertmanager, with the shipped routes.
    pub alertmanager: Alertmanager,
    /// Who gets the notifications.
    pub receiver: Receiver,
    /// node_exporter with a disk of its own; none where nothing may be mounted.
    pub node: Option<NodeExporter>,
    /// The guests of the evening.
    pub guests: Guests,
    /// The evening's own sender.
    pub sender: Sender,
    /// The database and who is in it.
    pub evening: Evening,
    services: BTreeMap<Service, Process>,
    // Last: what runs in it ends first.
    _folder: TempDir,
}

impl LiveStack {
    /// Starts all of it for an evening of so many guests, with what is shipped, and waits until Prometheus has
    /// scraped every service.
    pub async fn start(tools: Tools, pace: Pace, guests: usize) -> Self {
        Self::start_with(tools, pace, guests, Shipped::read()).await
    }

    /// As [`start`](Self::start), with other configurations than the shipped ones: a bug to be seen caught.
    pub async fn start_with(tools: Tools, pace: Pace, guests: usize, shipped: Shipped) -> Self {
        allow_open_files();
        let evening = Evening::of(guests).await;
        let folder = tempfile::Builder::new().prefix("seatpilot-house-").tempdir().expect("a folder");
        let [prometheus_port, alertmanager_port, node_port, ports @ ..] = free_ports::<8>();
        let mut services = BTreeMap::new();
        for (service, port) in Service::ALL.into_iter().zip(ports) {
            services.insert(service, process(service, &evening, pace, port, &[]).await);
        }
        for process in services.values_mut() {
            process.binary.get_mut().unwrap_or_else(PoisonError::into_inner).ready().await;
        }
        let receiver = Receiver::start();
        let node = NodeExporter::start(&tools, folder.path(), node_port).await;
        let wiring = wiring::Wiring {
            services: Service::ALL.iter().map(|service| service.port()).zip(ports).collect(),
            prometheus: prometheus_port,
            alertmanager: alertmanager_port,
            node: node.as_ref().map(|_| node_port),
        };
        let written = wiring.write(&shipped, pace, &receiver, folder.path());
        let alertmanager =
            Alertmanager::start(&tools, &written.alertmanager, folder.path(), alertmanager_port).await;
        let prometheus = Prometheus::start(&tools, &written.prometheus, folder.path(), prometheus_port).await;
        let url = |service| services[&service].url();
        let guests = Guests::of(&evening, guests, url(Service::Checkin), url(Service::Wayfinding));
        let sender = Sender::new(
            url(Service::TelemetryIngest),
            &evening.key_id,
            &evening.key_secret,
            evening.venue.as_str(),
        );
        let stack = Self {
            pace,
            prometheus,
            alertmanager,
            receiver,
            node,
            guests,
            sender,
            evening,
            services,
            _folder: folder,
        };
        let jobs = Service::ALL.map(Service::name).join("|");
        let scraped = format!("count(up{{job=~\"{jobs}\"}} == 1)");
        let all = Service::ALL.len() as f64;
        stack.prometheus.wait_for(&scraped, |sample| sample.value == all, Duration::from_secs(60)).await;
        stack
    }

    /// A service's process.
    pub fn service(&self, service: Service) -> &Process {
        &self.services[&service]
    }

    /// A service's address.
    pub fn url(&self, service: Service) -> &str {
        self.services[&service].url()
    }

    /// What an ordinary quarter of an hour looks like: a guest and a batch of events every half second, ways asked
    /// for and seats found in time.
    pub fn light_traffic(&self) -> Traffic {
        let pause = Duration::from_millis(500);
        self.guests.at_ease(pause).and(self.sender.every(pause, 5, 0))
    }
}

async fn process(
    service: Service,
    evening: &Evening,
    pace: Pace,
    port: u16,
    more: &[(&'static str, String)],
) -> Process {
    let url = evening.db.url_as(service.role());
    // scheme://role@host:port/database
    let (login, rest) = url.split_once('@').expect("a URL with a role");
    let (host, database) = rest.split_once('/').expect("a URL with a database");
    let target: SocketAddr = tokio::net::lookup_host(host)
        .await
        .ok()
        .and_then(|mut found| found.next())
        .unwrap_or_else(|| panic!("{host} has no address"));
    let wire = Wire::to(target).await;
    let mut variables = vec![
        ("PORT", port.to_string()),
        ("DATABASE_URL", format!("{login}@{}/{database}", wire.address())),
        ("SEATPILOT_DRAIN_MS", "0".to_owned()),
    ];
    if service == Service::KpiRefresher && pace == Pace::Fast {
        // As the windows are shortened, so is what happens in them.
        variables.push(("REFRESH_EVERY_SEC", "2".to_owned()));
    }
    if service == Service::Checkin {
        // Check-ins may be made slow, by an administrator.
        variables.push(("FAULT_POINTS", "on".to_owned()));
        variables.push(("SUPABASE_JWT_SECRET", JWT_SECRET.to_owned()));
    }
    if service == Service::MetricsApi {
        variables.push(("METRICS_INGEST_KEY", METRICS_KEY.to_owned()));
    }
    variables.extend_from_slice(more);
    let binary = Mutex::new(spawn(service, &variables));
    Process { wire, service, url: format!("http://127.0.0.1:{port}"), variables, binary }
}

fn spawn(service: Service, variables: &[(&'static str, String)]) -> Binary {
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Binary::spawn(service.name(), &variables)
}

/// A crowd is a connection each, here and in a service: as many as the machine lets us have, not a shell's 1,024. What
/// we start inherits it.
fn allow_open_files() {
    let limits = getrlimit(Resource::Nofile);
    let all = Rlimit { current: limits.maximum, maximum: limits.maximum };
    let _ = setrlimit(Resource::Nofile, all);
}

/// Ports that nobody listens on: held at the same time, so that no two are the same, and let go together.
fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    held.map(|listener| listener.local_addr().expect("an address").port())
}
