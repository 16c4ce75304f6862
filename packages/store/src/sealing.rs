//! Secrets at rest: sealed with AES-256-GCM before they come to the database, opened where they are used.
//!
//! What is stored is `nonce (12 bytes) ‖ ciphertext ‖ tag (16 bytes)`. The place of a secret, `table|tenant|key|column`,
//! is authenticated with it: no name in it can hold a `|`, so no two places read alike, and a secret that somebody
//! copied to another row or column opens nowhere. Why so: `docs/adr/0008-secrets-at-rest.md`.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use seatpilot_domain_model::TenantId;
use seatpilot_runtime::{AT_REST_KEY_BYTES, AtRestKey, SecretBytes};
use sha2::{Digest, Sha256};

/// Bytes of a key's name: enough to tell the few keys of a file apart, and no help in finding one.
const NAME_BYTES: usize = 8;

/// The two columns that hold a key's secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Secret,
    PreviousSecret,
}

/// Where a secret rests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) key_id: &'a str,
    pub(crate) column: Column,
}

impl Place<'_> {
    fn text(&self) -> String {
        let column = match self.column {
            Column::Secret => "secret",
            Column::PreviousSecret => "previous_secret",
        };
        format!("ops.signing_keys|{}|{}|{column}", self.tenant, self.key_id)
    }
}

/// Why a secret could not be sealed or opened. Says nothing of the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealFault {
    /// None of the keys has the name that stands beside it.
    #[error("it was sealed with an at-rest key that is not in the key file")]
    OtherKey,
    /// It was not sealed with that key in this place, or somebody changed it.
    #[error("it does not open in its place: it was changed, or copied from another row")]
    Broken,
    /// It is not sealed, and must be.
    #[error("it is not sealed")]
    Plain,
    /// The cryptography gave out.
    #[error("it could not be sealed")]
    Unsealed,
}

/// Seals with the first of its keys, opens with all of them.
pub(crate) struct Sealing {
    first: SealKey,
    others: Vec<SealKey>,
}

struct SealKey {
    name: String,
    key: RandomizedNonceKey,
}

impl SealKey {
    fn new(key: &AtRestKey) -> Option<Self> {
        let bytes: &[u8; AT_REST_KEY_BYTES] = key.expose_secret();
        let name = Sha256::digest(bytes).iter().take(NAME_BYTES).map(|byte| format!("{byte:02x}")).collect();
        // Of 32 bytes every one is a key: the error has no occasion.
        Some(Self { name, key: RandomizedNonceKey::new(&AES_256_GCM, bytes).ok()? })
    }
}

impl Sealing {
    /// None without a key.
    pub(crate) fn new(keys: &[AtRestKey]) -> Option<Self> {
        let mut keys = keys.iter().filter_map(SealKey::new);
        Some(Self { first: keys.next()?, others: keys.collect() })
    }

    /// The name of the key that seals, as it stands beside what it sealed.
    pub(crate) fn name(&self) -> &str {
        &self.first.name
    }

    /// Seals a secret for its place.
    ///
    /// # Errors
    /// [`SealFault::Unsealed`].
    pub(crate) fn seal(&self, place: Place<'_>, secret: &SecretBytes) -> Result<Vec<u8>, SealFault> {
        let mut sealed = secret.expose_secret().clone();
        // Overwritten with the ciphertext, before anything else can fail.
        let aad = Aad::from(place.text());
        let nonce = self.first.key.seal_in_place_append_tag(aad, &mut sealed);
        let nonce = nonce.map_err(|_| SealFault::Unsealed)?;
        sealed.splice(0..0, nonce.as_ref().iter().copied());
        Ok(sealed)
    }

    /// Opens what was sealed for a place with the key of that name.
    ///
    /// # Errors
    /// [`SealFault::OtherKey`], [`SealFault::Broken`].
    pub(crate) fn open(&self, place: Place<'_>, name: &str, sealed: &[u8]) -> Result<SecretBytes, SealFault> {
        let mut keys = std::iter::once(&self.first).chain(&self.others);
        let found = keys.find(|key| key.name == name).ok_or(SealFault::OtherKey)?;
        let (nonce, ciphertext) = sealed.split_at_checked(NONCE_LEN).ok_or(SealFault::Broken)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealFault::Broken)?;
        let mut opened = ciphertext.to_vec();
        let plain = found.key.open_in_place(nonce, Aad::from(place.text()), &mut opened);
        let length = plain.map_err(|_| SealFault::Broken)?.len();
        opened.truncate(length);
        Ok(SecretBytes::new(opened))
    }
}

impl fmt::Debug for Sealing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = std::iter::once(&self.first).chain(&self.others).map(|key| &key.name);
        out.debug_list().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place<'a>(tenant: &'a TenantId, key_id: &'a str, column: Column) -> Place<'a> {
        Place { tenant, key_id, column }
    }

    #[test]
    fn what_was_sealed_opens_in_its_place_with_its_key_and_nowhere_else() {
        let [one, two] = [1, 2].map(|byte| AtRestKey::new([byte; AT_REST_KEY_BYTES]));
        let sealing = Sealing::new(&[one.clone(), two.clone()]).unwrap();
        let (acme, rival): (TenantId, TenantId) = ("acme".parse().unwrap(), "rival".parse().unwrap());
        let secret = SecretBytes::new(b"canary-canary-canary-canary-3210".to_vec());
        let here = place(&acme, "acme_gate_01", Column::Secret);
        let sealed = sealing.seal(here, &secret).unwrap();
        assert_eq!(sealed.len(), 32 + 28);
        assert!(!sealed.windows(6).any(|window| window == b"canary"));
        assert_ne!(sealing.seal(here, &secret).unwrap(), sealed, "a nonce came twice");

        // After the first key was changed: the second one's rows still open.
        let later = Sealing::new(&[two, one]).unwrap();
        for keys in [&sealing, &later] {
            let opened = keys.open(here, sealing.name(), &sealed).unwrap();
            assert_eq!(opened.expose_secret(), secret.expose_secret());
        }
        assert_eq!(sealing.open(here, later.name(), &sealed).unwrap_err(), SealFault::Broken);
        assert_eq!(sealing.open(here, "0123456789abcdef", &sealed).unwrap_err(), SealFault::OtherKey);

        for elsewhere in [
            place(&acme, "acme_gate_02", Column::Secret),
            place(&rival, "acme_gate_01", Column::Secret),
            place(&acme, "acme_gate_01", Column::PreviousSecret),
        ] {
            assert_eq!(sealing.open(elsewhere, sealing.name(), &sealed).unwrap_err(), SealFault::Broken);
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(sealing.open(here, sealing.name(), &changed).unwrap_err(), SealFault::Broken, "{at}");
            let cut = sealing.open(here, sealing.name(), &sealed[..at]);
            assert_eq!(cut.unwrap_err(), SealFault::Broken, "{at}");
        }
    }

    #[test]
    fn debug_shows_names_and_no_key() {
        let sealing = Sealing::new(&[AtRestKey::new([7; AT_REST_KEY_BYTES])]).unwrap();
        assert_eq!(format!("{sealing:?}"), format!("[{:?}]", sealing.name()));
        assert!(Sealing::new(&[]).is_none());
    }
}
