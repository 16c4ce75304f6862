//! What the environment says.

use seatpilot_runtime::{
    AtRest, DatabaseConfig, Environment, HmacTenantSecret, ServiceConfig, ServiceDefaults, hmac_tenant_secret,
};

/// The configuration of `wayfinding`.
#[derive(Debug, Clone)]
pub struct Config {
    /// What every service has.
    pub service: ServiceConfig,
    /// The database, as role `seatpilot_wayfinding`.
    pub database: DatabaseConfig,
    /// The bootstrap key of a single-tenant box, good for signed arrivals.
    pub bootstrap: Option<HmacTenantSecret>,
    /// What opens the keys of the database.
    pub at_rest: AtRest,
}

impl Config {
    /// What it is where the environment says nothing.
    pub const DEFAULTS: ServiceDefaults = ServiceDefaults { service: "wayfinding", port: 3200 };

    /// Reads it; faults are kept in the environment.
    pub fn read(env: &mut Environment) -> Self {
        let service = ServiceConfig::read(env, Self::DEFAULTS);
        Self {
            bootstrap: hmac_tenant_secret(env, service.deployment),
            at_rest: AtRest::read(env, service.deployment),
            service,
            database: DatabaseConfig::required(env),
        }
    }
}
