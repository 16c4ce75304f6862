//! Secrets that verify: a key's schedule, and the two of them that live while a key rotates.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::{SessionKeyId, SignedRequest};

/// Shortest secret, in bytes: 128 bits. Ours have 32.
pub const SECRET_BYTES_MIN: usize = 16;

/// A secret that is too short to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a signing secret must have at least {SECRET_BYTES_MIN} bytes")]
pub struct WeakSecret;

/// A secret, kept only as HMAC-SHA256's key schedule: absorbed once, cloned for each tag, wiped when dropped.
/// The secret's own bytes are not kept; whoever hands them over wipes them.
#[derive(Clone)]
pub struct Key {
    schedule: Hmac<Sha256>,
}

impl Key {
    /// A key from a secret's bytes.
    ///
    /// # Errors
    /// [`WeakSecret`] under [`SECRET_BYTES_MIN`] bytes: an empty secret would verify for everybody.
    pub fn new(secret: &[u8]) -> Result<Self, WeakSecret> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(WeakSecret);
        }
        Ok(Self { schedule: Hmac::new_from_slice(secret).map_err(|_| WeakSecret)? })
    }

    /// A key that stands in for one that is not there, so that the same work is done. Its secret is known to
    /// everyone: it is compared with, never believed.
    fn stand_in() -> Self {
        Self { schedule: Hmac::new(&[0; 64].into()) }
    }

    /// The tag of a request.
    pub(crate) fn tag(&self, request: &SignedRequest<'_>) -> [u8; 32] {
        request.tag(self.schedule.clone())
    }

    /// The secret of a session key that comes of this key and is of one origin.
    fn session_secret(&self, id: &SessionKeyId, origin: &[u8]) -> [u8; 32] {
        let mut mac = self.schedule.clone();
        id.made_of(origin).into_iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }

    /// Whether any tag that the request offers is this key's. Looks at all of them and at all their bytes.
    fn matches(&self, request: &SignedRequest<'_>) -> Choice {
        let own = self.tag(request);
        let offered = request.headers().tags().iter();
        offered.fold(Choice::from(0), |any, tag| any | tag.ct_eq(&own))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Key(..)")
    }
}

/// A key that stands in one of a ring's two places, and whether it may verify.
#[derive(Clone)]
struct Place {
    key: Key,
    live: bool,
}

impl Place {
    fn of(key: Option<Key>) -> Self {
        match key {
            Some(key) => Self { key, live: true },
            None => Self { key: Key::stand_in(), live: false },
        }
    }

    /// The session key that comes of the key that stands here. Of one that is not there it takes as long, and is no more
    /// alive.
    fn session(&self, id: &SessionKeyId, origin: &[u8]) -> Self {
        let secret = self.key.session_secret(id, origin);
        match Key::new(&secret) {
            Ok(key) => Self { key, live: self.live },
            // 32 bytes are enough for a key.
            Err(WeakSecret) => Self::of(None),
        }
    }

    fn matches(&self, request: &SignedRequest<'_>) -> Choice {
        self.key.matches(request) & Choice::from(u8::from(self.live))
    }
}

/// The secrets of one key that verify at this moment: at most its current and its previous one (contract
/// section 4). A place without a secret costs the same as one with, so that how long a verification takes
/// tells neither whether the key exists nor whether it rotates.
#[derive(Clone)]
pub struct KeyRing {
    current: Place,
    previous: Place,
}

impl KeyRing {
    /// The current secret and, for its grace, the previous one.
    pub fn new(current: Key, previous: Option<Key>) -> Self {
        Self { current: Place::of(Some(current)), previous: Place::of(previous) }
    }

    /// The ring of a key that nobody has: does the work, verifies nothing.
    pub fn dummy() -> Self {
        Self { current: Place::of(None), previous: Place::of(None) }
    }

    /// The ring of a session key that comes of this key: of its current secret, and for its grace of its previous one. A
    /// dummy's is a dummy.
    #[must_use]
    pub fn session(&self, id: &SessionKeyId, origin: &[u8]) -> Self {
        Self { current: self.current.session(id, origin), previous: self.previous.session(id, origin) }
    }

    /// The secret, 32 bytes, of a session key that comes of this key's current secret; none of a dummy.
    pub fn session_secret(&self, id: &SessionKeyId, origin: &[u8]) -> Option<Vec<u8>> {
        self.current.live.then(|| self.current.key.session_secret(id, origin).to_vec())
    }

    /// Whether one of the request's tags is one of this ring's, in constant time over tags and places.
    #[must_use = "a signature that nobody looks at protects nothing"]
    pub fn verify(&self, request: &SignedRequest<'_>) -> bool {
        // Method and path are no secrets; a server cannot even receive one that fails this.
        let own_lines = Choice::from(u8::from(request.has_own_lines()));
        let current = self.current.matches(request);
        let previous = self.previous.matches(request);
        (own_lines & (current | previous)).into()
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("KeyRing(..)")
    }
}
