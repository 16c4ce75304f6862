//! The settings that several processes share, each read in one place and with one grammar.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use seatpilot_domain_model::TenantId;

use crate::{
    environment::Environment,
    guessable,
    logging::LogConfig,
    secret::{SecretBytes, SecretString},
    traces::TraceConfig,
    variable,
};

/// Fewest bytes of a signing secret: 128 bits.
const HMAC_SECRET_BYTES_MIN: usize = 16;
/// Most keys that `METRICS_INGEST_KEY` holds while they rotate.
const METRICS_KEYS_MAX: usize = 8;
/// Fewest characters of a metrics key in production.
const METRICS_KEY_CHARACTERS_MIN: usize = 16;
/// Most tenants that `METRICS_TENANT` names: beyond them labels would outgrow the series budget.
const METRICS_TENANTS_MAX: usize = 100;

/// Where a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deployment {
    /// A laptop, a test.
    Development,
    /// Real guests: short secrets and the memory store are refused.
    Production,
}

impl Deployment {
    /// `SEATPILOT_ENV`.
    pub fn read(env: &mut Environment) -> Self {
        let words = [("development", Self::Development), ("production", Self::Production)];
        env.word(&variable::SEATPILOT_ENV, &words, Self::Development)
    }
}

/// What a service is where the environment says nothing.
#[derive(Debug, Clone, Copy)]
pub struct ServiceDefaults {
    /// The binary's name.
    pub service: &'static str,
    /// Its port in the contract's table.
    pub port: u16,
}

/// What every process that serves HTTP needs.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// The binary's name, on `/health` and `/ready`.
    pub service: &'static str,
    /// The name in logs and traces.
    pub service_name: String,
    /// Address to listen on.
    pub bind: IpAddr,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// Where it runs.
    pub deployment: Deployment,
    /// How long it goes on serving after SIGTERM.
    pub drain: Duration,
    /// Logs.
    pub log: LogConfig,
    /// Traces.
    pub traces: TraceConfig,
}

impl ServiceConfig {
    /// Reads what all services share.
    pub fn read(env: &mut Environment, defaults: ServiceDefaults) -> Self {
        Self {
            service: defaults.service,
            service_name: env
                .parsed(&variable::SERVICE_NAME, "a name of 1 to 64 of A-Z a-z 0-9 . _ -", |text| {
                    text.parse::<TenantId>().ok().map(|_| text.to_owned())
                })
                .unwrap_or_else(|| defaults.service.to_owned()),
            bind: env.address(&variable::BIND, IpAddr::V4(Ipv4Addr::LOCALHOST)),
            port: env.port(&variable::PORT, defaults.port),
            deployment: Deployment::read(env),
            drain: Duration::from_millis(env.integer(&variable::SEATPILOT_DRAIN_MS, 0..=5_000, 5_000)),
            log: LogConfig::read(env),
            traces: TraceConfig::read(env),
        }
    }
}

/// The bootstrap key of a single-tenant box.
#[derive(Debug, Clone)]
pub struct HmacTenantSecret {
    /// Whose it is.
    pub tenant: TenantId,
    /// The key's id, `[A-Za-z0-9_-]{8,64}`.
    pub key_id: String,
    /// Its secret.
    pub secret: SecretBytes,
}

/// `HMAC_TENANT_SECRET`, `tenant:key_id:base64`.
pub fn hmac_tenant_secret(env: &mut Environment, deployment: Deployment) -> Option<HmacTenantSecret> {
    let expected = "tenant:key_id:base64, with a key id of 8 to 64 of A-Z a-z 0-9 _ - \
                    and a secret of 16 bytes or more in padded base64";
    let key = env.parsed(&variable::HMAC_TENANT_SECRET, expected, |text| {
        let mut parts = text.splitn(3, ':');
        let tenant = parts.next()?.parse().ok()?;
        let key_id = parts.next()?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !(8..=64).contains(&key_id.len()) || !key_id.bytes().all(allowed) {
            return None;
        }
        let secret = SecretBytes::new(STANDARD.decode(parts.next()?).ok()?);
        (secret.expose_secret().len() >= HMAC_SECRET_BYTES_MIN).then(|| HmacTenantSecret {
            tenant,
            key_id: key_id.to_owned(),
            secret,
        })
    });
    let is_weak = key.as_ref().is_some_and(|key| guessable::is_guessable(key.secret.expose_secret()));
    if deployment == Deployment::Production && is_weak {
        env.fault(&variable::HMAC_TENANT_SECRET, guessable::EXPECTED);
    }
    key
}

/// `METRICS_INGEST_KEY`; empty where it is not set, so that a caller which needs one says so itself.
pub fn metrics_ingest_keys(env: &mut Environment, deployment: Deployment) -> Vec<SecretString> {
    let shortest = match deployment {
        Deployment::Development => 1,
        Deployment::Production => METRICS_KEY_CHARACTERS_MIN,
    };
    let expected = format!(
        "1 to {METRICS_KEYS_MAX} keys separated by commas, each of {shortest} to 256 visible ASCII characters"
    );
    let keys = env.list(&variable::METRICS_INGEST_KEY, &expected, |item| {
        let visible = item.bytes().all(|byte| byte.is_ascii_graphic());
        (visible && (shortest..=256).contains(&item.len())).then(|| SecretString::from(item))
    });
    if keys.len() > METRICS_KEYS_MAX {
        env.fault(&variable::METRICS_INGEST_KEY, format!("must be {expected}"));
    }
    let is_weak = |key: &SecretString| guessable::is_guessable(key.expose_secret().as_bytes());
    if deployment == Deployment::Production && keys.iter().any(is_weak) {
        env.fault(&variable::METRICS_INGEST_KEY, guessable::EXPECTED);
    }
    keys
}

/// `METRICS_TENANT`: tenants that a metrics-api without database knows.
pub fn metrics_tenants(env: &mut Environment) -> Vec<TenantId> {
    let expected = format!("1 to {METRICS_TENANTS_MAX} tenant ids separated by commas");
    let tenants = env.list(&variable::METRICS_TENANT, &expected, |item| item.parse().ok());
    if tenants.len() > METRICS_TENANTS_MAX {
        env.fault(&variable::METRICS_TENANT, format!("must be {expected}"));
    }
    tenants
}
