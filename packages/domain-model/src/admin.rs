//! People who administer a tenant: their role, and the closed table of what each role may do.

use serde_json::json;

use crate::{TenantId, vocabulary::words};

words!(
    /// What somebody is within a tenant. Each may do all that those before it may.
    Role {
        /// Looks at how the evening goes.
        Viewer = "viewer",
        /// Changes seats and events too.
        Editor = "editor",
        /// Runs the house: billing, dead letters, devices, keys.
        Admin = "admin",
        /// Answers for the tenant: roles, emergency revocation, the audit log.
        Owner = "owner",
    }
);

words!(
    /// What administrators do. Every route under `/admin` that is not open to all names one of these.
    AdminAction {
        /// KPIs, dashboards, the first page.
        ReadDashboards = "dashboards.read",
        /// The seat map, events, a check-in by hand and its undoing.
        EditSeating = "seating.edit",
        /// The bill, as a page and as CSV.
        ReadBilling = "billing.read",
        /// What was refused and kept.
        ReadDeadLetters = "dead_letters.read",
        /// Sending dead letters again, or giving them up.
        HandleDeadLetters = "dead_letters.handle",
        /// Feature flags.
        ManageFlags = "flags.manage",
        /// What scans and pings.
        ManageDevices = "devices.manage",
        /// A new secret for a signing key, the old one good for its grace.
        RotateKeys = "keys.rotate",
        /// Faults on purpose, to see an alert fire; never in production.
        InjectFaults = "faults.inject",
        /// Who has which role.
        ManageRoles = "roles.manage",
        /// Taking a key away at once.
        RevokeKeys = "keys.revoke",
        /// Deleting the tenant.
        DeleteTenant = "tenant.delete",
        /// The audit log.
        ReadAudit = "audit.read",
    }
);

impl AdminAction {
    /// The table: the least role that may do it. Roles contain each other, so one word says the whole row.
    pub const fn least_role(self) -> Role {
        match self {
            Self::ReadDashboards => Role::Viewer,
            Self::EditSeating => Role::Editor,
            Self::ReadBilling
            | Self::ReadDeadLetters
            | Self::HandleDeadLetters
            | Self::ManageFlags
            | Self::ManageDevices
            | Self::RotateKeys
            | Self::InjectFaults => Role::Admin,
            Self::ManageRoles | Self::RevokeKeys | Self::DeleteTenant | Self::ReadAudit => Role::Owner,
        }
    }
}

impl Role {
    /// Whether the role may do it.
    pub fn may(self, action: AdminAction) -> bool {
        self >= action.least_role()
    }
}

/// Somebody whose token verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Administrator {
    /// Whose house it is. Everything that is read or done is of this tenant.
    pub tenant: TenantId,
    /// What they are there.
    pub role: Role,
    /// The token's `sub`: at Supabase the user's id. A token may have none.
    pub subject: Option<String>,
}

impl Administrator {
    /// The claims as the database's policies read them: those that were verified and read here, under the names of
    /// the token. Written anew, never the token's own text, so that both sides can only see the same.
    pub fn claims(&self) -> String {
        json!({
            "aud": "authenticated",
            "role": "authenticated",
            "sub": self.subject,
            "app_metadata": { "tenant_id": self.tenant, "seatpilot_role": self.role },
        })
        .to_string()
    }

    /// The subject, or what stands for it where the token named none.
    pub fn name(&self) -> &str {
        self.subject.as_deref().unwrap_or("unnamed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as the guarantees write it down: viewer, editor, admin, owner.
    const TABLE: &[(AdminAction, [bool; 4])] = &[
        (AdminAction::ReadDashboards, [true, true, true, true]),
        (AdminAction::EditSeating, [false, true, true, true]),
        (AdminAction::ReadBilling, [false, false, true, true]),
        (AdminAction::ReadDeadLetters, [false, false, true, true]),
        (AdminAction::HandleDeadLetters, [false, false, true, true]),
        (AdminAction::ManageFlags, [false, false, true, true]),
        (AdminAction::ManageDevices, [false, false, true, true]),
        (AdminAction::RotateKeys, [false, false, true, true]),
        (AdminAction::InjectFaults, [false, false, true, true]),
        (AdminAction::ManageRoles, [false, false, false, true]),
        (AdminAction::RevokeKeys, [false, false, false, true]),
        (AdminAction::DeleteTenant, [false, false, false, true]),
        (AdminAction::ReadAudit, [false, false, false, true]),
    ];

    #[test]
    fn each_role_may_do_what_the_table_says_and_nothing_else() {
        assert_eq!(
            TABLE.iter().map(|(action, _)| *action).collect::<Vec<_>>(),
            AdminAction::ALL,
            "every action has its row"
        );
        for (action, allowed) in TABLE {
            for (role, allowed) in Role::ALL.iter().zip(allowed) {
                assert_eq!(role.may(*action), *allowed, "{role} {action}");
            }
        }
    }

    #[test]
    fn claims_carry_what_was_verified_and_nothing_else() {
        let who = Administrator {
            tenant: "acme".parse().unwrap(),
            role: Role::Owner,
            subject: Some("a\"b".to_owned()),
        };
        let claims: serde_json::Value = serde_json::from_str(&who.claims()).unwrap();
        assert_eq!(
            claims,
            json!({
                "aud": "authenticated", "role": "authenticated", "sub": "a\"b",
                "app_metadata": { "tenant_id": "acme", "seatpilot_role": "owner" },
            })
        );
    }
}
