//! The request and the answer as they stand on the wire.

use jiff::Timestamp;
use seatpilot_domain_model::{
    Admission, Channel, DoorId, EventId, Lang, PartySize, Profile, TicketCode, TicketHash, VenueId, member,
};
use seatpilot_venue_graph::Way;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

/// A scanned ticket.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scan {
    /// The idempotency key of this scan, within the tenant. `Idempotency-Key`, where sent, must equal it.
    #[serde(deserialize_with = "member::uuid")]
    pub(crate) scan_id: Uuid,
    #[schema(value_type = String, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    pub(crate) venue_id: VenueId,
    #[schema(value_type = String, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    pub(crate) event_id: EventId,
    #[schema(value_type = String, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    pub(crate) door_id: DoorId,
    /// The code exactly as scanned.
    #[schema(value_type = String, min_length = 1, max_length = 512)]
    pub(crate) ticket: TicketCode,
    /// What scanned it.
    #[schema(value_type = String, pattern = "^(mobile|kiosk|desk|signage)$")]
    pub(crate) channel: Channel,
    /// How many come; the ticket's number where it is left out.
    #[serde(default, deserialize_with = "member::present")]
    #[schema(value_type = Option<u8>, nullable = false, minimum = 1, maximum = 50)]
    pub(crate) party_size: Option<PartySize>,
    /// When it was scanned, within [now - 72 h, now + 5 min]; now where it is left out.
    #[serde(default, deserialize_with = "member::time")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub(crate) scanned_at: Option<Timestamp>,
    /// How the guest moves; the ticket's profile where it is left out, else `walk`.
    #[serde(default, deserialize_with = "member::present")]
    #[schema(value_type = Option<String>, nullable = false, pattern = "^(walk|step_free)$")]
    pub(crate) profile: Option<Profile>,
    /// The language of the way; `en` where it is left out.
    #[serde(default, deserialize_with = "member::present")]
    #[schema(value_type = Option<String>, nullable = false, pattern = "^(en|es)$")]
    pub(crate) lang: Option<Lang>,
}

impl Scan {
    /// SHA-256 over the members, each with its name and length: equal for the same scan however its JSON was
    /// written, and for no other. The ticket goes in as its hash, which the caller has already.
    pub(crate) fn fingerprint(&self, ticket: &TicketHash) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut add = |name: &str, value: &[u8]| {
            hash.update(name.as_bytes());
            hash.update((value.len() as u64).to_be_bytes());
            hash.update(value);
        };
        add("scan_id", self.scan_id.as_bytes());
        add("venue_id", self.venue_id.as_str().as_bytes());
        add("event_id", self.event_id.as_str().as_bytes());
        add("door_id", self.door_id.as_str().as_bytes());
        add("ticket", ticket.as_bytes());
        add("channel", self.channel.as_str().as_bytes());
        if let Some(size) = self.party_size {
            add("party_size", &[size.get()]);
        }
        if let Some(time) = self.scanned_at {
            add("scanned_at", &time.as_nanosecond().to_be_bytes());
        }
        if let Some(profile) = self.profile {
            add("profile", profile.as_str().as_bytes());
        }
        if let Some(lang) = self.lang {
            add("lang", lang.as_str().as_bytes());
        }
        hash.finalize().into()
    }
}

/// A guest who is in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Admitted<'a> {
    /// Always `admitted`.
    decision: &'static str,
    /// What arrival pings name.
    session_id: Uuid,
    scan_id: Uuid,
    ticket_id: Uuid,
    /// How many were admitted.
    party_size: u8,
    #[schema(required)]
    section: Option<&'a str>,
    #[schema(required)]
    table_id: Option<&'a str>,
    #[schema(required)]
    seat_id: Option<&'a str>,
    door_id: &'a str,
    #[schema(value_type = String, format = DateTime)]
    checked_in_at: Timestamp,
    /// From the door to the place, whenever map, places and a route are there. The one member that may differ when
    /// the same scan is answered again: it is the way that holds now.
    #[schema(required)]
    way: Option<Way>,
}

impl<'a> Admitted<'a> {
    pub(crate) fn new(scan_id: Uuid, admission: &'a Admission, way: Option<Way>) -> Self {
        Self {
            decision: "admitted",
            session_id: admission.session_id,
            scan_id,
            ticket_id: admission.ticket_id,
            party_size: admission.party_size,
            section: admission.section.as_ref().map(AsRef::as_ref),
            table_id: admission.table.as_ref().map(AsRef::as_ref),
            seat_id: admission.seat.as_ref().map(AsRef::as_ref),
            door_id: admission.door.as_str(),
            checked_in_at: admission.checked_in_at,
            way,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(change: &str) -> Scan {
        let body = format!(
            r#"{{"scan_id":"01900000-0000-7000-8000-000000000001","venue_id":"v","event_id":"e","door_id":"d","ticket":"t","channel":"kiosk"{change}}}"#
        );
        serde_json::from_str(&body).unwrap()
    }

    #[test]
    fn a_scan_is_another_one_when_any_member_differs() {
        let print = |change: &str| {
            let scan = scan(change);
            scan.fingerprint(&scan.ticket.hash())
        };
        let plain = print("");
        assert_eq!(plain, print(""));
        let others = [
            r#","party_size":2"#,
            r#","party_size":3"#,
            r#","scanned_at":"2026-11-22T19:30:00Z""#,
            r#","profile":"walk""#,
            r#","profile":"step_free""#,
            r#","lang":"en""#,
            r#","lang":"es""#,
        ];
        let mut seen = vec![plain];
        for other in others {
            let fingerprint = print(other);
            assert!(!seen.contains(&fingerprint), "{other}");
            seen.push(fingerprint);
        }
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        let size = |change: &str| scan(change).party_size.map(PartySize::get);
        assert_eq!(size(r#","party_size":2.0"#), Some(2));
        assert_eq!(size(r#","party_size":0.2e1"#), Some(2));
        let print = |change: &str| scan(change).fingerprint(&scan(change).ticket.hash());
        assert_eq!(print(r#","party_size":2.0"#), print(r#","party_size":2"#), "one and the same scan");
        for bad in ["2.5", "0", "0.0", "-1", "-1.0", "51", "51.0", "1e300", "\"2\"", "true"] {
            let body = format!(
                r#"{{"scan_id":"01900000-0000-7000-8000-000000000001","venue_id":"v","event_id":"e","door_id":"d","ticket":"t","channel":"kiosk","party_size":{bad}}}"#
            );
            assert!(serde_json::from_str::<Scan>(&body).is_err(), "{bad}");
        }
    }

    #[test]
    fn null_is_not_the_same_as_left_out() {
        for member in ["party_size", "scanned_at", "profile", "lang"] {
            let body = format!(
                r#"{{"scan_id":"01900000-0000-7000-8000-000000000001","venue_id":"v","event_id":"e","door_id":"d","ticket":"t","channel":"kiosk","{member}":null}}"#
            );
            assert!(serde_json::from_str::<Scan>(&body).is_err(), "{member}");
        }
    }
}
