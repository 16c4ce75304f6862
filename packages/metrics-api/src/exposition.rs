//! The registry of one process: which groups of families it holds, for which tenants, as text.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Instant,
};

use prometheus::{Registry, TextEncoder};
use seatpilot_domain_model::TenantId;

use crate::{
    ArrivalMetrics, BusMetrics, CheckinMetrics, HttpMetrics, IngestMetrics, KeyMetrics, KpiMetrics, OTHER,
    PoolReading, RefresherMetrics, SeatingMetrics, SpanReading, StoreKind, TENANTS_MAX, UsageMetrics,
    WriterMetrics, families,
    store::{PoolCollector, StoreInfo, WriterFamilies},
    text,
    traces::SpanCollector,
};

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Where the sliding windows take their time from.
pub(crate) type Ticks = Arc<dyn Fn() -> Instant + Send + Sync>;

/// The metrics of one process. Every group is registered when it is first asked for; ask at start.
pub struct Metrics {
    registry: Registry,
    ticks: Ticks,
    tenants: Mutex<BTreeSet<TenantId>>,
    http: HttpMetrics,
    checkin: OnceLock<Arc<CheckinMetrics>>,
    arrivals: OnceLock<Arc<ArrivalMetrics>>,
    bus: OnceLock<Arc<BusMetrics>>,
    ingest: OnceLock<Arc<IngestMetrics>>,
    keys: OnceLock<Arc<KeyMetrics>>,
    kpi: OnceLock<Arc<KpiMetrics>>,
    refresher: OnceLock<Arc<RefresherMetrics>>,
    usage: OnceLock<Arc<UsageMetrics>>,
    seating: OnceLock<Arc<SeatingMetrics>>,
    store: OnceLock<StoreInfo>,
    writers: OnceLock<WriterFamilies>,
    pools: OnceLock<PoolCollector>,
    traces: OnceLock<()>,
}

impl Metrics {
    /// The metrics of a service: `seatpilot_build_info`, `http_request_duration_seconds` and, on Linux,
    /// `process_*` are there at once.
    pub fn new(service: &str, version: &str) -> Self {
        Self::with_ticks(service, version, Instant::now)
    }

    /// As [`Metrics::new`], with a source of time for the windows of ten minutes.
    pub fn with_ticks(
        service: &str,
        version: &str,
        ticks: impl Fn() -> Instant + Send + Sync + 'static,
    ) -> Self {
        let registry = Registry::new();
        families::BUILD_INFO.gauges(&registry).with_label_values(&[service, version]).set(1.0);
        register_process(&registry);
        Self {
            http: HttpMetrics::register(&registry),
            registry,
            ticks: Arc::new(ticks),
            tenants: Mutex::default(),
            checkin: OnceLock::new(),
            arrivals: OnceLock::new(),
            bus: OnceLock::new(),
            ingest: OnceLock::new(),
            keys: OnceLock::new(),
            kpi: OnceLock::new(),
            refresher: OnceLock::new(),
            usage: OnceLock::new(),
            seating: OnceLock::new(),
            store: OnceLock::new(),
            writers: OnceLock::new(),
            pools: OnceLock::new(),
            traces: OnceLock::new(),
        }
    }

    fn tenants(&self) -> MutexGuard<'_, BTreeSet<TenantId>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives these tenants series of their own, at 0. To be called whenever the list was read; tenants that it
    /// no longer names keep their series until the process ends. Those beyond [`TENANTS_MAX`], and one that is
    /// called `other`, are counted under `other`.
    pub fn set_tenants(&self, tenants: &[TenantId]) {
        let mut known = self.tenants();
        for tenant in tenants {
            if known.len() < TENANTS_MAX && tenant.as_str() != OTHER {
                known.insert(tenant.clone());
            }
        }
        let known: Vec<TenantId> = known.iter().cloned().collect();
        if let Some(group) = self.checkin.get() {
            group.extend(&known);
        }
        if let Some(group) = self.arrivals.get() {
            group.extend(&known);
        }
        if let Some(group) = self.ingest.get() {
            group.extend(&known);
        }
        if let Some(group) = self.seating.get() {
            group.extend(&known);
        }
    }

    /// A group, registered for the tenants known so far if it is not there yet. The lock is held throughout,
    /// so that no tenant comes between list and group.
    fn group<T>(&self, cell: &OnceLock<Arc<T>>, register: impl FnOnce(&[TenantId]) -> T) -> Arc<T> {
        let tenants = self.tenants();
        let make = || Arc::new(register(&tenants.iter().cloned().collect::<Vec<_>>()));
        Arc::clone(cell.get_or_init(make))
    }

    /// Requests by route template.
    pub fn http(&self) -> &HttpMetrics {
        &self.http
    }

