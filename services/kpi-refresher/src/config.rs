//! What the environment says.

use std::time::Duration;

use seatpilot_runtime::{DatabaseConfig, Environment, ServiceConfig, ServiceDefaults, variable};

use crate::SERVICE;

/// How this process was asked to run.
#[derive(Debug)]
pub struct Config {
    /// What every service is told.
    pub service: ServiceConfig,
    /// The database, as role `seatpilot_kpi`.
    pub database: DatabaseConfig,
    /// Time from the beginning of one round of refreshes to the next.
    pub every: Duration,
}

impl Config {
    /// What it is where the environment says nothing.
    pub const DEFAULTS: ServiceDefaults = ServiceDefaults { service: SERVICE, port: 3400 };

    /// Reads it; faults are kept by the environment.
    pub fn read(env: &mut Environment) -> Self {
        Self {
            service: ServiceConfig::read(env, Self::DEFAULTS),
            database: DatabaseConfig::required(env),
            every: Duration::from_secs(env.integer(&variable::REFRESH_EVERY_SEC, 1..=3_600, 60)),
        }
    }
}
