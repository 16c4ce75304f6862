//! The services of one box: their binaries, ports, database roles, and what each is told.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
};

use crate::{failure::Failure, state::Urls};

/// A service that `up` starts, as a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Checkin,
    Wayfinding,
    TelemetryIngest,
    KpiRefresher,
    MetricsApi,
}

impl Service {
    /// All of them, in the order in which they are started.
    pub(super) const ALL: [Self; 5] =
        [Self::Checkin, Self::Wayfinding, Self::TelemetryIngest, Self::KpiRefresher, Self::MetricsApi];

    /// The binary, and what people call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Checkin => "checkin",
            Self::Wayfinding => "wayfinding",
            Self::TelemetryIngest => "telemetry-ingest",
            Self::KpiRefresher => "kpi-refresher",
            Self::MetricsApi => "metrics-api",
        }
    }

    /// Its port in the contract's table.
    fn port(self) -> u16 {
        match self {
            Self::Checkin => 3100,
            Self::Wayfinding => 3200,
            Self::TelemetryIngest => 3300,
            Self::KpiRefresher => 3400,
            Self::MetricsApi => 8080,
        }
    }

    /// Whether it verifies signatures, and so has to open the keys' secrets.
    pub(super) fn opens_keys(self) -> bool {
        match self {
            Self::Wayfinding | Self::TelemetryIngest => true,
            Self::Checkin | Self::KpiRefresher | Self::MetricsApi => false,
        }
    }

    /// The role that it logs in as.
    pub(super) fn role(self) -> &'static str {
        match self {
            Self::Checkin => "seatpilot_checkin",
            Self::Wayfinding => "seatpilot_wayfinding",
            Self::TelemetryIngest => "seatpilot_ingest",
            Self::KpiRefresher => "seatpilot_kpi",
            Self::MetricsApi => "seatpilot_metrics",
        }
    }
}

/// Which port each service listens on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports([u16; Service::ALL.len()]);

impl Ports {
    /// Those of the contract.
    ///
    /// # Errors
    /// Which one is in use.
    pub(super) fn fixed() -> Result<Self, Failure> {
        Self::taken(&Service::ALL.map(Service::port))
    }

    /// Free ones.
    ///
    /// # Errors
    /// Where the system has none.
    pub(super) fn free() -> Result<Self, Failure> {
        Self::taken(&[0; Service::ALL.len()])
    }

    /// All are held at the same time, so that no two free ones are the same, and let go together.
    fn taken(wanted: &[u16; Service::ALL.len()]) -> Result<Self, Failure> {
        let mut held = Vec::new();
        let mut ports = [0; Service::ALL.len()];
        for ((service, wanted), port) in Service::ALL.iter().zip(wanted).zip(&mut ports) {
            let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, *wanted));
            let listener = bound.map_err(|error| match error.kind() {
                std::io::ErrorKind::AddrInUse => Failure::new(format!(
                    "port {wanted} ({}) is in use: stop what listens there, or use --free-ports",
                    service.name()
                )),
                _ => Failure::new(format!("port {wanted} ({}): {error}", service.name())),
            })?;
            *port = listener.local_addr()?.port();
            held.push(listener);
        }
        Ok(Self(ports))
    }

    /// A service's port.
    pub(super) fn of(&self, service: Service) -> u16 {
        self.0[service as usize]
    }

    /// A service's base URL.
    pub(super) fn url(&self, service: Service) -> String {
        format!("http://127.0.0.1:{}", self.of(service))
    }

    /// As `state.json` names them.
    pub(super) fn urls(&self) -> Urls {
        Urls {
            checkin: self.url(Service::Checkin),
            wayfinding: self.url(Service::Wayfinding),
            telemetry_ingest: self.url(Service::TelemetryIngest),
            kpi_refresher: self.url(Service::KpiRefresher),
            metrics_api: self.url(Service::MetricsApi),
        }
    }
}

/// The binaries of all services, beside this one.
///
/// # Errors
/// Which one is missing, and how it is made.
pub(super) fn binaries() -> Result<[PathBuf; Service::ALL.len()], Failure> {
    let own = std::env::current_exe()?;
    let folder = own.parent().unwrap_or(Path::new("."));
    let found = Service::ALL.map(|service| folder.join(service.name()));
    match found.iter().find(|path| !path.is_file()) {
        None => Ok(found),
        Some(missing) => Err(Failure::new(format!(
            "{} is not built: run scripts/up.sh, or `cargo build --workspace --bins`",
            missing.display()
        ))),
    }
}

/// Variables that `up` decides, and their `_FILE` twins, which must not reach a service by inheritance.
const DECIDED: [&str; 14] = [
    "PORT",
    "BIND",
    "DATABASE_URL",
    "SUPABASE_DB_URL",
    "DATABASE_POOLER",
    "DATABASE_DIRECT_URL",
    "STORE",
    "SERVICE_NAME",
    "METRICS_INGEST_KEY",
    "SUPABASE_JWT_SECRET",
    "SUPABASE_JWKS_URL",
    "HMAC_TENANT_SECRET",
    "SEATPILOT_SECRETS_KEY_FILE",
    "FAULT_POINTS",
];

/// The names that are taken out of a service's environment before its own are put in.
pub(super) fn withheld() -> impl Iterator<Item = OsString> {
    DECIDED.into_iter().flat_map(|name| [OsString::from(name), OsString::from(format!("{name}_FILE"))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named_with_its_service() {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = held.local_addr().expect("an address").port();
        let why = Ports::taken(&[0, port, 0, 0, 0]).expect_err("in use").to_string();
        assert!(why.contains(&port.to_string()) && why.contains("wayfinding"), "{why}");
        let ports = Ports::free().expect("five ports");
        let mut distinct: Vec<u16> = Service::ALL.iter().map(|service| ports.of(*service)).collect();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), Service::ALL.len());
    }
}
