//! A verified request as it lies in the stream: a head in JSON, then the bytes of its items as they were sent.
//!
//! Four bytes of the head's length (big end first), the head, and the parts that it names by their lengths, one after
//! the other. What a writer reads was sealed by one of us; it is held to its limits all the same, for a verifier may be
//! of another version.

use std::borrow::Cow;

use jiff::Timestamp;
use seatpilot_domain_model::{
    Channel, DEAD_LETTER_BYTES_MAX, DEAD_LETTER_DETAIL_MAX, DeadLetter, EVENT_BYTES_MAX, EVENT_TYPES,
    EVENTS_PER_REQUEST_MAX, Event, Item, Nonce, RejectReason, Submission, TenantId, VenueId,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Longest explanation of a dead letter in bytes: a character of UTF-8 has four at most.
const DETAIL_BYTES_MAX: usize = DEAD_LETTER_DETAIL_MAX * 4;
const SHA256_BYTES: usize = 32;

/// Where the answer goes: the instance that waits, and the number under which it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReturnTo {
    pub(crate) instance: Uuid,
    pub(crate) number: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head<'a> {
    return_to: ReturnTo,
    #[serde(borrow)]
    tenant: Cow<'a, str>,
    #[serde(borrow)]
    key_id: Cow<'a, str>,
    ts: i64,
    #[serde(borrow)]
    nonce: Cow<'a, str>,
    #[serde(borrow)]
    request_id: Cow<'a, str>,
    received_at: Timestamp,
    #[serde(borrow)]
    items: Vec<ItemHead<'a>>,
}

/// Closed words go by their place or name; bytes by their length.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum ItemHead<'a> {
    Event {
        id: Uuid,
        #[serde(borrow)]
        kind: Cow<'a, str>,
        at: Timestamp,
        #[serde(borrow)]
        venue: Cow<'a, str>,
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        channel: Option<Cow<'a, str>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<Uuid>,
        raw: usize,
    },
    Letter {
        #[serde(borrow)]
        reason: Cow<'a, str>,
        detail: usize,
        payload: usize,
        sent: usize,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Uuid>,
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        kind: Option<Cow<'a, str>>,
    },
}

/// The bytes of a request.
pub(crate) fn encode(submission: &Submission, return_to: ReturnTo) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::with_capacity(1 + submission.items.len());
    parts.push(&submission.nonce.body_sha256);
    let mut items = Vec::with_capacity(submission.items.len());
    for item in &submission.items {
        items.push(match item {
            Item::Event(event) => {
                parts.push(&event.raw);
                ItemHead::Event {
                    id: event.id,
                    kind: event.kind.into(),
                    at: event.occurred_at,
                    venue: event.venue.as_str().into(),
                    channel: event.channel.map(|channel| channel.as_str().into()),
                    session: event.session_id,
                    raw: event.raw.len(),
                }
            }
            Item::DeadLetter(letter) => {
                parts.extend([&letter.payload_sha256, letter.detail.as_bytes(), &*letter.payload]);
                ItemHead::Letter {
                    reason: letter.reason.as_str().into(),
                    detail: letter.detail.len(),
                    payload: letter.payload.len(),
                    sent: letter.payload_len,
                    id: letter.event_id,
                    kind: letter.event_type.map(Into::into),
                }
            }
        });
    }
    let head = Head {
        return_to,
        tenant: submission.tenant.as_str().into(),
        key_id: (&*submission.nonce.key_id).into(),
        ts: submission.nonce.ts,
        nonce: (&*submission.nonce.nonce).into(),
        request_id: (&*submission.request_id).into(),
        received_at: submission.received_at,
        items,
    };
    let mut bytes = vec![0; 4];
    // Strings, numbers and times: nothing that JSON could not hold.
    let written = serde_json::to_writer(&mut bytes, &head);
    debug_assert!(written.is_ok());
    let length = u32::try_from(bytes.len() - 4).unwrap_or(u32::MAX);
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    parts.into_iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// The request of these bytes; none where they are of another form.
pub(crate) fn decode(bytes: &[u8]) -> Option<(Submission, ReturnTo)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (head, mut parts) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let head: Head<'_> = serde_json::from_slice(head).ok()?;
    if head.items.is_empty() || head.items.len() > EVENTS_PER_REQUEST_MAX {
        return None;
    }
    let body_sha256 = sha256_of(&mut parts)?;
    let items: Option<Vec<Item>> = head.items.iter().map(|item| item_of(item, &mut parts)).collect();
    if !parts.is_empty() {
        return None;
    }
    let submission = Submission {
        tenant: head.tenant.parse::<TenantId>().ok()?,
        nonce: Nonce {
            key_id: head.key_id.into_owned(),
            ts: head.ts,
            nonce: head.nonce.into_owned(),
            body_sha256,
        },
        request_id: head.request_id.into_owned(),
        received_at: head.received_at,
        items: items?,
    };
    Some((submission, head.return_to))
}

