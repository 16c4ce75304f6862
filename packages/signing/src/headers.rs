//! The grammar of the signed headers: exactly one of each, every byte inside its set. Nothing here is
//! believed yet, it only has a shape.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};

/// Names the key: `[A-Za-z0-9_-]{8,64}`.
pub const X_KEY: &str = "x-key";
/// SP1's time: ten digits of Unix seconds.
pub const X_TS: &str = "x-ts";
/// SP1's nonce: `[A-Za-z0-9_-]{22,64}`.
pub const X_NONCE: &str = "x-nonce";
/// SP1's tags: `v1=<64 lower hex>`, at most two, separated by a comma.
pub const X_SIG: &str = "x-sig";
/// Standard Webhooks' id, our nonce: `[A-Za-z0-9_-]{8,64}`.
pub const WEBHOOK_ID: &str = "webhook-id";
/// Standard Webhooks' time: ten digits of Unix seconds.
pub const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
/// Standard Webhooks' tags: `v1,<base64>`, at most [`TAGS_MAX`], separated by a space.
pub const WEBHOOK_SIGNATURE: &str = "webhook-signature";

/// Every header of both schemes. None of them is ever logged.
pub const HEADERS: [&str; 7] =
    [X_KEY, X_TS, X_NONCE, X_SIG, WEBHOOK_ID, WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE];

/// Most signatures in one `webhook-signature`, those of versions that we do not know included. Each one costs
/// a comparison before the sender is known.
pub const TAGS_MAX: usize = 8;

/// Most tags in one `x-sig`: the sender's current secret and its next.
const SP1_TAGS_MAX: usize = 2;

/// A signed header that is missing, doubled or outside its grammar. Never holds the header's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the header {header} {fault}")]
pub struct MalformedHeader {
    header: &'static str,
    fault: &'static str,
}

impl MalformedHeader {
    pub(crate) fn new(header: &'static str, fault: &'static str) -> Self {
        Self { header, fault }
    }

    /// Which header.
    pub fn header(&self) -> &'static str {
        self.header
    }
}

/// How the signed string is put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `SP1`, method, path, key, time, nonce and the body's SHA-256, joined by LF.
    Sp1,
    /// `id.timestamp.body` (Standard Webhooks 1.0).
    StandardWebhooks,
}

/// What one header of one scheme may hold.
struct Grammar {
    header: &'static str,
    lengths: std::ops::RangeInclusive<usize>,
    inside: fn(&u8) -> bool,
    fault: &'static str,
}

fn is_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

const KEY: Grammar =
    Grammar { header: X_KEY, lengths: 8..=64, inside: is_word, fault: "must be 8 to 64 of A-Z a-z 0-9 _ -" };
const NONCE: Grammar = Grammar {
    header: X_NONCE,
    lengths: 22..=64,
    inside: is_word,
    fault: "must be 22 to 64 of A-Z a-z 0-9 _ -",
};
const ID: Grammar = Grammar {
    header: WEBHOOK_ID,
    lengths: 8..=64,
    inside: is_word,
    fault: "must be 8 to 64 of A-Z a-z 0-9 _ -",
};
const TS: Grammar = Grammar {
    header: X_TS,
    lengths: 10..=10,
    inside: u8::is_ascii_digit,
    fault: "must be ten digits of Unix seconds",
};
const TIMESTAMP: Grammar = Grammar { header: WEBHOOK_TIMESTAMP, ..TS };

impl Grammar {
    fn read(&self, value: &[u8]) -> Result<String, MalformedHeader> {
        let fits = self.lengths.contains(&value.len()) && value.iter().all(self.inside);
        // The set is ASCII, so the conversion cannot fail where the grammar holds.
        fits.then(|| String::from_utf8(value.to_vec()).ok())
            .flatten()
            .ok_or(MalformedHeader::new(self.header, self.fault))
    }
}

/// The signed headers of one request, inside their grammar.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedHeaders {
    key_id: String,
    ts_text: String,
    ts: i64,
    nonce: String,
    scheme: Scheme,
    tags: Vec<[u8; 32]>,
}

