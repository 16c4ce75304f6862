//! Who is calling: devices that scan and ping, keys that sign.

use std::{collections::BTreeSet, fmt};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Channel, DoorId, EventId, TenantId, VenueId, vocabulary::words};

/// SHA-256 of a device's bearer token. The token itself has 256 random bits and is never stored, so a plain
/// hash is enough: there is nothing to guess.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Hashes a token as it stands after `Bearer `.
    pub fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("TokenHash(..)")
    }
}

/// What a device is limited to. `None` means: not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceScope {
    /// Venues, or all.
    pub venues: Option<BTreeSet<VenueId>>,
    /// Events, or all.
    pub events: Option<BTreeSet<EventId>>,
    /// Doors, or all.
    pub doors: Option<BTreeSet<DoorId>>,
    /// Channels, or all.
    pub channels: Option<BTreeSet<Channel>>,
}

/// A gate, phone, kiosk, desk or sign that may call on behalf of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The device.
    pub id: Uuid,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its limits.
    pub scope: DeviceScope,
}

impl Device {
    /// Whether the device may work at this venue.
    pub fn may_venue(&self, venue: &VenueId) -> bool {
        self.scope.venues.as_ref().is_none_or(|set| set.contains(venue))
    }

    /// Whether the device may work for this event.
    pub fn may_event(&self, event: &EventId) -> bool {
        self.scope.events.as_ref().is_none_or(|set| set.contains(event))
    }

    /// Whether the device may work at this door.
    pub fn may_door(&self, door: &DoorId) -> bool {
        self.scope.doors.as_ref().is_none_or(|set| set.contains(door))
    }

    /// Whether the device may speak for this channel.
    pub fn may_channel(&self, channel: Channel) -> bool {
        self.scope.channels.as_ref().is_none_or(|set| set.contains(&channel))
    }
}

words!(
    /// What a signing key may do.
    KeyScope {
        /// Send events.
        Ingest = "ingest",
        /// Send arrival pings.
        Arrive = "arrive",
    }
);

/// A key's scopes.
pub type KeyScopes = BTreeSet<KeyScope>;
