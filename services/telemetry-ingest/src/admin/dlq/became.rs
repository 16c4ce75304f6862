//! What became of letters, as the posts answer it.

use seatpilot_domain_model::DiscardOutcome;
use seatpilot_store::{DiscardedLetter, LetterCursor, RedrivenLetter};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::openapi::{DiscardOutcomeWord, RedriveStatus};

/// What became of letters that were sent again, or would become of them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Redriven {
    /// Whether nothing was changed.
    dry_run: bool,
    /// Stored now.
    accepted: usize,
    /// Stored before, with the same body: done.
    duplicates: usize,
    /// Still refused: they wait on.
    rejected: usize,
    /// Not sent again.
    skipped: usize,
    /// One a letter.
    items: Vec<RedrivenItem>,
    /// More letters may match: where to go on. Null where there are none.
    #[schema(required = true)]
    next_after: Option<String>,
}

/// What became of one letter.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RedrivenItem {
    dlq_id: Uuid,
    /// The event in it; null where none could be read.
    #[schema(required = true)]
    event_id: Option<Uuid>,
    #[schema(value_type = RedriveStatus)]
    status: &'static str,
    /// Why it was rejected, as on `/v1/events`; or skipped: `unknown`, `redriven`, `discarded`, `leased`, `exhausted`,
    /// `truncated`, `lost`.
    #[schema(required = true)]
    reason: Option<&'static str>,
    /// What exactly is wrong with it today.
    #[schema(required = true)]
    detail: Option<String>,
}

impl Redriven {
    pub(super) fn of(dry_run: bool, letters: Vec<RedrivenLetter>, next_after: Option<LetterCursor>) -> Self {
        let count = |status| letters.iter().filter(|letter| letter.outcome.status() == status).count();
        Self {
            dry_run,
            accepted: count("accepted"),
            duplicates: count("duplicate"),
            rejected: count("rejected"),
            skipped: count("skipped"),
            items: letters
                .into_iter()
                .map(|letter| RedrivenItem {
                    dlq_id: letter.dlq_id,
                    event_id: letter.event_id,
                    status: letter.outcome.status(),
                    reason: letter.outcome.reason(),
                    detail: letter.detail,
                })
                .collect(),
            next_after: next_after.map(|cursor| cursor.to_string()),
        }
    }
}

/// What became of letters that were to be given up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Discarded {
    /// Given up now.
    discarded: usize,
    /// Not.
    skipped: usize,
    /// One a letter.
    items: Vec<DiscardedItem>,
}

/// What became of one letter.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DiscardedItem {
    dlq_id: Uuid,
    #[schema(value_type = DiscardOutcomeWord)]
    outcome: DiscardOutcome,
}

impl Discarded {
    pub(super) fn of(letters: Vec<DiscardedLetter>) -> Self {
        let given_up = letters.iter().filter(|letter| letter.outcome == DiscardOutcome::Discarded).count();
        Self {
            discarded: given_up,
            skipped: letters.len() - given_up,
            items: letters
                .into_iter()
                .map(|letter| DiscardedItem { dlq_id: letter.dlq_id, outcome: letter.outcome })
                .collect(),
        }
    }
}
