//! What the store in memory holds, and for how long it owes it.

use std::collections::{BTreeMap, HashMap, VecDeque, hash_map::Entry};

use jiff::{SignedDuration, Timestamp};
use seatpilot_domain_model::{
    Item, Nonce, Outcome, Receipt, RejectReason, Submission, SubmitAnswer, TenantId,
};
use uuid::Uuid;

use super::identity::Identity;
use crate::Error;

/// A nonce is remembered so long after the second that was signed.
const NONCE_SECONDS: i64 = 660;
/// An id with its event, and a dead letter, after the receipt.
const EVENT_KEPT: SignedDuration = SignedDuration::from_hours(40 * 24);
const LETTER_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// What an entry costs beside the bytes that were sent: keys, maps, queues. Rather too much than too little.
const ENTRY_BYTES: usize = 512;
/// What an outcome costs that is remembered.
const OUTCOME_BYTES: usize = 8;

/// An event that was accepted.
#[derive(Debug, Clone)]
pub struct KeptEvent {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its id.
    pub id: Uuid,
    /// Its type.
    pub kind: &'static str,
    /// The id of the key that signed it.
    pub key_id: String,
    /// When it came.
    pub received_at: Timestamp,
    /// The event, bytes as sent.
    pub raw: Box<[u8]>,
}

/// An item that was refused.
#[derive(Debug, Clone)]
pub struct KeptLetter {
    /// Whose it is.
    pub tenant: TenantId,
    /// Why.
    pub reason: RejectReason,
    /// What exactly.
    pub detail: String,
    /// The id of the key that signed it.
    pub key_id: String,
    /// The request that it came by.
    pub request_id: String,
    /// When it came.
    pub received_at: Timestamp,
    /// The item's id, where it could be read.
    pub event_id: Option<Uuid>,
    /// The item's type, where it has a schema.
    pub event_type: Option<&'static str>,
    /// The bytes as sent, or the first of them.
    pub payload: Box<[u8]>,
    /// How many were sent.
    pub payload_len: usize,
}

struct Used {
    body_sha256: [u8; 32],
    outcomes: Vec<Outcome>,
}

/// Ordered by the signed second, so that what expires first is first.
type NonceKey = (i64, String, String);

pub(super) struct Shelf {
    nonces: BTreeMap<NonceKey, Used>,
    ids: HashMap<(TenantId, Uuid), Identity>,
    events: VecDeque<KeptEvent>,
    letters: VecDeque<KeptLetter>,
    bytes: usize,
    bytes_max: usize,
}

