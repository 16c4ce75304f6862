//! What operators need to know of the way to the database: which kind of store, how full its writers' queues
//! and its pools are.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus::{
    GaugeVec, Histogram, HistogramVec, IntGauge, IntGaugeVec, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::{exposition::sane_seconds, families, family::registered};

/// Which kind of store a process uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// Postgres, by its own protocol.
    Postgres,
    /// Supabase, by REST.
    Supabase,
    /// This process' memory.
    Memory,
}

impl StoreKind {
    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Supabase => "supabase",
            Self::Memory => "memory",
        }
    }
}

/// `seatpilot_store_info`.
pub(crate) struct StoreInfo(GaugeVec);

impl StoreInfo {
    pub(crate) fn register(registry: &Registry) -> Self {
        Self(families::STORE_INFO.gauges(registry))
    }

    pub(crate) fn set(&self, kind: StoreKind) {
        self.0.reset();
        self.0.with_label_values(&[kind.as_str()]).set(1.0);
    }
}

/// The series of one group-commit writer.
#[derive(Clone)]
pub struct WriterMetrics {
    capacity: IntGauge,
    batch_rows: Histogram,
    flush_seconds: Histogram,
}

impl WriterMetrics {
    /// Says how many rows may wait.
    pub fn set_queue_capacity(&self, rows: usize) {
        self.capacity.set(i64::try_from(rows).unwrap_or(i64::MAX));
    }

    /// Observes a statement that committed so many rows in so many seconds.
    pub fn observe_flush(&self, rows: usize, seconds: f64) {
        self.batch_rows.observe(rows as f64);
        self.flush_seconds.observe(sane_seconds(seconds));
    }
}

type Depth = Box<dyn Fn() -> usize + Send + Sync>;

/// `seatpilot_writer_*`.
pub(crate) struct WriterFamilies {
    depth: IntGaugeVec,
    /// How deep each queue is now. Read when scraped: what is only told when a batch is through stands still
    /// while none gets through, which is when the queue fills.
    depths: Mutex<BTreeMap<&'static str, Depth>>,
    capacity: IntGaugeVec,
    batch_rows: HistogramVec,
    flush_seconds: HistogramVec,
}

impl WriterFamilies {
    pub(crate) fn register(registry: &Registry) -> Self {
        Self {
            depth: families::WRITER_QUEUE_DEPTH.int_gauges(registry),
            depths: Mutex::default(),
            capacity: families::WRITER_QUEUE_CAPACITY.int_gauges(registry),
            batch_rows: families::WRITER_BATCH_ROWS.histograms(registry),
            flush_seconds: families::WRITER_FLUSH_SECONDS.histograms(registry),
        }
    }

    pub(crate) fn of(&self, writer: &'static str) -> WriterMetrics {
        WriterMetrics {
            capacity: self.capacity.with_label_values(&[writer]),
            batch_rows: self.batch_rows.with_label_values(&[writer]),
            flush_seconds: self.flush_seconds.with_label_values(&[writer]),
        }
    }

    pub(crate) fn watch(&self, writer: &'static str, depth: impl Fn() -> usize + Send + Sync + 'static) {
        self.depths.lock().unwrap_or_else(PoisonError::into_inner).insert(writer, Box::new(depth));
    }

    /// Moves the gauges of the queues to now.
    pub(crate) fn read_depths(&self) {
        for (writer, depth) in &*self.depths.lock().unwrap_or_else(PoisonError::into_inner) {
            self.depth.with_label_values(&[writer]).set(i64::try_from(depth()).unwrap_or(i64::MAX));
        }
    }
}

/// A pool at one moment, in connections and in requests that wait for one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolReading {
    /// Connections that nobody uses.
    pub idle: usize,
    /// Connections that somebody uses.
    pub in_use: usize,
    /// Connections that there may be.
    pub max: usize,
    /// Requests that wait.
    pub waiting: usize,
}

type Read = Arc<dyn Fn() -> PoolReading + Send + Sync>;

/// `seatpilot_db_pool_*`, read from the pools when scraped: what changes by itself is not copied about.
#[derive(Clone)]
pub(crate) struct PoolCollector {
    pools: Arc<Mutex<BTreeMap<&'static str, Read>>>,
    connections: IntGaugeVec,
    connections_max: IntGaugeVec,
    waiting: IntGaugeVec,
}

impl PoolCollector {
    pub(crate) fn register(registry: &Registry) -> Self {
        // The gauges are collected through this collector only, so they live in a registry of their own.
        let own = Registry::new();
        let collector = Self {
            pools: Arc::default(),
            connections: families::DB_POOL_CONNECTIONS.int_gauges(&own),
            connections_max: families::DB_POOL_CONNECTIONS_MAX.int_gauges(&own),
            waiting: families::DB_POOL_WAITING.int_gauges(&own),
        };
        registered(registry, Ok(collector))
    }

    pub(crate) fn watch(&self, pool: &'static str, read: impl Fn() -> PoolReading + Send + Sync + 'static) {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).insert(pool, Arc::new(read));
    }
}

impl Collector for PoolCollector {
    fn desc(&self) -> Vec<&Desc> {
        [&self.connections, &self.connections_max, &self.waiting]
            .into_iter()
            .flat_map(Collector::desc)
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (pool, read) in pools {
            let reading = read();
            let set = |gauge: IntGauge, value: usize| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            set(self.connections.with_label_values(&[pool, "idle"]), reading.idle);
            set(self.connections.with_label_values(&[pool, "in_use"]), reading.in_use);
            set(self.connections_max.with_label_values(&[pool]), reading.max);
            set(self.waiting.with_label_values(&[pool]), reading.waiting);
        }
        [&self.connections, &self.connections_max, &self.waiting]
            .into_iter()
            .flat_map(Collector::collect)
            .collect()
    }
}
