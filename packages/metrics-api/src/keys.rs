//! Signing keys that a process is asked for and cannot use.

use prometheus::{IntCounter, Registry};

use crate::families;

/// `seatpilot_keys_unreadable_total`, `seatpilot_session_keys_minted_total`.
pub struct KeyMetrics {
    unreadable: IntCounter,
    minted: IntCounter,
}

impl KeyMetrics {
    pub(crate) fn register(registry: &Registry) -> Self {
        let counters = families::KEYS_UNREADABLE_TOTAL.counters(registry);
        let minted = families::SESSION_KEYS_MINTED_TOTAL.counters(registry);
        Self {
            unreadable: counters.with_label_values::<&str>(&[]),
            minted: minted.with_label_values::<&str>(&[]),
        }
    }

    /// Counts a look-up of a key whose stored secret could not be opened.
    pub fn count_unreadable(&self) {
        self.unreadable.inc();
    }

    /// Counts a session key that was minted.
    pub fn count_minted(&self) {
        self.minted.inc();
    }
}
