//! What this process needs from its environment.

use seatpilot_domain_model::TenantId;
use seatpilot_runtime::{
    DatabaseConfig, Environment, SecretString, ServiceConfig, ServiceDefaults, metrics_ingest_keys,
    metrics_tenants,
};

use crate::SERVICE;

/// The port in the contract's table.
const PORT: u16 = 8080;

/// The settings of metrics-api.
#[derive(Debug, Clone)]
pub struct Config {
    /// What all services share.
    pub service: ServiceConfig,
    /// The keys that open the door; while there is none, it stays shut.
    pub keys: Vec<SecretString>,
    /// The tenants that are known without a database.
    pub tenants: Vec<TenantId>,
    /// Where tenants are read from, if anywhere.
    pub database: Option<DatabaseConfig>,
}

impl Config {
    /// What it is where the environment says nothing.
    pub const DEFAULTS: ServiceDefaults = ServiceDefaults { service: SERVICE, port: PORT };

    /// Reads the environment. A database, where one is given, knows the tenants better than `METRICS_TENANT`.
    pub fn read(env: &mut Environment) -> Self {
        let service = ServiceConfig::read(env, Self::DEFAULTS);
        let keys = metrics_ingest_keys(env, service.deployment);
        let named = metrics_tenants(env);
        let database = DatabaseConfig::optional(env);
        let tenants = if database.is_some() { Vec::new() } else { named };
        Self { service, keys, tenants, database }
    }
}