    /// Check-ins: their latency and its stages.
    pub fn checkin(&self) -> Arc<CheckinMetrics> {
        self.group(&self.checkin, |tenants| CheckinMetrics::register(&self.registry, &self.ticks, tenants))
    }

    /// Arrivals: door to seat.
    pub fn arrivals(&self) -> Arc<ArrivalMetrics> {
        self.group(&self.arrivals, |tenants| ArrivalMetrics::register(&self.registry, tenants))
    }

    /// What goes over the bus.
    pub fn bus(&self) -> Arc<BusMetrics> {
        self.group(&self.bus, |_| BusMetrics::register(&self.registry))
    }

    /// Telemetry events by outcome.
    pub fn ingest(&self) -> Arc<IngestMetrics> {
        self.group(&self.ingest, |tenants| IngestMetrics::register(&self.registry, tenants))
    }

    /// Signing keys that cannot be used.
    pub fn keys(&self) -> Arc<KeyMetrics> {
        self.group(&self.keys, |_| KeyMetrics::register(&self.registry))
    }

    /// How far the KPI views are behind.
    pub fn kpi(&self) -> Arc<KpiMetrics> {
        self.group(&self.kpi, |_| KpiMetrics::register(&self.registry))
    }

    /// What tenants used of their plans.
    pub fn usage(&self) -> Arc<UsageMetrics> {
        self.group(&self.usage, |_| UsageMetrics::register(&self.registry))
    }

    /// The refresher's beat, and the backlogs that it sees.
    pub fn refresher(&self) -> Arc<RefresherMetrics> {
        self.group(&self.refresher, |_| RefresherMetrics::register(&self.registry))
    }

    /// Seating decisions.
    pub fn seating(&self) -> Arc<SeatingMetrics> {
        self.group(&self.seating, |tenants| SeatingMetrics::register(&self.registry, &self.ticks, tenants))
    }

    /// Says which kind of store this process uses.
    pub fn set_store(&self, kind: StoreKind) {
        self.store.get_or_init(|| StoreInfo::register(&self.registry)).set(kind);
    }

    /// The series of a group-commit writer, by its name. How many rows wait for it is read at each scrape.
    pub fn writer(
        &self,
        name: &'static str,
        waiting: impl Fn() -> usize + Send + Sync + 'static,
    ) -> WriterMetrics {
        let writers = self.writers.get_or_init(|| WriterFamilies::register(&self.registry));
        writers.watch(name, waiting);
        writers.of(name)
    }

    /// Shows a connection pool, by its name; it is read at each scrape.
    pub fn watch_pool(&self, name: &'static str, read: impl Fn() -> PoolReading + Send + Sync + 'static) {
        self.pools.get_or_init(|| PoolCollector::register(&self.registry)).watch(name, read);
    }

    /// Shows the exporter of traces; it is read at each scrape. Once a process.
    pub fn watch_traces(&self, read: impl Fn() -> SpanReading + Send + Sync + 'static) {
        self.traces.get_or_init(|| SpanCollector::register(&self.registry, read));
    }

    /// Everything, in Prometheus' text format ([`CONTENT_TYPE`]).
    pub fn render(&self) -> String {
        if let Some(writers) = self.writers.get() {
            writers.read_depths();
        }
        let mut rendered = String::with_capacity(64 * 1024);
        text::encode(&self.registry.gather(), &mut rendered);
        rendered
    }

    /// The same by the library's own encoder: what [`Metrics::render`] is held against, by tests and by the benchmark.
    pub fn render_by_library(&self) -> String {
        if let Some(writers) = self.writers.get() {
            writers.read_depths();
        }
        let mut rendered = String::with_capacity(64 * 1024);
        // Fails on a family without a name or a child only, and the registry leaves those out.
        let encoded = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut rendered);
        debug_assert!(encoded.is_ok());
        rendered
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Memory, CPU seconds, files and threads of this process.
#[cfg(target_os = "linux")]
fn register_process(registry: &Registry) {
    let process = prometheus::process_collector::ProcessCollector::for_self();
    let registered = registry.register(Box::new(process));
    debug_assert!(registered.is_ok());
}

/// Only Linux has the files that this reads.
#[cfg(not(target_os = "linux"))]
fn register_process(_: &Registry) {}

/// A duration as it is observed, in seconds: nothing negative, no NaN, nothing over a day. One such value
/// would spoil a sum for good.
pub(crate) fn sane_seconds(seconds: f64) -> f64 {
    const DAY_SECONDS: f64 = 86_400.0;
    // `clamp` would let a NaN through.
    if seconds.is_nan() { 0.0 } else { seconds.clamp(0.0, DAY_SECONDS) }
}
