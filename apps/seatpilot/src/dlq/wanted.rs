//! Which letters: filters as they are typed.

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use seatpilot_domain_model::{LetterState, RejectReason};
use seatpilot_runtime::Clock;
use seatpilot_store::{LETTERS_MAX, LetterCursor, LetterFilter};
use uuid::Uuid;

use crate::failure::Failure;

/// Letters that match all that is said.
#[derive(Debug, Clone, Args)]
pub struct Matching {
    /// Only letters that were refused for this at first, such as `quota_exceeded`.
    #[arg(long)]
    reason: Option<RejectReason>,
    /// Only events of this type, as far as it could be read.
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only letters that this key signed.
    #[arg(long, value_name = "KEY_ID")]
    key: Option<String>,
    /// Only letters received longer ago than this: 90s, 15m, 12h, 7d.
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<SignedDuration>,
    /// Only letters received since then.
    #[arg(long, value_name = "AGE", value_parser = age)]
    newer_than: Option<SignedDuration>,
}

impl Matching {
    pub(super) fn filter(&self, state: Option<LetterState>) -> LetterFilter {
        let now = Clock::system().now();
        // An age before all time is all time.
        let ago = |age: SignedDuration| now.checked_sub(age).unwrap_or(Timestamp::UNIX_EPOCH);
        LetterFilter {
            reason: self.reason,
            event_type: self.event_type.clone(),
            key_id: self.key.clone(),
            state,
            received_from: self.newer_than.map(ago),
            received_before: self.older_than.map(ago),
        }
    }
}

/// The ids of letters that were found.
pub(super) fn ids(found: Vec<LetterCursor>) -> Vec<Uuid> {
    found.into_iter().map(|letter| letter.dlq_id).collect()
}

/// The ids as typed, each once.
pub(super) fn distinct(ids: &[Uuid]) -> Result<Vec<Uuid>, Failure> {
    let mut seen = std::collections::HashSet::new();
    let ids: Vec<Uuid> = ids.iter().copied().filter(|id| seen.insert(*id)).collect();
    if ids.len() > LETTERS_MAX as usize {
        return Err(Failure::new(format!("at most {LETTERS_MAX} letters at once")));
    }
    Ok(ids)
}

fn age(text: &str) -> Result<SignedDuration, String> {
    const EXPECTED: &str = "must be a number with its unit: 90s, 15m, 12h, 7d";
    let at = text.len().saturating_sub(1);
    let (number, unit) = text.split_at_checked(at).ok_or(EXPECTED)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(EXPECTED.to_owned()),
    };
    let number: u32 = number.parse().map_err(|_| EXPECTED)?;
    Ok(SignedDuration::from_secs(i64::from(number) * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_number_with_its_unit() {
        assert_eq!(age("7d"), Ok(SignedDuration::from_hours(7 * 24)));
        assert_eq!(age("15m"), Ok(SignedDuration::from_mins(15)));
        for wrong in ["", "d", "7", "7w", "-7d", "1.5h", "7 d", "٧d", "7é"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_id_typed_twice_is_one_letter() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(distinct(&[one, two, one]).unwrap(), [one, two]);
    }
}
