//! What would become of letters that are sent again now, by today's schemas and today's plan. It changes nothing.

use std::collections::HashMap;

use seatpilot_domain_model::{
    Bounds, Event, Item, Outcome, RedriveOutcome, RejectReason, Skipped, TenantId, parse_event,
};
use uuid::Uuid;

use super::{
    DeadLetterDesk, KeptDeadLetter, RedrivenLetter, obstacle,
    plan::{OVER_THE_PLAN, Plan, Units},
    redrive::{Columns, detail},
};
use crate::{Error, signer::session_of};

/// Letters that are looked at together: with 64 KiB each, all that is in memory at once.
const LETTERS_AT_ONCE: usize = 100;

/// A letter, judged by what needs no database, or what it says.
enum Judged {
    Done(RedrivenLetter),
    Passed(Event),
}

impl DeadLetterDesk<'_> {
    /// Says of each letter what would become of it, in the order asked; of two with one event the first is the one
    /// that would be stored. `progress` hears of each hundred.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn dry_run(
        &mut self,
        letters: &[Uuid],
        mut progress: impl FnMut(&[RedrivenLetter]),
    ) -> Result<Vec<RedrivenLetter>, Error> {
        // A copy of what a service keeps: nobody who sends an event meanwhile may find the plan used up by this.
        self.look_at_the_plan().await?;
        let plan = self.plan.copy_for(&self.tenant);
        let tenant = self.tenant.clone();
        let mut taken: Vec<Units<'_>> = Vec::new();
        // The events that would be stored by now, with the hashes of their bodies.
        let mut stored: HashMap<Uuid, Vec<u8>> = HashMap::new();
        let mut done = Vec::with_capacity(letters.len());
        for wanted in letters.chunks(LETTERS_AT_ONCE) {
            let mut judged = self.judge(wanted).await?;
            let standings = self.standings(&judged).await?;
            let before = done.len();
            for dlq_id in wanted {
                let became = match judged.remove(dlq_id) {
                    None => RedrivenLetter::skipped(*dlq_id, None, Skipped::Unknown),
                    Some(Judged::Done(became)) => became,
                    Some(Judged::Passed(event)) => {
                        let standing = standings.get(dlq_id);
                        let outcome =
                            would_become(&event, standing, &plan, &tenant, &mut taken, &mut stored)?;
                        let said = (outcome == Outcome::Rejected(RejectReason::QuotaExceeded))
                            .then(|| OVER_THE_PLAN.to_owned());
                        let outcome = RedriveOutcome::Judged(outcome);
                        let detail = detail(outcome, said);
                        RedrivenLetter { dlq_id: *dlq_id, event_id: Some(event.id), outcome, detail }
                    }
                };
                done.push(became);
            }
            progress(&done[before..]);
        }
        Ok(done)
    }

    async fn judge(&mut self, wanted: &[Uuid]) -> Result<HashMap<Uuid, Judged>, Error> {
        let tenant = self.tenant.clone();
        let letters = self.letters(wanted).await?;
        letters
            .into_iter()
            .map(|KeptDeadLetter { row, payload, .. }| {
                let dlq_id = row.dlq_id;
                let judged = match obstacle(&row.state, row.attempts, row.truncated)? {
                    Some(why) => Judged::Done(RedrivenLetter::skipped(dlq_id, row.event_id, why)),
                    None => match parse_event(
                        &payload,
                        Bounds { tenant: &tenant, session: session_of(&row.key_id) },
                        row.received_at,
                    ) {
                        Item::Event(event) => Judged::Passed(event),
                        Item::DeadLetter(refused) => Judged::Done(RedrivenLetter {
                            dlq_id,
                            event_id: refused.event_id,
                            outcome: RedriveOutcome::Judged(Outcome::Rejected(refused.reason)),
                            detail: Some(refused.detail),
                        }),
                    },
                };
                Ok((dlq_id, judged))
            })
            .collect()
    }

    /// What the database would say of those that passed: a word, and the hash of the body.
    async fn standings(
        &mut self,
        judged: &HashMap<Uuid, Judged>,
    ) -> Result<HashMap<Uuid, (String, Vec<u8>)>, Error> {
        const SQL: &str = include_str!("../../sql/dlq_standing.sql");
        let mut columns = Columns::default();
        for (dlq_id, judged) in judged {
            if let Judged::Passed(event) = judged {
                columns.event(*dlq_id, event);
            }
        }
        if columns.letters.is_empty() {
            return Ok(HashMap::new());
        }
        let (actor_type, _) = self.actor();
        let rows = self
            .act(
                SQL,
                &[
                    &actor_type,
                    &columns.letters,
                    &columns.ids,
                    &columns.types,
                    &columns.times,
                    &columns.venues,
                    &columns.sessions,
                    &columns.channels,
                ],
            )
            .await?;
        rows.iter()
            .map(|row| {
                let body: Option<Vec<u8>> = row.try_get("body")?;
                Ok((row.try_get("dlq_id")?, (row.try_get("standing")?, body.unwrap_or_default())))
            })
            .collect()
    }
}

fn would_become<'p>(
    event: &Event,
    standing: Option<&(String, Vec<u8>)>,
    plan: &'p Plan<'_>,
    tenant: &'p TenantId,
    taken: &mut Vec<Units<'p>>,
    stored: &mut HashMap<Uuid, Vec<u8>>,
) -> Result<Outcome, Error> {
    let Some((standing, body)) = standing else {
        return Err(Error::Corrupt("dlq_standing did not answer a letter".into()));
    };
    // As when it is sent again: first the plan is asked, and what was not used is given back.
    let Some(units) = plan.take(tenant, event) else {
        return Ok(Outcome::Rejected(RejectReason::QuotaExceeded));
    };
    Ok(match (&**standing, stored.get(&event.id)) {
        ("db_data_exception", _) => Outcome::Rejected(RejectReason::DbDataException),
        ("duplicate", _) => Outcome::Duplicate,
        ("id_conflict", _) => Outcome::Rejected(RejectReason::IdConflict),
        ("new", Some(known)) if known == body => Outcome::Duplicate,
        ("new", Some(_)) => Outcome::Rejected(RejectReason::IdConflict),
        ("new", None) => {
            taken.push(units);
            stored.insert(event.id, body.clone());
            Outcome::Accepted
        }
        (other, _) => return Err(Error::Corrupt(format!("dlq_standing answered {other}"))),
    })
}
