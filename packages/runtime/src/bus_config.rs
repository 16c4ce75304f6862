//! The bus between instances that verify telemetry and those that write it: what `INGEST_BUS` and the variables beside it
//! come to.

use std::path::PathBuf;

use crate::{
    at_rest::{AtRest, AtRestKey},
    environment::Environment,
    secret::SecretString,
    store_config::StoreConfig,
    variable,
};

/// Most servers that are named.
const SERVERS_MAX: usize = 16;

/// What an instance does with the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusRole {
    /// It hands in what it verified, and writes what it takes off.
    Both,
    /// It hands in, and writes nothing.
    Verify,
    /// It writes what it takes off, and what comes to it by HTTP without a detour.
    Write,
}

/// Where the bus is, and what seals what goes over it.
#[derive(Debug, Clone)]
pub struct BusConfig {
    /// What this instance does with it.
    pub role: BusRole,
    /// The servers: `nats://host:port` or `tls://host:port`.
    pub servers: Vec<String>,
    /// User and password, where there is a login.
    pub login: Option<(String, SecretString)>,
    /// Certificates that are believed; none: those of the system.
    pub ca_file: Option<PathBuf>,
    /// What everything on the bus is sealed with: derived from these. Never none.
    pub keys: Vec<AtRestKey>,
}

impl BusConfig {
    /// None where no bus is asked for. What is returned beside a fault is a placeholder that [`Environment::finish`]
    /// keeps from being used.
    pub fn read(env: &mut Environment, store: &StoreConfig, at_rest: &AtRest) -> Option<Self> {
        let wanted = env.word(&variable::INGEST_BUS, &[("none", false), ("nats", true)], false);
        let roles = [("both", BusRole::Both), ("verify", BusRole::Verify), ("write", BusRole::Write)];
        let role = env.word(&variable::INGEST_BUS_ROLE, &roles, BusRole::Both);
        let expected = "nats://host:port or tls://host:port, separated by commas, without a user (NATS_USER and \
                        NATS_PASSWORD are for that)";
        let servers = env.list(&variable::NATS_URL, expected, server);
        let user = env.text(&variable::NATS_USER);
        let password = env.secret(&variable::NATS_PASSWORD);
        let ca_file = env.text(&variable::NATS_CA_FILE).map(PathBuf::from);
        if !wanted {
            return None;
        }
        match store {
            StoreConfig::Postgres(_) => {}
            StoreConfig::Rest(_) | StoreConfig::Memory => {
                env.fault(&variable::INGEST_BUS, "nats needs Postgres behind it: set DATABASE_URL");
            }
        }
        if at_rest.keys.is_empty() {
            env.fault(
                &variable::SEATPILOT_SECRETS_KEY_FILE,
                "is required by INGEST_BUS=nats: what goes over the bus is sealed with its keys",
            );
        }
        if servers.is_empty() || servers.len() > SERVERS_MAX {
            env.fault(
                &variable::NATS_URL,
                format!("is required by INGEST_BUS=nats: 1 to {SERVERS_MAX} servers"),
            );
        }
        let login = match (user, password) {
            (Some(user), Some(password)) => Some((user, password)),
            (None, None) => None,
            (Some(_), None) => {
                env.fault(&variable::NATS_PASSWORD, "is required beside NATS_USER");
                None
            }
            (None, Some(_)) => {
                env.fault(&variable::NATS_USER, "is required beside NATS_PASSWORD");
                None
            }
        };
        Some(Self { role, servers, login, ca_file, keys: at_rest.keys.clone() })
    }
}

fn server(text: &str) -> Option<String> {
    let authority = text.strip_prefix("nats://").or_else(|| text.strip_prefix("tls://"))?;
    let (host, port) = authority.rsplit_once(':')?;
    let good = !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port != 0);
    good.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{at_rest::AT_REST_KEY_BYTES, config::Deployment};

    const BUS: (&str, &str) = ("INGEST_BUS", "nats");
    const URL: (&str, &str) = ("NATS_URL", "nats://127.0.0.1:4222");
    const DATABASE: (&str, &str) = ("DATABASE_URL", "postgres://a:b@c/d");

    fn read_with(keys: usize, pairs: &[(&str, &str)]) -> Result<Option<BusConfig>, Vec<&'static str>> {
        let at_rest = AtRest {
            keys: (0..keys).map(|_| AtRestKey::new([1; AT_REST_KEY_BYTES])).collect(),
            ..AtRest::unsealed()
        };
        let read = Environment::of(pairs.iter().copied()).read(|env| {
            let store = StoreConfig::read(env, Deployment::Development, None);
            BusConfig::read(env, &store, &at_rest)
        });
        read.map_err(|faults| faults.iter().map(|fault| fault.variable).collect())
    }

    #[test]
    fn there_is_no_bus_unless_it_is_asked_for() {
        assert!(read_with(0, &[DATABASE]).unwrap().is_none());
        assert!(read_with(0, &[DATABASE, URL, ("INGEST_BUS", "none")]).unwrap().is_none());
        let bus = read_with(1, &[DATABASE, BUS, URL]).unwrap().unwrap();
        assert_eq!((bus.role, bus.servers.len(), bus.login.is_none()), (BusRole::Both, 1, true));
        let login = [("NATS_USER", "writer"), ("NATS_PASSWORD", "canary"), ("INGEST_BUS_ROLE", "write")];
        let all: Vec<_> = [DATABASE, BUS, ("NATS_URL", "tls://a.b:4222, nats://[::1]:4223")]
            .into_iter()
            .chain(login)
            .collect();
        let bus = read_with(1, &all).unwrap().unwrap();
        assert_eq!((bus.role, bus.servers.len()), (BusRole::Write, 2));
        assert!(!format!("{bus:?}").contains("canary"));
    }

    fn faults(keys: usize, pairs: &[(&str, &str)]) -> Vec<&'static str> {
        read_with(keys, pairs).map(|_| ()).unwrap_err()
    }

    #[test]
    fn every_fault_of_a_bus_is_named() {
        assert_eq!(faults(0, &[DATABASE, BUS]), ["SEATPILOT_SECRETS_KEY_FILE", "NATS_URL"]);
        let rest = [("SUPABASE_URL", "https://x"), ("SUPABASE_SERVICE_ROLE_KEY", "sb_secret_a"), BUS, URL];
        assert_eq!(faults(1, &rest), ["INGEST_BUS"]);
        assert_eq!(faults(1, &[DATABASE, BUS, URL, ("NATS_USER", "a")]), ["NATS_PASSWORD"]);
        assert_eq!(faults(1, &[DATABASE, BUS, URL, ("NATS_PASSWORD", "a")]), ["NATS_USER"]);
        assert_eq!(faults(1, &[DATABASE, ("INGEST_BUS", "kafka")]), ["INGEST_BUS"]);
        assert_eq!(faults(1, &[DATABASE, BUS, URL, ("INGEST_BUS_ROLE", "x")]), ["INGEST_BUS_ROLE"]);
        for url in
            ["127.0.0.1:4222", "nats://u:p@h:1", "nats://h", "nats://h:0", "http://h:1", "nats://h:1/x"]
        {
            assert_eq!(faults(1, &[DATABASE, BUS, ("NATS_URL", url)])[0], "NATS_URL", "{url}");
        }
    }
}