fn part<'p>(parts: &mut &'p [u8], length: usize, max: usize) -> Option<&'p [u8]> {
    let (part, rest) = parts.split_at_checked(length).filter(|_| length <= max)?;
    *parts = rest;
    Some(part)
}

fn sha256_of(parts: &mut &[u8]) -> Option<[u8; SHA256_BYTES]> {
    part(parts, SHA256_BYTES, SHA256_BYTES)?.try_into().ok()
}

fn item_of(head: &ItemHead<'_>, parts: &mut &[u8]) -> Option<Item> {
    let known = |name: &str| EVENT_TYPES.iter().copied().find(|known| *known == name);
    Some(match head {
        ItemHead::Event { id, kind, at, venue, channel, session, raw } => Item::Event(Event {
            id: *id,
            kind: known(kind)?,
            occurred_at: *at,
            venue: venue.parse::<VenueId>().ok()?,
            session_id: *session,
            channel: match channel {
                Some(word) => Some(word.parse::<Channel>().ok()?),
                None => None,
            },
            raw: part(parts, *raw, EVENT_BYTES_MAX)?.into(),
        }),
        ItemHead::Letter { reason, detail, payload, sent, id, kind } => Item::DeadLetter(DeadLetter {
            reason: reason.parse::<RejectReason>().ok()?,
            payload_sha256: sha256_of(parts)?,
            detail: String::from_utf8(part(parts, *detail, DETAIL_BYTES_MAX)?.to_vec()).ok()?,
            payload: part(parts, *payload, DEAD_LETTER_BYTES_MAX)?.into(),
            payload_len: *sent,
            event_id: *id,
            event_type: match kind {
                Some(name) => Some(known(name)?),
                None => None,
            },
        }),
    })
}

#[cfg(test)]
mod tests {
    use seatpilot_domain_model::parse_items;

    use super::*;

    /// What a writer gets of a body that a verifier took apart.
    fn submission(body: &[u8]) -> Submission {
        let tenant: TenantId = "acme".parse().unwrap();
        let received_at: Timestamp = "2026-11-22T21:00:00.123456789Z".parse().unwrap();
        Submission {
            items: parse_items(body, &tenant, received_at).unwrap().items,
            tenant,
            nonce: Nonce {
                key_id: "acme_gate_01".into(),
                ts: 1_795_000_000,
                nonce: "nonce-00000000000000001".into(),
                body_sha256: [7; 32],
            },
            request_id: "a-\"request".into(),
            received_at,
        }
    }

    fn return_to() -> ReturnTo {
        ReturnTo { instance: Uuid::from_u128(7), number: u64::MAX }
    }

