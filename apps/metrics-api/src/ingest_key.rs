//! Who may tell observations: whoever knows one of the keys of `METRICS_INGEST_KEY`.

use actix_web::HttpRequest;
use seatpilot_domain_model::Fault;
use seatpilot_http::single_header;
use seatpilot_runtime::SecretString;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The header that carries a key.
const HEADER: &str = "x-metrics-key";

/// The keys that open the door, several while they rotate. Only their hashes are kept: of one length, so that
/// a comparison tells nothing about a key's own.
pub(crate) struct IngestKeys(Vec<[u8; 32]>);

impl IngestKeys {
    pub(crate) fn new(keys: &[SecretString]) -> Self {
        Self(keys.iter().map(|key| Sha256::digest(key.expose_secret().as_bytes()).into()).collect())
    }

    /// Lets a request in that carries one of the keys.
    ///
    /// # Errors
    /// `unauthorized`, whatever is wrong: no key, two, a wrong one, or none that would open.
    pub(crate) fn check(&self, request: &HttpRequest) -> Result<(), Fault> {
        let offered = single_header(request, HEADER).ok().flatten();
        if offered.is_some_and(|key| self.opens(key)) { Ok(()) } else { Err(Fault::unauthorized()) }
    }

    fn opens(&self, key: &str) -> bool {
        let offered: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        // All of them, whichever matches.
        self.0.iter().fold(Choice::from(0), |any, own| any | own.ct_eq(&offered)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_opens_and_nothing_else_does() {
        let keys = IngestKeys::new(&["current-key".into(), "previous-key".into()]);
        assert!(keys.opens("current-key") && keys.opens("previous-key"));
        for wrong in ["", "current-ke", "current-keyy", "CURRENT-KEY", "current-key,previous-key"] {
            assert!(!keys.opens(wrong), "{wrong}");
        }
    }

    #[test]
    fn without_a_key_the_door_stays_shut() {
        let keys = IngestKeys::new(&[]);
        assert!(!keys.opens("") && !keys.opens("anything"));
    }
}
