//! The nouns of SeatPilot, without async, IO or a clock: whatever needs one of those lives higher up.
//!
//! Every type here is *parsed*: a value that exists is inside its grammar. The wire contract
//! (`docs/contract.md`) is the source of each limit.

mod admin;
mod arrival;
mod billing;
mod checkin;
mod credential;
mod dead_letter;
mod event;
mod fault;
mod id;
pub mod member;
mod outcome;
pub mod strict_json;
mod time;
mod trace_parent;
mod vocabulary;
mod web_origin;

pub use admin::{AdminAction, Administrator, Role};
pub use arrival::{Arrival, ArrivalPing, ArrivalRefusal, DoorToSeat, OUTLIER_AFTER_SECONDS, Place};
pub use billing::{Entitlement, Feature, InvalidPeriod, Limit, LimitKind, Period};
pub use checkin::{
    Admission, CheckIn, PARTY_SIZE_MAX, PartySize, Refusal, ScanAnswer, TicketCode, TicketHash,
};
pub use credential::{Device, DeviceScope, KeyScope, KeyScopes, TokenHash};
pub use dead_letter::{
    DISCARD_REASON_MAX, DiscardOutcome, LetterState, REDRIVE_ATTEMPTS_MAX, RedriveOutcome, Skipped,
};
pub use event::{
    Batch, Bounds, DEAD_LETTER_BYTES_MAX, DEAD_LETTER_DETAIL_MAX, DeadLetter, ENVELOPE_SCHEMA,
    EVENT_BYTES_MAX, EVENT_TYPES, EVENTS_PER_REQUEST_MAX, Event, Item, Nonce, Receipt, Rejection, Shape,
    Submission, SubmitAnswer, event_schema, parse_event, parse_items,
};
pub use fault::{Fault, FaultCode, FieldError};
pub use id::{
    DoorId, EventId, InvalidSlug, NodeId, SLUG_MAX, SeatId, SectionId, SignId, TableId, TenantId, VenueId,
};
pub use outcome::{CountedOnly, Outcome, RejectReason};
pub use time::{InvalidTime, parse_rfc3339};
pub use trace_parent::{Hex, InvalidTraceParent, TraceParent};
pub use vocabulary::{Channel, Lang, Profile, Stage, UnknownWord, View};
pub use web_origin::{InvalidWebOrigin, WEB_ORIGIN_MAX, WebOrigin};
