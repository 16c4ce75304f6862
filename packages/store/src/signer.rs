//! Who signed a request: a key of the store, or a session key that comes of one.

use std::sync::Arc;

use seatpilot_domain_model::{KeyScope, TenantId};
use seatpilot_signing::{SessionKeyId, SessionScopes};
use uuid::Uuid;

use crate::SigningKey;

/// A key whose tag verified.
#[derive(Debug, Clone)]
pub struct Signer {
    key: Arc<SigningKey>,
    session: Option<SessionKeyId>,
}

impl Signer {
    pub(crate) fn new(key: Arc<SigningKey>, session: Option<SessionKeyId>) -> Self {
        Self { key, session }
    }

    /// Whose it is.
    pub fn tenant(&self) -> &TenantId {
        &self.key.tenant
    }

    /// Its id, as it stands in `x-key`: what nonces and events are known by.
    pub fn key_id(&self) -> &str {
        self.session.as_ref().map_or(&self.key.key_id, SessionKeyId::as_str)
    }

    /// The key in the store: itself, or its parent.
    pub fn stored(&self) -> &SigningKey {
        &self.key
    }

    /// Whether it may do this. A session key may not do what its parent may not.
    pub fn may(&self, scope: KeyScope) -> bool {
        self.key.scopes.contains(&scope) && self.session.as_ref().is_none_or(|id| grants(id.scopes(), scope))
    }

    /// The one session that it is for, where it is a session key.
    pub fn session(&self) -> Option<Uuid> {
        self.session.as_ref().map(|id| Uuid::from_bytes(id.session()))
    }
}

/// The session that a key is for, by its id alone; none where it is no session key.
pub(crate) fn session_of(key_id: &str) -> Option<Uuid> {
    SessionKeyId::parse(key_id).map(|id| Uuid::from_bytes(id.session()))
}

fn grants(scopes: SessionScopes, scope: KeyScope) -> bool {
    match (scopes, scope) {
        (SessionScopes::IngestAndArrive, KeyScope::Ingest | KeyScope::Arrive)
        | (SessionScopes::Ingest, KeyScope::Ingest)
        | (SessionScopes::Arrive, KeyScope::Arrive) => true,
        (SessionScopes::Ingest, KeyScope::Arrive) | (SessionScopes::Arrive, KeyScope::Ingest) => false,
    }
}
