//! Sending letters again: claimed for 60 s, judged as events of today at the time they were received, and settled,
//! a few at a time. Event, letter and audit row are one transaction; where it breaks off, a letter is done or waits.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use seatpilot_domain_model::{
    Bounds, Event, Item, Outcome, RedriveOutcome, RejectReason, Skipped, parse_event,
};
use tokio::time::{Instant, sleep_until};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    DeadLetterDesk, RedrivenLetter, obstacle,
    plan::{OVER_THE_PLAN, Units},
};
use crate::{Error, signer::session_of};

/// Letters of one transaction: the audit chain of the tenant is locked as long as it lasts.
const LETTERS_AT_ONCE: usize = 10;
/// At most 50 letters a second, so that a big queue costs the ones who come in nothing.
const PACE: Duration = Duration::from_millis(200);

/// A letter that is claimed.
struct Claimed {
    dlq_id: Uuid,
    received_at: Timestamp,
    payload: Vec<u8>,
    /// The one session of which the key could speak that signed it, where it was a session's.
    session: Option<Uuid>,
}

impl Claimed {
    fn of_row(row: &Row, signers: &HashMap<Uuid, String>) -> Result<Self, Error> {
        let dlq_id = row.try_get("dlq_id")?;
        let signer = signers.get(&dlq_id).ok_or_else(|| Error::Corrupt("a letter has no signer".into()))?;
        Ok(Self {
            dlq_id,
            received_at: row.try_get("received_at")?,
            payload: row.try_get("payload")?,
            session: session_of(signer),
        })
    }
}

/// What is settled, column by column.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) letters: Vec<Uuid>,
    pub(super) ids: Vec<Option<Uuid>>,
    pub(super) types: Vec<Option<&'static str>>,
    pub(super) times: Vec<Option<Timestamp>>,
    pub(super) venues: Vec<Option<String>>,
    pub(super) sessions: Vec<Option<Uuid>>,
    pub(super) channels: Vec<Option<&'static str>>,
    reasons: Vec<Option<&'static str>>,
    details: Vec<Option<String>>,
}

impl Columns {
    /// An event that passed what needs no database.
    pub(super) fn event(&mut self, letter: Uuid, event: &Event) {
        self.letters.push(letter);
        self.ids.push(Some(event.id));
        self.types.push(Some(event.kind));
        self.times.push(Some(event.occurred_at));
        self.venues.push(Some(event.venue.as_str().to_owned()));
        self.sessions.push(event.session_id);
        self.channels.push(event.channel.map(|channel| channel.as_str()));
        self.reasons.push(None);
        self.details.push(None);
    }

    fn refused(&mut self, letter: Uuid, id: Option<Uuid>, reason: RejectReason, detail: String) {
        self.letters.push(letter);
        self.ids.push(id);
        self.types.push(None);
        self.times.push(None);
        self.venues.push(None);
        self.sessions.push(None);
        self.channels.push(None);
        self.reasons.push(Some(reason.as_str()));
        self.details.push(Some(detail));
    }
}

