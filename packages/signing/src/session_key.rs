//! Session keys: what a browser signs with, for minutes.
//!
//! A session key is not stored. Its id says which key it comes of, until when it is good, for which session and for what;
//! its secret is made of that key's secret, of the id, and of the one origin that may use it. Whoever has the parent can
//! make it again at any time, so it needs no row, and it is worth nothing as soon as its parent is (ADR 0010).
//!
//! What a server is told of such a key is its id and the origin that the browser names: a changed id or another origin
//! give another secret, and no tag fits.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// Longest life of a session key, in seconds; what a verifier may grant more than that is only its clock's.
pub const SESSION_SECONDS_MAX: i64 = 900;
/// Longest id of a key that session keys can come of: theirs holds it, and has 64 characters at most.
pub const SESSION_PARENT_MAX: usize = 64 - PREFIX.len() - FIXED_CHARACTERS;

/// Begins each id of this form. Keys that are not of sessions must not begin so.
const PREFIX: &str = "ses1_";
/// What every id holds besides its parent's: scopes, end, session; 1 + 4 + 16 bytes as base64url.
const FIXED_BYTES: usize = 21;
const FIXED_CHARACTERS: usize = 28;
/// Shortest id of a key.
const PARENT_MIN: usize = 8;
/// Before what a secret is made of. `SP1`'s own strings go on with a line feed after three characters, Standard Webhooks'
/// with a full stop after the first words: no string that a parent signs begins like this one.
const LABEL: &[u8] = b"SP1-SESSION-KEY\n";

/// What a session key may do: never more than its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionScopes {
    /// Send events.
    Ingest,
    /// Send arrival pings.
    Arrive,
    /// Both.
    IngestAndArrive,
}

impl SessionScopes {
    fn byte(self) -> u8 {
        match self {
            Self::Ingest => 1,
            Self::Arrive => 2,
            Self::IngestAndArrive => 3,
        }
    }

    fn of_byte(byte: u8) -> Option<Self> {
        [Self::Ingest, Self::Arrive, Self::IngestAndArrive].into_iter().find(|scopes| scopes.byte() == byte)
    }
}

/// The id of a session key, and all that it says. That somebody wrote it says nothing: its tag does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionKeyId {
    text: String,
    expires_at: i64,
    session: [u8; 16],
    scopes: SessionScopes,
}

impl SessionKeyId {
    /// The id of a key that comes of `parent`, is good until `expires_at` (Unix seconds), for one session (a UUID's bytes).
    /// None where the parent's id is too long, is one of a session itself, or the time is outside 1970 to 2106.
    pub fn new(parent: &str, expires_at: i64, session: [u8; 16], scopes: SessionScopes) -> Option<Self> {
        let mut bytes = [0; FIXED_BYTES];
        let (scope, rest) = bytes.split_first_mut()?;
        let (end, of) = rest.split_at_mut(4);
        *scope = scopes.byte();
        end.copy_from_slice(&u32::try_from(expires_at).ok()?.to_be_bytes());
        of.copy_from_slice(&session);
        may_be_parent(parent).then(|| {
            let text = format!("{PREFIX}{}{parent}", URL_SAFE_NO_PAD.encode(bytes));
            Self { text, expires_at, session, scopes }
        })
    }

    /// Reads an id; none where it is not one of a session's key.
    pub fn parse(key_id: &str) -> Option<Self> {
        let (fixed, parent) = key_id.strip_prefix(PREFIX)?.split_at_checked(FIXED_CHARACTERS)?;
        let bytes = URL_SAFE_NO_PAD.decode(fixed).ok()?;
        let (scope, rest) = bytes.split_first()?;
        let (end, of) = rest.split_first_chunk::<4>()?;
        let (scopes, session) = (SessionScopes::of_byte(*scope)?, of.try_into().ok()?);
        let expires_at = u32::from_be_bytes(*end).into();
        may_be_parent(parent).then(|| Self { text: key_id.to_owned(), expires_at, session, scopes })
    }

    /// Whether a key may not be called so, since it would be taken for one of a session.
    pub fn is_reserved(key_id: &str) -> bool {
        key_id.starts_with(PREFIX)
    }

    /// The id as it stands in `x-key`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The id of the key that it comes of.
    pub fn parent(&self) -> &str {
        self.text.get(PREFIX.len() + FIXED_CHARACTERS..).unwrap_or_default()
    }

    /// From when on it is good for nothing, in Unix seconds.
    pub fn expires_at(&self) -> i64 {
        self.expires_at
    }

    /// Whether it is good at a time (Unix seconds): not over, and not of a time farther ahead than any server mints.
    pub fn is_good_at(&self, now_unix: i64) -> bool {
        let left = self.expires_at.saturating_sub(now_unix);
        // Instances' clocks differ, by no more than a signed time may.
        (1..=SESSION_SECONDS_MAX + crate::FRESH_SECONDS.cast_signed()).contains(&left)
    }

    /// The session's UUID.
    pub fn session(&self) -> [u8; 16] {
        self.session
    }

    /// What it may do, as far as its parent may.
    pub fn scopes(&self) -> SessionScopes {
        self.scopes
    }

    /// What the secret is made of, besides the parent's.
    pub(crate) fn made_of<'a>(&'a self, origin: &'a [u8]) -> [&'a [u8]; 4] {
        // An id has no line feed, so no two pairs of id and origin are one string.
        [LABEL, self.text.as_bytes(), b"\n", origin]
    }
}

impl fmt::Display for SessionKeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

fn may_be_parent(key_id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (PARENT_MIN..=SESSION_PARENT_MAX).contains(&key_id.len())
        && key_id.bytes().all(allowed)
        && !SessionKeyId::is_reserved(key_id)
}
