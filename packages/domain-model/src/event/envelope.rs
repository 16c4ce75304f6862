//! The members that every event has, from slices of the sender's text to typed values.
//!
//! The hand-written twin of `schemas/envelope.schema.json`, and of CloudEvents 1.0 in JSON, which calls the same members by
//! other names and has more of them. Which of the two an event is, it says itself, by `specversion`: the content type is
//! not signed, and whoever changed it on the way must not change what is stored.

use std::str::FromStr;

use jiff::Timestamp;
use uuid::Uuid;

use super::{Rejection, schema::Known};
use crate::{
    Channel, RejectReason, TenantId, VenueId, parse_rfc3339,
    strict_json::{Member, string},
};

/// The members of the envelope, typed.
pub(super) struct Envelope {
    pub(super) kind: Known,
    pub(super) id: Uuid,
    pub(super) occurred_at: Timestamp,
    pub(super) venue: VenueId,
    pub(super) session_id: Option<Uuid>,
    pub(super) channel: Option<Channel>,
    pub(super) tenant: Option<TenantId>,
    /// How its sender calls them.
    pub(super) names: &'static Names,
}

impl Envelope {
    /// Reads the members of an object without flaws, `type` before all others.
    ///
    /// A `type` that is missing or no string breaks the envelope's schema; only a text that is no type's name
    /// is `schema_unknown_type`.
    ///
    /// # Errors
    /// The first member that breaks the schema of the envelope or, last of all, of the type.
    pub(super) fn read(members: &[Member<'_>]) -> Result<Self, Rejection> {
        let names: &'static Names = match lone(members, "specversion") {
            None => &SEATPILOT,
            Some(_) => &CLOUD_EVENTS,
        };
        let mut slots = Slots::default();
        let mut stranger = false;
        for member in members {
            match slots.of(&member.key, names) {
                Some(slot) => *slot = Some(member.raw),
                None => stranger = true,
            }
        }
        let name = slots.kind.ok_or_else(|| required("type"))?;
        let name = string(name).ok_or_else(|| violation("/type", "must be a string"))?;
        let kind = Known::named(&name).ok_or_else(|| Rejection {
            reason: RejectReason::SchemaUnknownType,
            detail: "/type: must be a type that has a schema".to_owned(),
        })?;
        match names.form {
            Form::SeatPilot if stranger => {
                return Err(violation("", "must have no members beside data but those of the envelope"));
            }
            Form::SeatPilot => {}
            Form::CloudEvents => cloud_event(members)?,
        }
        let id = slots.id.ok_or_else(|| required("id"))?;
        let occurred_at = slots.occurred_at.ok_or_else(|| required(names.occurred_at))?;
        let venue = slots.venue_id.ok_or_else(|| required(names.venue))?;
        let data = slots.data.ok_or_else(|| required("data"))?;
        let envelope = Self {
            kind,
            id: uuid(id).ok_or_else(|| violation("/id", UUID))?,
            occurred_at: time(names.occurred_at, occurred_at)?,
            venue: parsed(names.venue, venue)?,
            session_id: slots
                .session_id
                .map(|raw| uuid(raw).ok_or_else(|| violation(&format!("/{}", names.session), UUID)))
                .transpose()?,
            channel: slots.channel.map(|raw| parsed("channel", raw)).transpose()?,
            tenant: slots.tenant_id.map(|raw| parsed(names.tenant, raw)).transpose()?,
            names,
        };
        if !data.starts_with('{') {
            return Err(violation("/data", "must be an object"));
        }
        let tree = serde_json::from_str(data).map_err(|_| unreadable())?;
        kind.check(&tree).map_err(|detail| Rejection { reason: RejectReason::SchemaViolation, detail })?;
        Ok(envelope)
    }
}

const UUID: &str = "must be a UUID";

/// How an event is written.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// As `schemas/envelope.schema.json` says.
    SeatPilot,
    /// CloudEvents 1.0, JSON event format.
    CloudEvents,
}

/// What the members are called that have another name in each form.
pub(super) struct Names {
    form: Form,
    pub(super) occurred_at: &'static str,
    venue: &'static str,
    pub(super) session: &'static str,
    pub(super) tenant: &'static str,
}

static SEATPILOT: Names = Names {
    form: Form::SeatPilot,
    occurred_at: "occurred_at",
    venue: "venue_id",
    session: "session_id",
    tenant: "tenant_id",
};

/// Extension attributes have lower-case letters and digits only (CloudEvents 1.0, section 3.1.1).
static CLOUD_EVENTS: Names = Names {
    form: Form::CloudEvents,
    occurred_at: "time",
    venue: "venueid",
    session: "sessionid",
    tenant: "tenantid",
};

