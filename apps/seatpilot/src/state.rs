//! `state.json`: how the commands, scripts and tests find what `up` started (contract section 7). `up` writes
//! it, whole, when everything is ready; everybody else only reads it here.

use std::{fmt, io, path::Path};

use seatpilot_domain_model::{EventId, TenantId, VenueId};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The file's name inside the data directory.
pub const STATE_FILE: &str = "state.json";
/// The key file beside it, with which `up` seals the secrets of its private database.
pub const AT_REST_FILE: &str = "at-rest.keys";

/// Largest file that is read, in bytes: the real one has about two thousand.
const STATE_BYTES_MAX: u64 = 1 << 20;

/// What runs, where, and the credentials to use it. The file has mode 0600.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Where each service listens, without a slash at the end.
    pub urls: Urls,
    /// A superuser of the private cluster, or the `DATABASE_URL` that `up` was given.
    pub database_url: String,
    /// The tenant that was set up.
    pub tenant_id: TenantId,
    /// The venue that was loaded.
    pub venue_id: VenueId,
    /// The guest list's first event.
    pub event_id: EventId,
    /// A device of the tenant without limits; does not expire.
    pub device_token: String,
    /// A key with scopes `ingest` and `arrive`.
    pub ingest_key: IngestKey,
    /// What `x-metrics-key` takes.
    pub metrics_key: String,
    /// A JWT with role Admin.
    pub admin_token: String,
}

/// Base URLs of the services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Urls {
    /// Check-in.
    pub checkin: String,
    /// Wayfinding.
    pub wayfinding: String,
    /// Signed telemetry.
    pub telemetry_ingest: String,
    /// KPI refresher.
    pub kpi_refresher: String,
    /// Metrics API.
    pub metrics_api: String,
}

/// A signing key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestKey {
    /// What `x-key` carries.
    pub key_id: String,
    /// The secret bytes in standard base64.
    pub secret: String,
}

impl fmt::Debug for State {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("State")
            .field("urls", &self.urls)
            .field("tenant_id", &self.tenant_id)
            .field("venue_id", &self.venue_id)
            .field("event_id", &self.event_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for IngestKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("IngestKey").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl State {
    /// Reads `DIR/state.json`; `None` where there is none.
    ///
    /// # Errors
    /// [`Failure::Failed`] where there is one that cannot be read or is not `up`'s. The text never quotes it.
    pub fn read(data_dir: &Path) -> Result<Option<Self>, Failure> {
        let path = data_dir.join(STATE_FILE);
        let unusable = |why: &dyn fmt::Display| {
            Failure::new(format!(
                "{} cannot be used ({why}); remove it and run `seatpilot up` again",
                path.display()
            ))
        };
        match std::fs::metadata(&path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(unusable(&error)),
            Ok(facts) if facts.len() > STATE_BYTES_MAX => return Err(unusable(&"it is too large")),
            Ok(_) => {}
        }
        let bytes = std::fs::read(&path).map_err(|error| unusable(&error))?;
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            // serde's own message may quote a value, and the values are secrets: only the place is said.
            unusable(&format_args!("line {}, column {}", error.line(), error.column()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_without_state_is_no_error_and_a_broken_one_never_shows_its_secrets() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(State::read(dir.path()).expect("none is fine"), None);
        std::fs::write(dir.path().join(STATE_FILE), r#"{"urls": "canary-1"}"#).expect("written");
        let why = State::read(dir.path()).expect_err("not a state").to_string();
        assert!(why.contains("state.json") && !why.contains("canary"), "{why}");
    }
}
