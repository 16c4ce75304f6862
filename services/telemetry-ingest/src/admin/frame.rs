//! What stands around every page: the house's name, the ways that a role may go, the way out.

use seatpilot_domain_model::AdminAction;
use seatpilot_http::admin::Session;

/// Every way there is, each with what it takes. A page adds its line here.
const WAYS: &[(&str, &str, AdminAction)] = &[
    ("/admin", "House", AdminAction::ReadDashboards),
    ("/admin/billing", "Bill", AdminAction::ReadBilling),
    ("/admin/dlq", "Dead letters (JSON)", AdminAction::ReadDeadLetters),
    ("/admin/audit", "Audit log (JSON)", AdminAction::ReadAudit),
];

/// The frame of a page, `admin/layout.html`.
pub(super) struct Frame {
    pub(super) person: Option<Person>,
    pub(super) links: Vec<Link>,
}

/// Who is logged in.
pub(super) struct Person {
    pub(super) csrf: String,
}

/// A way that this person may go.
pub(super) struct Link {
    pub(super) path: &'static str,
    pub(super) label: &'static str,
    pub(super) is_here: bool,
}

impl Frame {
    /// Around a page that needs no session.
    pub(super) fn of_nobody() -> Self {
        Self { person: None, links: Vec::new() }
    }

    /// Around a page at this path.
    pub(super) fn of(session: &Session, here: &str) -> Self {
        let role = session.who().role;
        let links = WAYS
            .iter()
            .filter(|(_, _, action)| role.may(*action))
            .map(|(path, label, _)| Link { path, label, is_here: *path == here })
            .collect();
        Self { person: Some(Person { csrf: session.csrf() }), links }
    }
}
