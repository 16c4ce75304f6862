//! What a simulated evening asks of the services, and how each answer must read.

use serde::Serialize;

/// One kind of question, named by the right answer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// A scan: 201, admitted.
    Admitted,
    /// The same scan again: 201, the first answer.
    Replayed,
    /// A scan at another door: 403 `wrong_door`.
    WrongDoor,
    /// A ticket that is in already: 409 `already_checked_in`.
    AlreadyIn,
    /// A ticket that nobody knows: 404 `ticket_unknown`.
    TicketUnknown,
    /// A first arrival: 201, with the seconds that the guest walked.
    Arrived,
    /// One after over 900 s: 201, `outlier`.
    Outlier,
    /// The same ping again: 200, the first answer.
    ArrivedAgain,
    /// A route: 200.
    RouteShown,
    /// No route that this guest can take: the map's own refusal.
    RouteRefused,
    /// An event of telemetry: `accepted`.
    EventAccepted,
    /// The same event again: `duplicate`.
    EventDuplicate,
    /// A bad event: `rejected`, and in the dead-letter queue.
    EventRejected,
}

impl Deed {
    /// All of them, in the order of the evening.
    pub const ALL: [Self; 13] = [
        Self::Admitted,
        Self::Replayed,
        Self::WrongDoor,
        Self::AlreadyIn,
        Self::TicketUnknown,
        Self::Arrived,
        Self::Outlier,
        Self::ArrivedAgain,
        Self::RouteShown,
        Self::RouteRefused,
        Self::EventAccepted,
        Self::EventDuplicate,
        Self::EventRejected,
    ];

    /// For a person.
    pub fn words(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Replayed => "same scan again, same answer",
            Self::WrongDoor => "refused: wrong door",
            Self::AlreadyIn => "refused: already in",
            Self::TicketUnknown => "refused: unknown ticket",
            Self::Arrived => "seated",
            Self::Outlier => "seated after over 15 minutes",
            Self::ArrivedAgain => "same ping again, same answer",
            Self::RouteShown => "ways shown",
            Self::RouteRefused => "ways that do not exist",
            Self::EventAccepted => "events accepted",
            Self::EventDuplicate => "events known already",
            Self::EventRejected => "events refused",
        }
    }
}
