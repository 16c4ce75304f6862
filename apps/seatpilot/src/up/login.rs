//! The administrator of one box: the token of `state.json`, and the link that opens a browser's session once.

use seatpilot_domain_model::{Role, TenantId};
use seatpilot_runtime::SecretString;
use seatpilot_signing::{AdminSubject, sign_admin_token, sign_login_code};
use uuid::Uuid;

/// How long the token is good. Longer than any event and its clearing up; a new one is made at each start, and a box
/// that runs longer is started again once a month.
const ADMIN_TOKEN_SECONDS: i64 = 30 * 24 * 3600;

/// Somebody with role Admin, new at each start.
pub(super) struct Login<'a> {
    /// What signs administrators' tokens.
    pub(super) secret: &'a SecretString,
    /// Whose house it is.
    pub(super) tenant: &'a TenantId,
    /// The `sub` of both.
    pub(super) subject: Uuid,
}

impl Login<'_> {
    /// The token, from `now` in Unix seconds.
    pub(super) fn token(&self, now: i64) -> String {
        let subject = self.subject.to_string();
        sign_admin_token(self.key(), self.who(&subject), now, ADMIN_TOKEN_SECONDS)
    }

    /// The link, good for one login within ten minutes. `base` is telemetry-ingest's address, `id` was never used before.
    pub(super) fn link(&self, base: &str, id: Uuid, now: i64) -> String {
        let subject = self.subject.to_string();
        let code = sign_login_code(self.key(), self.who(&subject), &id.to_string(), now);
        format!("{base}/admin/login?code={code}")
    }

    fn key(&self) -> &[u8] {
        self.secret.expose_secret().as_bytes()
    }

    fn who<'s>(&'s self, subject: &'s str) -> AdminSubject<'s> {
        AdminSubject { tenant: self.tenant.as_str(), role: Role::Admin.as_str(), subject }
    }
}
