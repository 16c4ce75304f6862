//! What the environment says.

use seatpilot_runtime::{
    AdminAccess, DatabaseConfig, Environment, FaultPoints, ServiceConfig, ServiceDefaults,
};

/// The configuration of `checkin`.
#[derive(Debug, Clone)]
pub struct Config {
    /// What every service has.
    pub service: ServiceConfig,
    /// The database, as role `seatpilot_checkin`.
    pub database: DatabaseConfig,
    /// Who may inject faults; none where nobody may, and then the routes do not exist.
    pub fault_points: Option<AdminAccess>,
}

impl Config {
    /// What it is where the environment says nothing.
    pub const DEFAULTS: ServiceDefaults = ServiceDefaults { service: "checkin", port: 3100 };

    /// Reads it; faults are kept in the environment.
    pub fn read(env: &mut Environment) -> Self {
        let service = ServiceConfig::read(env, Self::DEFAULTS);
        let fault_points = match FaultPoints::read(env, service.deployment) {
            FaultPoints::Off => None,
            FaultPoints::On => Some(AdminAccess::read(env, service.deployment)),
        };
        Self { service, database: DatabaseConfig::required(env), fault_points }
    }
}