/// Longest `source`, in bytes; nobody asks for it again.
const SOURCE_BYTES_MAX: usize = 2_048;

/// Holds an event to what CloudEvents demand and an event of ours does not have. Attributes that are not asked for are let
/// be, as their specification wants it.
fn cloud_event(members: &[Member<'_>]) -> Result<(), Rejection> {
    let text = |name: &str| lone(members, name).map(|raw| string(raw).unwrap_or_default());
    if text("specversion").as_deref() != Some("1.0") {
        return Err(violation("/specversion", "must be 1.0"));
    }
    let source = text("source").ok_or_else(|| required("source"))?;
    if source.is_empty() || source.len() > SOURCE_BYTES_MAX {
        return Err(violation("/source", &format!("must be a string of 1 to {SOURCE_BYTES_MAX} bytes")));
    }
    let json = |kind: &str| {
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        kind == "application/json" || kind == "text/json" || kind.ends_with("+json")
    };
    if text("datacontenttype").is_some_and(|kind| !json(&kind)) {
        return Err(violation("/datacontenttype", "must be JSON"));
    }
    for member in members {
        let attribute = member.key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if member.key == "data_base64" {
            return Err(violation("/data_base64", "must be data, as JSON"));
        }
        if member.key.is_empty() || !attribute {
            return Err(violation("", "must have no attribute but of lower-case letters and digits"));
        }
    }
    Ok(())
}

#[derive(Default)]
struct Slots<'a> {
    id: Option<&'a str>,
    kind: Option<&'a str>,
    occurred_at: Option<&'a str>,
    venue_id: Option<&'a str>,
    session_id: Option<&'a str>,
    channel: Option<&'a str>,
    tenant_id: Option<&'a str>,
    data: Option<&'a str>,
}

impl<'a> Slots<'a> {
    fn of(&mut self, key: &str, names: &Names) -> Option<&mut Option<&'a str>> {
        Some(match key {
            "id" => &mut self.id,
            "type" => &mut self.kind,
            "channel" => &mut self.channel,
            "data" => &mut self.data,
            key if key == names.occurred_at => &mut self.occurred_at,
            key if key == names.venue => &mut self.venue_id,
            key if key == names.session => &mut self.session_id,
            key if key == names.tenant => &mut self.tenant_id,
            _ => return None,
        })
    }
}

/// The id of an item, flawed or not, where there is exactly one.
pub(super) fn id_of(members: &[Member<'_>]) -> Option<Uuid> {
    lone(members, "id").and_then(uuid)
}

/// The type of an item, flawed or not, where there is exactly one and it has a schema.
pub(super) fn kind_of(members: &[Member<'_>]) -> Option<Known> {
    Known::named(&string(lone(members, "type")?)?)
}

fn lone<'a>(members: &[Member<'a>], key: &str) -> Option<&'a str> {
    let mut found = members.iter().filter(|member| member.key == key).map(|member| member.raw);
    found.next().filter(|_| found.next().is_none())
}

fn uuid(raw: &str) -> Option<Uuid> {
    // The hyphenated form only: the crate would also read braces and `urn:uuid:`.
    string(raw).filter(|text| text.len() == 36).and_then(|text| Uuid::try_parse(&text).ok())
}

fn time(member: &str, raw: &str) -> Result<Timestamp, Rejection> {
    let text = string(raw).unwrap_or_default();
    parse_rfc3339(&text).map_err(|rule| violation(&format!("/{member}"), &rule.to_string()))
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(member: &str, raw: &str) -> Result<T, Rejection> {
    let at = |rule: &str| violation(&format!("/{member}"), rule);
    let text = string(raw).ok_or_else(|| at("must be a string"))?;
    text.parse().map_err(|rule: T::Err| at(&rule.to_string()))
}

fn required(member: &str) -> Rejection {
    violation(&format!("/{member}"), "is required")
}

/// Breaks the schema at this place: pointer and rule, nothing of the sender's text.
pub(super) fn violation(pointer: &str, rule: &str) -> Rejection {
    let detail = if pointer.is_empty() { rule.to_owned() } else { format!("{pointer}: {rule}") };
    Rejection { reason: RejectReason::SchemaViolation, detail }
}

/// What the scanner took apart reads as JSON; if it ever does not, the item is refused and its neighbours stay.
fn unreadable() -> Rejection {
    Rejection { reason: RejectReason::JsonSyntax, detail: "/data: must be JSON".to_owned() }
}