impl DeadLetterDesk<'_> {
    /// Sends letters again, at most 50 a second, and says of each what became of it, in the order asked. `progress`
    /// hears of each ten.
    ///
    /// # Errors
    /// [`Error`]; what was told to `progress` is done, and of the ten that failed it is not known: a letter is done or
    /// waits again within 60 s, so the same again is safe.
    pub async fn redrive(
        &mut self,
        letters: &[Uuid],
        mut progress: impl FnMut(&[RedrivenLetter]),
    ) -> Result<Vec<RedrivenLetter>, Error> {
        let mut done = Vec::with_capacity(letters.len());
        let mut turn = Instant::now();
        for some in letters.chunks(LETTERS_AT_ONCE) {
            sleep_until(turn).await;
            turn = Instant::now() + PACE;
            let became = self.redrive_some(some).await?;
            progress(&became);
            done.extend(became);
        }
        Ok(done)
    }

    async fn redrive_some(&mut self, wanted: &[Uuid]) -> Result<Vec<RedrivenLetter>, Error> {
        const CLAIM: &str = include_str!("../../sql/dlq_claim.sql");
        self.look_at_the_plan().await?;
        let signers = self.signers(wanted).await?;
        let token = Uuid::new_v4();
        let (actor_type, _) = self.actor();
        let rows = self.act(CLAIM, &[&actor_type, &wanted, &token]).await?;
        let mut claimed =
            rows.iter().map(|row| Claimed::of_row(row, &signers)).collect::<Result<Vec<_>, _>>()?;
        claimed.sort_by_key(|letter| (letter.received_at, letter.dlq_id));
        let mut became = self.settle(token, &claimed).await?;
        if became.len() < wanted.len() {
            self.explain(wanted, &mut became).await?;
        }
        Ok(wanted.iter().filter_map(|id| became.remove(id)).collect())
    }

    /// The ids of the keys that signed, by letter.
    async fn signers(&mut self, wanted: &[Uuid]) -> Result<HashMap<Uuid, String>, Error> {
        const SIGNERS: &str = include_str!("../../sql/dlq_signers.sql");
        let tenant = self.tenant.clone();
        let rows = self.read(SIGNERS, &[&tenant.as_str(), &wanted]).await?;
        rows.iter().map(|row| Ok((row.try_get("dlq_id")?, row.try_get("source_key_id")?))).collect()
    }

    /// Judges letters as ingest does, and stores what becomes of them.
    async fn settle(
        &mut self,
        token: Uuid,
        claimed: &[Claimed],
    ) -> Result<HashMap<Uuid, RedrivenLetter>, Error> {
        const SETTLE: &str = include_str!("../../sql/dlq_settle.sql");
        if claimed.is_empty() {
            return Ok(HashMap::new());
        }
        // Apart from the desk, whose connection is used below.
        let plan = std::mem::replace(&mut self.plan, super::plan::Plan::read());
        let tenant = self.tenant.clone();
        let mut columns = Columns::default();
        let mut units: HashMap<Uuid, Units<'_>> = HashMap::new();
        for letter in claimed {
            // An operator must not do for a session's key what it could not do itself.
            let bounds = Bounds { tenant: &tenant, session: letter.session };
            match parse_event(&letter.payload, bounds, letter.received_at) {
                Item::DeadLetter(refused) => {
                    columns.refused(letter.dlq_id, refused.event_id, refused.reason, refused.detail);
                }
                Item::Event(event) => match plan.take(&tenant, &event) {
                    Some(taken) => {
                        units.insert(letter.dlq_id, taken);
                        columns.event(letter.dlq_id, &event);
                    }
                    None => {
                        let detail = OVER_THE_PLAN.to_owned();
                        columns.refused(letter.dlq_id, Some(event.id), RejectReason::QuotaExceeded, detail);
                    }
                },
            }
        }
        let (actor_type, actor_id) = self.actor();
        let origin = self.origin;
        let found = self
            .act(
                SETTLE,
                &[
                    &actor_type,
                    &actor_id,
                    &origin.ip,
                    &origin.request_id,
                    &token,
                    &columns.letters,
                    &columns.ids,
                    &columns.types,
                    &columns.times,
                    &columns.venues,
                    &columns.sessions,
                    &columns.channels,
                    &columns.reasons,
                    &columns.details,
                ],
            )
            .await;
        let became = found.and_then(|rows| {
            let mut became = HashMap::with_capacity(rows.len());
            for row in &rows {
                let dlq_id: Uuid = row.try_get("dlq_id")?;
                let outcome = outcome(row.try_get("outcome")?)?;
                if outcome == RedriveOutcome::Judged(Outcome::Accepted)
                    && let Some(units) = units.remove(&dlq_id)
                {
                    units.use_up();
                }
                let at = columns.letters.iter().position(|letter| *letter == dlq_id);
                let event_id = at.and_then(|at| columns.ids[at]);
                let detail = detail(outcome, at.and_then(|at| columns.details[at].clone()));
                became.insert(dlq_id, RedrivenLetter { dlq_id, event_id, outcome, detail });
            }
            Ok(became)
        });
        drop(units);
        self.plan = plan;
        became
    }

    /// Says of the letters that could not be claimed why.
    async fn explain(
        &mut self,
        wanted: &[Uuid],
        became: &mut HashMap<Uuid, RedrivenLetter>,
    ) -> Result<(), Error> {
        const STATES: &str = include_str!("../../sql/dlq_states.sql");
        let left: Vec<Uuid> = wanted.iter().filter(|id| !became.contains_key(id)).copied().collect();
        let tenant = self.tenant.clone();
        for row in &self.read(STATES, &[&tenant.as_str(), &left]).await? {
            let dlq_id = row.try_get("dlq_id")?;
            // It waits by now: somebody else had it a moment ago.
            let why = obstacle(row.try_get("state")?, row.try_get("attempts")?, row.try_get("truncated")?)?
                .unwrap_or(Skipped::Leased);
            became.insert(dlq_id, RedrivenLetter::skipped(dlq_id, row.try_get("event_id")?, why));
        }
        for dlq_id in left {
            became.entry(dlq_id).or_insert_with(|| RedrivenLetter::skipped(dlq_id, None, Skipped::Unknown));
        }
        Ok(())
    }
}

fn outcome(word: &str) -> Result<RedriveOutcome, Error> {
    Ok(match word {
        "accepted" => RedriveOutcome::Judged(Outcome::Accepted),
        "duplicate" => RedriveOutcome::Judged(Outcome::Duplicate),
        "lost" => RedriveOutcome::Skipped(Skipped::Lost),
        reason => RedriveOutcome::Judged(Outcome::Rejected(
            reason.parse().map_err(|_| Error::Corrupt(format!("dlq_settle answered {reason}")))?,
        )),
    })
}

/// What is wrong, in words: as the parser said it, or the database's.
pub(super) fn detail(outcome: RedriveOutcome, said: Option<String>) -> Option<String> {
    match outcome {
        RedriveOutcome::Judged(Outcome::Rejected(reason)) => said.or_else(|| match reason {
            RejectReason::IdConflict => Some("the id is known with another body".to_owned()),
            RejectReason::DbDataException => Some("the database does not take the event as jsonb".to_owned()),
            _ => None,
        }),
        RedriveOutcome::Judged(Outcome::Accepted | Outcome::Duplicate) | RedriveOutcome::Skipped(_) => None,
    }
}
