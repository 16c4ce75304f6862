//! What a sender signs with.

use seatpilot_signing::{Key, MalformedHeader, Signature, sign_sp1};

/// Not a key: its id or its secret is not one. The secret is not shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// `x-key` has a grammar.
    #[error("the key's id must be 8 to 64 of [A-Za-z0-9_-]")]
    Id,
    /// Too short.
    #[error("the secret must have at least {} bytes", seatpilot_signing::SECRET_BYTES_MIN)]
    Secret,
    /// The text is not what was handed out.
    #[error("the secret must be base64")]
    Base64,
}

/// A key's id and its secret, which no `Debug` shows.
#[derive(Debug)]
pub struct SigningKey {
    id: String,
    key: Key,
}

impl SigningKey {
    /// From the secret's bytes.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn new(id: impl Into<String>, secret: &[u8]) -> Result<Self, BadKey> {
        let (id, key) = (id.into(), Key::new(secret).map_err(|_| BadKey::Secret)?);
        let grammar = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !(8..=64).contains(&id.len()) || !id.bytes().all(grammar) {
            return Err(BadKey::Id);
        }
        Ok(Self { id, key })
    }

    /// From the secret in base64, as `seatpilot key add` shows it.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn from_base64(id: impl Into<String>, secret: &str) -> Result<Self, BadKey> {
        Self::new(id, &decoded(secret.trim()).ok_or(BadKey::Base64)?)
    }

    pub(crate) fn sign(
        &self,
        path: &str,
        ts: i64,
        nonce: &str,
        body: &[u8],
    ) -> Result<Signature, MalformedHeader> {
        sign_sp1(&self.key, "POST", path, &self.id, ts, nonce, body)
    }
}

/// Standard base64 with its padding.
fn decoded(text: &str) -> Option<Vec<u8>> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.decode(text).ok()
}