    const BODY: &str = r#"[
        {"id":"0190b6a0-0000-7000-8000-000000000001","type":"checkin.success","occurred_at":"2026-11-22T20:59:59Z",
         "venue_id":"arena","session_id":"0190b6a0-0000-7000-8000-000000000002","channel":"kiosk","data":{"latency_ms":12.5}},
        {"id":"0190b6a0-0000-7000-8000-000000000003","type":"device.heartbeat","occurred_at":"2026-11-22T20:59:59Z",
         "venue_id":"arena","data":{"x":"ñ\u0001 \"quoted\""}},
        {"id":"0190b6a0-0000-7000-8000-000000000004","type":"device.heartbeat","data":3},
        {"id":1,"id":2}, "ñ", 3
    ]"#;

    #[test]
    fn a_request_is_read_as_it_was_written_byte_for_byte() {
        let sent = submission(BODY.as_bytes());
        let events = sent.items.iter().filter(|item| matches!(item, Item::Event(_))).count();
        assert_eq!((sent.items.len(), events), (6, 2));
        let (read, to) = decode(&encode(&sent, return_to())).unwrap();
        assert_eq!(to, return_to());
        assert_eq!(
            (&read.tenant, &read.nonce, &read.request_id),
            (&sent.tenant, &sent.nonce, &sent.request_id)
        );
        assert_eq!(read.received_at, sent.received_at);
        for (one, other) in sent.items.iter().zip(&read.items) {
            match (one, other) {
                (Item::Event(one), Item::Event(other)) => {
                    assert_eq!(format!("{one:?}"), format!("{other:?}"));
                }
                (Item::DeadLetter(one), Item::DeadLetter(other)) => {
                    assert_eq!(
                        (one.reason, &one.detail, &one.payload, one.payload_len, one.payload_sha256),
                        (
                            other.reason,
                            &other.detail,
                            &other.payload,
                            other.payload_len,
                            other.payload_sha256
                        )
                    );
                    assert_eq!((one.event_id, one.event_type), (other.event_id, other.event_type));
                }
                (Item::Event(_), Item::DeadLetter(_)) | (Item::DeadLetter(_), Item::Event(_)) => {
                    panic!("{one:?} became {other:?}")
                }
            }
        }
    }

    #[test]
    fn what_is_cut_longer_or_over_a_limit_is_no_request() {
        let whole = encode(&submission(BODY.as_bytes()), return_to());
        for at in (0..whole.len()).step_by(7) {
            assert!(decode(&whole[..at]).is_none(), "{at}");
        }
        let mut longer = whole.clone();
        longer.push(0);
        assert!(decode(&longer).is_none());
        let mut none = submission(BODY.as_bytes());
        none.items.clear();
        assert!(decode(&encode(&none, return_to())).is_none());
        let mut many = submission(BODY.as_bytes());
        many.items = std::iter::repeat_n(many.items[0].clone(), 501).collect();
        assert!(decode(&encode(&many, return_to())).is_none());
    }

    #[test]
    fn the_largest_requests_fit_into_what_a_server_takes_by_default() {
        let item = |data: &str| {
            format!(
                r#"{{"id":"0190b6a0-0000-7000-8000-000000000001","type":"wayfinding.arrive_table","occurred_at":"2026-11-22T20:59:59Z","venue_id":"{}","session_id":"0190b6a0-0000-7000-8000-000000000002","channel":"signage","data":{{{data}}}}}"#,
                "v".repeat(64)
            )
        };
        let bodies = [
            // Events, and dead letters whose detail points at a long name.
            vec![item(r#""door_to_seat_seconds":1"#); 500],
            vec![item(&format!(r#""door_to_seat_seconds":1,"{}":1"#, "k".repeat(180))); 500],
            vec![format!(r#"{{"{}":1}}"#, "k".repeat(500)); 500],
            vec![format!(r#"{{"id":1,"{}":1,"{0}":1}}"#, "\\u0001".repeat(40)); 500],
            vec!["3".to_owned(); 500],
        ];
        for items in bodies {
            let body = format!("[{}]", items.join(","));
            assert!(body.len() <= 280 * 1024, "{}", body.len());
            let bytes = encode(&submission(body.as_bytes()), return_to()).len();
            assert!(bytes < crate::stream::PAYLOAD_BYTES_MIN - 1024, "{bytes} of {}", body.len());
        }
    }
}
