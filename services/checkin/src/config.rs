//! What the environment says.

use seatpilot_runtime::{DatabaseConfig, Environment, ServiceConfig, ServiceDefaults};

/// The configuration of `checkin`.
#[derive(Debug, Clone)]
pub struct Config {
    /// What every service has.
    pub service: ServiceConfig,
    /// The database, as role `seatpilot_checkin`.
    pub database: DatabaseConfig,
}

impl Config {
    /// What it is where the environment says nothing.
    pub const DEFAULTS: ServiceDefaults = ServiceDefaults { service: "checkin", port: 3100 };

    /// Reads it; faults are kept in the environment.
    pub fn read(env: &mut Environment) -> Self {
        Self { service: ServiceConfig::read(env, Self::DEFAULTS), database: DatabaseConfig::required(env) }
    }
}