impl SignedHeaders {
    /// Reads the headers of a request. `values` gives every raw value of the header of that name, white space
    /// around it already taken off (HTTP's own, RFC 9110 section 5.5).
    ///
    /// # Errors
    /// [`MalformedHeader`] where one is missing, there twice or outside its grammar, or where headers of both
    /// schemes are there.
    pub fn parse<'a, V>(values: impl Fn(&'static str) -> V) -> Result<Self, MalformedHeader>
    where
        V: IntoIterator<Item = &'a [u8]>,
    {
        let one = |name: &'static str| {
            let mut all = values(name).into_iter();
            match (all.next(), all.next()) {
                (Some(value), None) => Ok(value),
                (None, _) => Err(MalformedHeader::new(name, "is missing")),
                (Some(_), Some(_)) => Err(MalformedHeader::new(name, "is there more than once")),
            }
        };
        let there = |name: &&'static str| values(name).into_iter().next().is_some();

        let key_id = KEY.read(one(X_KEY)?)?;
        let webhook = [WEBHOOK_ID, WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE].iter().find(|name| there(name));
        if let Some(name) = webhook {
            if [X_TS, X_NONCE, X_SIG].iter().any(there) {
                return Err(MalformedHeader::new(name, "belongs to another scheme than the x- headers"));
            }
            let nonce = ID.read(one(WEBHOOK_ID)?)?;
            let ts_text = TIMESTAMP.read(one(WEBHOOK_TIMESTAMP)?)?;
            let tags = webhook_tags(one(WEBHOOK_SIGNATURE)?)?;
            return Self::new(key_id, ts_text, nonce, Scheme::StandardWebhooks, tags);
        }
        let ts_text = TS.read(one(X_TS)?)?;
        let nonce = NONCE.read(one(X_NONCE)?)?;
        let tags = sp1_tags(one(X_SIG)?)?;
        Self::new(key_id, ts_text, nonce, Scheme::Sp1, tags)
    }

    /// Headers that a sender is about to sign: the same grammar, no tags yet.
    pub(crate) fn unsigned(
        key_id: &str,
        ts: i64,
        nonce: &str,
        scheme: Scheme,
    ) -> Result<Self, MalformedHeader> {
        let (time, once) = match scheme {
            Scheme::Sp1 => (TS, NONCE),
            Scheme::StandardWebhooks => (TIMESTAMP, ID),
        };
        let key_id = KEY.read(key_id.as_bytes())?;
        let ts_text = time.read(format!("{ts:010}").as_bytes())?;
        let nonce = once.read(nonce.as_bytes())?;
        Self::new(key_id, ts_text, nonce, scheme, Vec::new())
    }

    fn new(
        key_id: String,
        ts_text: String,
        nonce: String,
        scheme: Scheme,
        tags: Vec<[u8; 32]>,
    ) -> Result<Self, MalformedHeader> {
        // Ten digits always fit.
        let ts = ts_text.parse().map_err(|_| MalformedHeader::new(TS.header, TS.fault))?;
        Ok(Self { key_id, ts_text, ts, nonce, scheme, tags })
    }

    /// Which key signed, as the sender says.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The signed time, in Unix seconds.
    pub fn ts(&self) -> i64 {
        self.ts
    }

    /// The signed time as it stands in the header: what the signed string holds.
    pub(crate) fn ts_text(&self) -> &str {
        &self.ts_text
    }

    /// The nonce: `x-nonce` or `webhook-id`.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// How the signed string is put together.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The tags that the sender offers, 1 to [`TAGS_MAX`].
    pub(crate) fn tags(&self) -> &[[u8; 32]] {
        &self.tags
    }
}

impl fmt::Debug for SignedHeaders {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A captured tag is good for five minutes: it stays out of every log.
        out.debug_struct("SignedHeaders")
            .field("key_id", &self.key_id)
            .field("ts", &self.ts)
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

fn sp1_tags(value: &[u8]) -> Result<Vec<[u8; 32]>, MalformedHeader> {
    let malformed =
        MalformedHeader::new(X_SIG, "must be v1=<64 lower hex>, once or twice, separated by a comma");
    let mut tags = Vec::with_capacity(SP1_TAGS_MAX);
    for part in value.split(|byte| *byte == b',') {
        let digits = part.strip_prefix(b"v1=").ok_or(malformed)?;
        if tags.len() == SP1_TAGS_MAX || digits.iter().any(u8::is_ascii_uppercase) {
            return Err(malformed);
        }
        let mut tag = [0; 32];
        hex::decode_to_slice(digits, &mut tag).map_err(|_| malformed)?;
        tags.push(tag);
    }
    Ok(tags)
}

fn webhook_tags(value: &[u8]) -> Result<Vec<[u8; 32]>, MalformedHeader> {
    let malformed = MalformedHeader::new(
        WEBHOOK_SIGNATURE,
        "must be v1,<base64 of 32 bytes>, one to eight, separated by a space",
    );
    let mut tags = Vec::with_capacity(1);
    for (index, part) in value.split(|byte| *byte == b' ').enumerate() {
        let comma = part.iter().position(|byte| *byte == b',').ok_or(malformed)?;
        let (version, signature) = (&part[..comma], &part[comma + 1..]);
        if index == TAGS_MAX || !is_version(version) {
            return Err(malformed);
        }
        // Other versions, such as v1a (ed25519), are for other readers of the same header.
        if version != b"v1" {
            if signature.is_empty() || !signature.iter().all(u8::is_ascii_graphic) {
                return Err(malformed);
            }
            continue;
        }
        let bytes = STANDARD.decode(signature).map_err(|_| malformed)?;
        tags.push(bytes.try_into().map_err(|_| malformed)?);
    }
    if tags.is_empty() { Err(malformed) } else { Ok(tags) }
}

/// `v` and up to seven letters or digits.
fn is_version(version: &[u8]) -> bool {
    matches!(version, [b'v', rest @ ..] if (1..=7).contains(&rest.len()) && rest.iter().all(u8::is_ascii_alphanumeric))
}
