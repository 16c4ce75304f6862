//! What a process asks of its store.

use seatpilot_runtime::{Clock, DatabaseConfig, Deployment, Readiness};

/// What a process writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// Check-ins.
    CheckIns,
    /// Arrivals.
    Arrivals,
    /// Telemetry.
    Events,
    /// Telemetry that another process writes: what goes before is asked here, limits of plans included.
    EventsElsewhere,
    /// Nothing through a writer.
    Nothing,
}

/// What a process asks of its store.
#[derive(Debug)]
pub struct StoreSettings {
    /// Where it is, as the service's own role, and what stands in between.
    pub database: DatabaseConfig,
    /// The name that the server's log shows.
    pub application_name: String,
    /// What the process writes: one writer is started for it.
    pub writes: Writes,
    /// Whether the process keeps the published maps in memory.
    pub maps: Maps,
    /// Connections of the reading pool.
    pub pool_size: usize,
    /// Where the process runs: production refuses some databases, by `readiness`.
    pub deployment: Deployment,
    /// Moved as contact is made and lost.
    pub readiness: Readiness,
    /// The time.
    pub clock: Clock,
}

/// Whether a process keeps the published maps in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maps {
    /// All of them, compiled.
    Kept,
    /// None.
    NotKept,
}
