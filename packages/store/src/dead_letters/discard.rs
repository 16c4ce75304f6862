//! Giving letters up: they stay readable until their time is over, and are never sent again.

use seatpilot_domain_model::DiscardOutcome;
use uuid::Uuid;

use super::DeadLetterDesk;
use crate::Error;

/// Letters of one transaction.
const LETTERS_AT_ONCE: usize = 100;

/// What became of a letter that was to be given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscardedLetter {
    /// The letter.
    pub dlq_id: Uuid,
    /// What became of it.
    pub outcome: DiscardOutcome,
}

impl DeadLetterDesk<'_> {
    /// Gives letters up, a hundred in a transaction, each with its row in the audit log. `progress` hears of each
    /// hundred. Twice is once: the first reason stays.
    ///
    /// # Errors
    /// [`Error`]; what was told to `progress` is done.
    pub async fn discard(
        &mut self,
        letters: &[Uuid],
        why: &str,
        mut progress: impl FnMut(&[DiscardedLetter]),
    ) -> Result<Vec<DiscardedLetter>, Error> {
        const SQL: &str = include_str!("../../sql/dlq_discard.sql");
        let (actor_type, actor_id) = self.actor();
        let origin = self.origin;
        let mut done = Vec::with_capacity(letters.len());
        for some in letters.chunks(LETTERS_AT_ONCE) {
            let rows =
                self.act(SQL, &[&actor_type, &actor_id, &origin.ip, &origin.request_id, &some, &why]).await?;
            let before = done.len();
            for row in &rows {
                let word: &str = row.try_get("outcome")?;
                let outcome = word.parse();
                let outcome = outcome.map_err(|_| Error::Corrupt(format!("dlq_discard answered {word}")))?;
                done.push(DiscardedLetter { dlq_id: row.try_get("dlq_id")?, outcome });
            }
            progress(&done[before..]);
        }
        Ok(done)
    }
}