impl Shelf {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            nonces: BTreeMap::new(),
            ids: HashMap::new(),
            events: VecDeque::new(),
            letters: VecDeque::new(),
            bytes: 0,
            bytes_max,
        }
    }

    pub(super) fn events(&self) -> Vec<KeptEvent> {
        self.events.iter().cloned().collect()
    }

    pub(super) fn letters(&self) -> Vec<KeptLetter> {
        self.letters.iter().cloned().collect()
    }

    pub(super) fn nonces(&self) -> usize {
        self.nonces.len()
    }

    pub(super) fn knows_nonce(&mut self, nonce: &Nonce, now: Timestamp) -> bool {
        self.let_go(now);
        self.nonces.contains_key(&key_of(nonce))
    }

    /// All of a request, or nothing of it.
    pub(super) fn put(
        &mut self,
        submission: Submission,
        identities: &[Option<Identity>],
        now: Timestamp,
    ) -> Result<SubmitAnswer, Error> {
        self.let_go(now);
        let Submission { tenant, nonce, request_id, received_at, items } = submission;
        if let Some(used) = self.nonces.get(&key_of(&nonce)) {
            if used.body_sha256 != nonce.body_sha256 {
                return Ok(SubmitAnswer::NonceReused);
            }
            let receipt = |(item, outcome): (&Item, &Outcome)| Receipt { id: item.id(), outcome: *outcome };
            return Ok(SubmitAnswer::Replayed(items.iter().zip(&used.outcomes).map(receipt).collect()));
        }
        // Counted as if all of it were new: what turns out to be known takes less.
        let bytes = nonce_bytes(&nonce, items.len()) + items.iter().map(item_bytes).sum::<usize>();
        if self.bytes + bytes > self.bytes_max {
            return Err(Error::Full("the store in memory"));
        }
        let mut receipts = Vec::with_capacity(items.len());
        for (item, identity) in items.into_iter().zip(identities) {
            let id = item.id();
            let (outcome, letter) =
                match item {
                    Item::DeadLetter(letter) => (Outcome::Rejected(letter.reason), Some(letter)),
                    Item::Event(event) => match (self.ids.entry((tenant.clone(), event.id)), identity) {
                        (Entry::Vacant(place), Some(identity)) => {
                            place.insert(*identity);
                            self.bytes += event.raw.len() + ENTRY_BYTES;
                            self.events.push_back(KeptEvent {
                                tenant: tenant.clone(),
                                id: event.id,
                                kind: event.kind,
                                key_id: nonce.key_id.clone(),
                                received_at,
                                raw: event.raw,
                            });
                            (Outcome::Accepted, None)
                        }
                        (Entry::Occupied(known), Some(identity)) if known.get() == identity => {
                            (Outcome::Duplicate, None)
                        }
                        // An event without identity was made a dead letter before.
                        (Entry::Occupied(_), Some(_)) | (_, None) => (
                            Outcome::Rejected(RejectReason::IdConflict),
                            Some(event.into_dead_letter(
                                RejectReason::IdConflict,
                                "the id is known with another body",
                            )),
                        ),
                    },
                };
            if let Some(letter) = letter {
                let kept = KeptLetter {
                    tenant: tenant.clone(),
                    reason: letter.reason,
                    detail: letter.detail,
                    key_id: nonce.key_id.clone(),
                    request_id: request_id.clone(),
                    received_at,
                    event_id: letter.event_id,
                    event_type: letter.event_type,
                    payload: letter.payload,
                    payload_len: letter.payload_len,
                };
                self.bytes += letter_bytes(&kept);
                self.letters.push_back(kept);
            }
            receipts.push(Receipt { id, outcome });
        }
        self.bytes += nonce_bytes(&nonce, receipts.len());
        let outcomes = receipts.iter().map(|receipt| receipt.outcome).collect();
        self.nonces.insert(key_of(&nonce), Used { body_sha256: nonce.body_sha256, outcomes });
        Ok(SubmitAnswer::Stored(receipts))
    }

    /// Lets go of what is owed to nobody any more.
    fn let_go(&mut self, now: Timestamp) {
        while let Some(first) = self.nonces.first_entry() {
            if now.as_second().saturating_sub(first.key().0) <= NONCE_SECONDS {
                break;
            }
            let ((_, key_id, nonce), used) = first.remove_entry();
            self.bytes -= entry_bytes(&key_id, &nonce, used.outcomes.len());
        }
        while let Some(event) =
            self.events.pop_front_if(|event| now.duration_since(event.received_at) > EVENT_KEPT)
        {
            self.bytes -= event.raw.len() + ENTRY_BYTES;
            self.ids.remove(&(event.tenant, event.id));
        }
        while let Some(letter) =
            self.letters.pop_front_if(|letter| now.duration_since(letter.received_at) > LETTER_KEPT)
        {
            self.bytes -= letter_bytes(&letter);
        }
    }
}

fn key_of(nonce: &Nonce) -> NonceKey {
    (nonce.ts, nonce.key_id.clone(), nonce.nonce.clone())
}

fn nonce_bytes(nonce: &Nonce, outcomes: usize) -> usize {
    entry_bytes(&nonce.key_id, &nonce.nonce, outcomes)
}

fn entry_bytes(key_id: &str, nonce: &str, outcomes: usize) -> usize {
    ENTRY_BYTES + key_id.len() + nonce.len() + outcomes * OUTCOME_BYTES
}

fn item_bytes(item: &Item) -> usize {
    ENTRY_BYTES
        + match item {
            Item::Event(event) => event.raw.len(),
            Item::DeadLetter(letter) => letter.payload.len() + letter.detail.len(),
        }
}

fn letter_bytes(letter: &KeptLetter) -> usize {
    ENTRY_BYTES + letter.payload.len() + letter.detail.len()
}
