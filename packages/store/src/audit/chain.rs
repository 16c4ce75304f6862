//! Whether a tenant's log is the one that was written: every row there, unchanged, in its place.
//!
//! What is found: a row that was changed in any column, removed, put in, or moved, and a log that was cut at its end
//! while its head stands. What is not: a log that somebody who may write as the owner wrote anew from some row to its
//! end, head and all. Against that a head that was noted elsewhere is compared ([`Chain::expect`]).

use std::{fmt, str::FromStr};

use seatpilot_domain_model::TenantId;
use sha2::{Digest as _, Sha256};
use tokio_postgres::Row;

use super::AuditEntry;

/// Where a chain ended at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditHead {
    /// The last row's number.
    pub seq: i64,
    /// Its hash.
    pub hash: Vec<u8>,
}

impl AuditHead {
    pub(crate) fn of_row(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self { seq: row.try_get("seq")?, hash: row.try_get("hash")? })
    }
}

impl fmt::Display for AuditHead {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:", self.seq)?;
        self.hash.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl FromStr for AuditHead {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "must be NUMBER:HASH, as `seatpilot audit verify` prints it";
        let (seq, hex) = text.split_once(':').ok_or(EXPECTED)?;
        let digits = hex.as_bytes();
        if digits.len() != 64 || !digits.is_ascii() {
            return Err(EXPECTED);
        }
        let bytes = (0..32).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16));
        let hash = bytes.collect::<Result<_, _>>().map_err(|_| EXPECTED)?;
        Ok(Self { seq: seq.parse().map_err(|_| EXPECTED)?, hash })
    }
}

/// What is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditFault {
    /// Rows from here up to the next that is there are gone.
    Missing(i64),
    /// What the row says is not what was hashed.
    Changed(i64),
    /// The row does not follow the one before it.
    Unlinked(i64),
    /// Rows, and no head.
    NoHead,
    /// The head names a row that is not the last, or not this one.
    Cut(AuditHead),
    /// A head that was noted elsewhere is not in this log.
    Foreign(AuditHead),
}

impl fmt::Display for AuditFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(seq) => write!(out, "row {seq} is missing"),
            Self::Changed(seq) => write!(out, "row {seq} was changed after it was written"),
            Self::Unlinked(seq) => write!(out, "row {seq} does not follow the row before it"),
            Self::NoHead => write!(out, "the head of the chain is missing"),
            Self::Cut(head) => write!(out, "the log does not end where its head says: at row {}", head.seq),
            Self::Foreign(head) => {
                write!(out, "row {} is not the one whose hash was noted: the log was written anew", head.seq)
            }
        }
    }
}

/// Goes along a tenant's log, row by row.
#[derive(Debug)]
pub struct Chain<'t> {
    tenant: &'t TenantId,
    last: AuditHead,
    expected: Option<AuditHead>,
    faults: Vec<AuditFault>,
}

impl<'t> Chain<'t> {
    /// Before the first row.
    pub fn of(tenant: &'t TenantId) -> Self {
        let genesis = AuditHead { seq: 0, hash: Sha256::digest(b"").to_vec() };
        Self { tenant, last: genesis, expected: None, faults: Vec::new() }
    }

    /// Looks for a head that was noted elsewhere as well.
    #[must_use]
    pub fn expect(mut self, head: Option<AuditHead>) -> Self {
        self.expected = head;
        self
    }

    /// The next row by number.
    pub fn row(&mut self, entry: &AuditEntry) {
        if entry.seq != self.last.seq + 1 {
            self.faults.push(AuditFault::Missing(self.last.seq + 1));
        }
        if entry.prev_hash != self.last.hash {
            self.faults.push(AuditFault::Unlinked(entry.seq));
        }
        if self.hash(entry) != *entry.hash {
            self.faults.push(AuditFault::Changed(entry.seq));
        }
        if let Some(expected) = self.expected.take_if(|expected| expected.seq == entry.seq)
            && expected.hash != entry.hash
        {
            self.faults.push(AuditFault::Foreign(expected));
        }
        // From what stands there, so that one fault is told once.
        self.last = AuditHead { seq: entry.seq, hash: entry.hash.clone() };
    }

    /// After the last row: what is wrong, and where the log ends.
    pub fn end(mut self, head: Option<AuditHead>) -> (AuditHead, Vec<AuditFault>) {
        match head {
            None if self.last.seq > 0 => self.faults.push(AuditFault::NoHead),
            Some(head) if head != self.last => self.faults.push(AuditFault::Cut(head)),
            None | Some(_) => {}
        }
        if let Some(expected) = self.expected.take_if(|expected| expected.seq > 0) {
            self.faults.push(AuditFault::Foreign(expected));
        }
        (self.last, self.faults)
    }

    /// As `audit.hash_of` in migration 016.
    fn hash(&self, entry: &AuditEntry) -> [u8; 32] {
        let (seq, at) = (entry.seq.to_string(), entry.at.as_microsecond().to_string());
        let mut hash = Sha256::new_with_prefix(&entry.prev_hash);
        for field in [
            Some(self.tenant.as_str()),
            Some(&seq),
            Some(&at),
            Some(&entry.actor_type),
            Some(&entry.actor_id),
            entry.role.as_deref(),
            entry.ip.as_deref(),
            entry.request_id.as_deref(),
            Some(&entry.action),
            Some(&entry.target_type),
            Some(&entry.target_id),
            entry.before.as_deref(),
            entry.after.as_deref(),
            Some(&entry.result),
        ] {
            let length = field.map_or(-1, |text| i32::try_from(text.len()).unwrap_or(i32::MAX));
            hash.update(length.to_be_bytes());
            hash.update(field.unwrap_or_default());
        }
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_is_printed() {
        let head = AuditHead { seq: 7, hash: (0..32).collect() };
        assert_eq!(head.to_string().parse(), Ok(head));
        for bad in [
            "",
            "7",
            "7:",
            "7:00",
            "x:00",
            &format!("7:{}", "é".repeat(32)),
            &format!("7:{}", "g".repeat(64)),
        ] {
            assert!(bad.parse::<AuditHead>().is_err(), "{bad}");
        }
    }
}
