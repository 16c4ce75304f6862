//! What the environment says.

use std::{num::NonZeroU32, time::Duration};

use seatpilot_http::RatePolicy;
use seatpilot_runtime::{
    AdminAccess, AtRest, BusConfig, Environment, HmacTenantSecret, ServiceConfig, ServiceDefaults,
    StoreConfig, hmac_tenant_secret, variable,
};

/// What a telemetry-ingest is made of.
#[derive(Debug, Clone)]
pub struct Config {
    /// What all services share.
    pub service: ServiceConfig,
    /// Where the events go.
    pub store: StoreConfig,
    /// The bus between those who verify and those who write, where there is one.
    pub bus: Option<BusConfig>,
    /// The bootstrap key of a single-tenant box.
    pub bootstrap: Option<HmacTenantSecret>,
    /// What opens the keys of the database.
    pub at_rest: AtRest,
    /// How many requests a key may send.
    pub rate: RatePolicy,
    /// What verifies administrators' tokens.
    pub admin: AdminAccess,
}

impl Config {
    /// What it is where the environment says nothing.
    pub const DEFAULTS: ServiceDefaults = ServiceDefaults { service: "telemetry-ingest", port: 3300 };

    /// Reads all of it.
    pub fn read(env: &mut Environment) -> Self {
        let service = ServiceConfig::read(env, Self::DEFAULTS);
        let bootstrap = hmac_tenant_secret(env, service.deployment);
        let at_rest = AtRest::read(env, service.deployment);
        let store = StoreConfig::read(env, service.deployment, bootstrap.as_ref());
        Self {
            admin: AdminAccess::read(env, service.deployment),
            bus: BusConfig::read(env, &store, &at_rest),
            at_rest,
            store,
            bootstrap,
            service,
            rate: rate(env),
        }
    }
}

/// The window in which the rate is told to senders; a minute, as their limits are usually written.
const WINDOW_SECONDS: u32 = 60;

fn rate(env: &mut Environment) -> RatePolicy {
    let mut number =
        |variable, default| u32::try_from(env.integer(variable, 1..=1_000_000, default)).unwrap_or(u32::MAX);
    let per_second = number(&variable::INGEST_RATE_PER_SECOND, 2_000);
    let burst = number(&variable::INGEST_RATE_BURST, 4_000);
    let positive = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    RatePolicy {
        name: "ingest",
        quota: positive(per_second.saturating_mul(WINDOW_SECONDS)),
        window: Duration::from_secs(WINDOW_SECONDS.into()),
        burst: positive(burst),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_rate_is_generous() {
        let policy = Environment::of::<&str, &str>([]).read(rate).unwrap();
        assert_eq!((policy.quota.get(), policy.burst.get()), (120_000, 4_000));
        assert!(Environment::of([("INGEST_RATE_BURST", "0")]).read(rate).is_err());
    }

    #[test]
    fn a_store_is_required() {
        let faults = Environment::of::<&str, &str>([]).read(Config::read).unwrap_err();
        assert_eq!(faults.iter().map(|fault| fault.variable).collect::<Vec<_>>(), ["DATABASE_URL"]);
    }
}
