//! The seal on everything that goes over the bus: HMAC-SHA256 with a key that only our instances have.
//!
//! `SPB1`, 8 bytes of the key's name, 32 bytes of the tag, then the content. The tag is over what the message is for,
//! the key's name and the content; an answer's also over the tag of the request that it answers, so that no answer can
//! be given to another request. The key is derived from an at-rest key, which all instances of telemetry-ingest have
//! anyway: the first seals, all open, so that they rotate as those do (ADR 0008).

use hmac::{Hmac, KeyInit as _, Mac as _};
use seatpilot_runtime::{AtRestKey, Secret};
use sha2::{Digest as _, Sha256};

/// Format and version. A writer that meets another one lets it go: update writers before verifiers.
const VERSION: &[u8; 4] = b"SPB1";
const NAME_BYTES: usize = 8;
const TAG_BYTES: usize = 32;
const HEAD_BYTES: usize = VERSION.len() + NAME_BYTES + TAG_BYTES;
/// What keeps these keys apart from everything else that is derived from the same secret.
const PURPOSE: &[u8] = b"seatpilot bus 1";

/// A tag.
pub(crate) type Tag = [u8; TAG_BYTES];

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose<'a> {
    /// A request.
    Request,
    /// The answer to the request of that tag.
    AnswerTo(&'a Tag),
}

/// Seals with the first of its keys, opens with all of them.
pub(crate) struct Seal {
    first: SealKey,
    others: Vec<SealKey>,
}

struct SealKey {
    name: [u8; NAME_BYTES],
    key: Secret<[u8; TAG_BYTES]>,
}

impl SealKey {
    fn new(at_rest: &AtRestKey) -> Self {
        let key: [u8; TAG_BYTES] =
            mac(at_rest.expose_secret()).chain_update(PURPOSE).finalize().into_bytes().into();
        let mut name = [0; NAME_BYTES];
        name.copy_from_slice(&Sha256::digest(key)[..NAME_BYTES]);
        Self { name, key: Secret::new(key) }
    }

    fn tagged(&self, purpose: Purpose<'_>, content: &[u8]) -> Hmac<Sha256> {
        let mut mac = mac(self.key.expose_secret());
        match purpose {
            Purpose::Request => mac.update(b"request\0"),
            Purpose::AnswerTo(tag) => {
                mac.update(b"answer\0");
                mac.update(tag);
            }
        }
        mac.update(&self.name);
        mac.update(content);
        mac
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("a key of any length")
}

impl Seal {
    /// None without a key.
    pub(crate) fn new(keys: &[AtRestKey]) -> Option<Self> {
        let mut keys = keys.iter().map(SealKey::new);
        Some(Self { first: keys.next()?, others: keys.collect() })
    }

    /// The message of a content, and its tag.
    pub(crate) fn seal(&self, purpose: Purpose<'_>, content: &[u8]) -> (Vec<u8>, Tag) {
        let tag: Tag = self.first.tagged(purpose, content).finalize().into_bytes().into();
        let mut message = Vec::with_capacity(HEAD_BYTES + content.len());
        for part in [&VERSION[..], &self.first.name, &tag, content] {
            message.extend_from_slice(part);
        }
        (message, tag)
    }

    /// The content of a message and its tag; none where no key of ours sealed it for this purpose.
    pub(crate) fn open<'m>(&self, purpose: Purpose<'_>, message: &'m [u8]) -> Option<(&'m [u8], Tag)> {
        let rest = message.strip_prefix(VERSION)?;
        let (name, rest) = rest.split_at_checked(NAME_BYTES)?;
        let (tag, content) = rest.split_at_checked(TAG_BYTES)?;
        let key = std::iter::once(&self.first).chain(&self.others).find(|key| key.name == *name)?;
        // In constant time.
        key.tagged(purpose, content).verify_slice(tag).ok()?;
        Some((content, tag.try_into().ok()?))
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Seal").field("keys", &(1 + self.others.len())).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use seatpilot_runtime::AT_REST_KEY_BYTES;

    use super::*;

    fn seal(keys: &[u8]) -> Seal {
        let keys: Vec<_> = keys.iter().map(|byte| AtRestKey::new([*byte; AT_REST_KEY_BYTES])).collect();
        Seal::new(&keys).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_for_its_purpose_by_whoever_has_the_key_and_nothing_else_does() {
        let (ours, rotated, theirs) = (seal(&[1]), seal(&[2, 1]), seal(&[3]));
        let (message, tag) = ours.seal(Purpose::Request, b"a batch");
        for who in [&ours, &rotated] {
            assert_eq!(who.open(Purpose::Request, &message), Some((&b"a batch"[..], tag)));
            assert_eq!(who.open(Purpose::AnswerTo(&tag), &message), None);
        }
        assert_eq!(theirs.open(Purpose::Request, &message), None);
        assert_eq!(ours.open(Purpose::Request, &rotated.seal(Purpose::Request, b"a batch").0), None);
        for at in 0..message.len() {
            let mut changed = message.clone();
            changed[at] ^= 1;
            assert_eq!(ours.open(Purpose::Request, &changed), None, "{at}");
            assert_eq!(ours.open(Purpose::Request, &message[..at]), None, "{at}");
        }
        let (answer, _) = ours.seal(Purpose::AnswerTo(&tag), b"stored");
        assert!(ours.open(Purpose::AnswerTo(&tag), &answer).is_some());
        assert_eq!(ours.open(Purpose::AnswerTo(&[0; TAG_BYTES]), &answer), None, "of another request");
        assert_eq!(ours.open(Purpose::Request, &answer), None);
    }

    #[test]
    fn without_a_key_there_is_no_seal_and_no_word_of_one() {
        assert!(Seal::new(&[]).is_none());
        assert_eq!(format!("{:?}", seal(&[7, 8])), "Seal { keys: 2, .. }");
    }
}
