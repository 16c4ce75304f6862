//! What became of an event that a sender sent. Exactly one [`Outcome`] per item.

use crate::vocabulary::words;

words!(
    /// Why an authenticated item was refused. Closed; the word is both the dead-letter queue's code and the
    /// metric label (contract section 4).
    RejectReason {
        /// Not JSON.
        JsonSyntax = "json_syntax",
        /// An object with the same key twice, at any level.
        JsonDuplicateKey = "json_duplicate_key",
        /// Nested deeper than 32, or an object with more than 64 keys.
        JsonTooDeep = "json_too_deep",
        /// A number that is no finite double.
        JsonNumberRange = "json_number_range",
        /// Not UTF-8.
        InvalidUtf8 = "invalid_utf8",
        /// U+0000 in a string or key.
        NulChar = "nul_char",
        /// A `type` that has no schema.
        SchemaUnknownType = "schema_unknown_type",
        /// Outside its type's schema.
        SchemaViolation = "schema_violation",
        /// Over 32 KiB.
        EventTooLarge = "event_too_large",
        /// Names another tenant than the key's.
        TenantMismatch = "tenant_mismatch",
        /// `occurred_at` outside [now - 7 d, now + 5 min].
        TsOutOfRange = "ts_out_of_range",
        /// The id is known with another body.
        IdConflict = "id_conflict",
        /// Over the plan's hard monthly limit.
        QuotaExceeded = "quota_exceeded",
        /// The database refused the value (SQLSTATE class 22 or 23).
        DbDataException = "db_data_exception",
        /// Ours, not the sender's.
        Internal = "internal",
    }
);

words!(
    /// Why a request was refused before anything of it was believed: counted, never stored.
    CountedOnly {
        /// A header outside its grammar.
        MalformedHeader = "malformed_header",
        /// No such key.
        UnknownKey = "unknown_key",
        /// The key was revoked, or its grace is over.
        RevokedKey = "revoked_key",
        /// No tag matched.
        BadSignature = "bad_signature",
        /// More than 300 s off.
        Stale = "stale",
        /// The nonce was used for another body.
        NonceReused = "nonce_reused",
        /// Over the key's rate.
        RateLimited = "rate_limited",
        /// We were full.
        Overloaded = "overloaded",
        /// Over 256 KiB.
        BodyTooLarge = "body_too_large",
    }
);

/// What became of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "every item leaves with exactly one outcome: count it and answer it"]
pub enum Outcome {
    /// Stored.
    Accepted,
    /// Known with the same body.
    Duplicate,
    /// In the dead-letter queue.
    Rejected(RejectReason),
}

impl Outcome {
    /// `accepted`, `duplicate` or `rejected`.
    pub const fn status(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Rejected(_) => "rejected",
        }
    }

    /// The reason of a rejection.
    pub const fn reason(self) -> Option<RejectReason> {
        match self {
            Self::Rejected(reason) => Some(reason),
            Self::Accepted | Self::Duplicate => None,
        }
    }
}
