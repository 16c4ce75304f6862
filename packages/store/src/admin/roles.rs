//! The logins of the services.

use seatpilot_runtime::SecretString;

use super::{Admin, AdminError};

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
        // `alter role` takes no parameters; both parts are of a closed set of characters.
        let statement = format!("alter role {role} password '{password}'");
        self.client().batch_execute(&statement).await?;
        Ok(())
    }
}
