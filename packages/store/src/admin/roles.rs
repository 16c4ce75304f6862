//! The logins of the services.

use seatpilot_runtime::SecretString;

use super::{Admin, AdminError};
use crate::connection::Target;

/// The roles that services log in as; migrations make them without a password.
pub const SERVICE_ROLES: &[&str] =
    &["seatpilot_checkin", "seatpilot_wayfinding", "seatpilot_ingest", "seatpilot_kpi", "seatpilot_metrics"];

impl Admin {
    /// Gives a service role its password. Only what a URL needs no escaping for is taken.
    ///
    /// # Errors
    /// [`AdminError::Refused`] for another role or a password outside `[A-Za-z0-9_-]{16,}`.
    pub async fn set_role_password(&mut self, role: &str, password: &SecretString) -> Result<(), AdminError> {
        let password = password.expose_secret();
        let plain = password.len() >= 16
            && password.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !SERVICE_ROLES.contains(&role) || !plain {
            return Err(AdminError::Refused(format!(
                "{role} is no service role, or its password has other characters than A-Z a-z 0-9 _ - or fewer than 16"
            )));
        }
        // The server is given the hash: a statement that fails stands in its log with all its text.
        let hash = postgres_protocol::password::scram_sha_256(password.as_bytes());
        // `alter role` takes no parameters; both parts are of a closed set of characters.
        let statement = format!("alter role {role} password '{hash}'");
        self.client().batch_execute(&statement).await?;
        Ok(())
    }

    /// Gives the role of a service's own database URL the password that stands in it, and answers with the role: so
    /// that the file a service reads is the only place where its password is kept.
    ///
    /// # Errors
    /// [`AdminError::Url`] for what is no URL; [`AdminError::Refused`] for one without user or password, and as
    /// [`Admin::set_role_password`].
    pub async fn set_login(&mut self, url: &SecretString) -> Result<String, AdminError> {
        let target = Target::parse(url, "seatpilot")?;
        let role = target.config().get_user().unwrap_or_default().to_owned();
        let password = target.config().get_password().and_then(|bytes| std::str::from_utf8(bytes).ok());
        let password = SecretString::from(password.unwrap_or_default());
        if role.is_empty() || password.expose_secret().is_empty() {
            return Err(AdminError::Refused("the URL names no user, or no password".to_owned()));
        }
        self.set_role_password(&role, &password).await?;
        Ok(role)
    }
}
