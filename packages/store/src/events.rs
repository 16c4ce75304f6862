//! Telemetry events: signed requests stored with their nonce, their dead letters and their outcomes.

mod body;
mod columns;
mod jsonb;

use std::sync::Arc;

use seatpilot_domain_model::{
    DeadLetter, Item, Outcome, Receipt, RejectReason, Submission, SubmitAnswer, TenantId,
};
use sha2::{Digest, Sha256};
use tokio_postgres::{Client, Row};

use crate::{
    Error,
    asking::Asking,
    connection::Target,
    prepared::Prepared,
    sessions::{hash, in_order},
    writer::{Batch, SendError},
};

use body::Body;
use columns::Columns;

/// A submission, and of each of its items what the database need not work out.
pub(crate) struct Submitted {
    /// Shared with the caller, who needs it again if the database refuses a value in it.
    submission: Arc<Submission>,
    bodies: Vec<Option<Body>>,
}

impl From<Arc<Submission>> for Submitted {
    fn from(submission: Arc<Submission>) -> Self {
        let mut text = Vec::with_capacity(512);
        let body = |item: &Item| match item {
            Item::Event(event) => Body::of(event, &mut text),
            Item::DeadLetter(_) => None,
        };
        let bodies = submission.items.iter().map(body).collect();
        Self { submission, bodies }
    }
}

impl From<Submission> for Submitted {
    fn from(submission: Submission) -> Self {
        Arc::new(submission).into()
    }
}

pub(crate) struct EventIngest;

impl Batch for EventIngest {
    type Row = Submitted;
    type Answer = SubmitAnswer;
    type Line = Prepared;
    const NAME: &'static str = "event_ingest";

    fn tenant(row: &Submitted) -> &TenantId {
        &row.submission.tenant
    }

    fn key(row: &Submitted) -> u64 {
        key(&row.submission)
    }

    fn bytes(row: &Submitted) -> usize {
        bytes(&row.submission) + size_of_val(row.bodies.as_slice())
    }

    fn items(row: &Submitted) -> usize {
        row.submission.items.len()
    }

    async fn open(&self, target: &Target) -> Result<Prepared, Error> {
        Prepared::open(target, include_str!("../sql/event_ingest.sql")).await
    }

    async fn send(
        &self,
        line: &Prepared,
        tenant: &str,
        rows: &[&Submitted],
    ) -> Result<Vec<SubmitAnswer>, SendError> {
        let submissions = || rows.iter().map(|row| &*row.submission);
        let key_ids: Vec<_> = submissions().map(|row| row.nonce.key_id.as_str()).collect();
        let key_times: Vec<_> = submissions().map(|row| row.nonce.ts).collect();
        let nonces: Vec<_> = submissions().map(|row| row.nonce.nonce.as_str()).collect();
        let bodies: Vec<_> = submissions().map(|row| row.nonce.body_sha256.as_slice()).collect();
        let request_ids: Vec<_> = submissions().map(|row| row.request_id.as_str()).collect();
        let receipts: Vec<_> = submissions().map(|row| row.received_at).collect();
        let mut columns = Columns::with_capacity(submissions().map(|row| row.items.len()).sum());
        for (request, row) in (1_i64..).zip(rows) {
            for (number, (item, body)) in (1_i64..).zip(row.submission.items.iter().zip(&row.bodies)) {
                columns.push(request, number, item, body.as_ref());
            }
        }
        let found = line
            .query(&[
                &tenant,
                &key_ids,
                &key_times,
                &nonces,
                &bodies,
                &request_ids,
                &receipts,
                &columns.requests,
                &columns.numbers,
                &columns.ids,
                &columns.types,
                &columns.times,
                &columns.venues,
                &columns.sessions,
                &columns.channels,
                &columns.payloads,
                &columns.payload_lengths,
                &columns.payload_hashes,
                &columns.reasons,
                &columns.details,
                &columns.bodies,
                &columns.data_begins,
                &columns.data_lengths,
            ])
            .await?;
        let answers = in_order(rows.len(), found, stored)?;
        answers.into_iter().zip(submissions()).map(|(answer, row)| answer.receipts(row)).collect()
    }
}

/// A nonce is used by one request at a time.
pub(crate) fn key(row: &Submission) -> u64 {
    hash(&(&row.nonce.key_id, row.nonce.ts, &row.nonce.nonce))
}

/// What a submission counts against the queue's bytes.
pub(crate) fn bytes(row: &Submission) -> usize {
    let item = |item: &Item| match item {
        Item::Event(event) => event.raw.len(),
        Item::DeadLetter(letter) => letter.payload.len() + letter.detail.len(),
    };
    row.items.iter().map(|one| item(one) + size_of::<Item>()).sum::<usize>() + size_of::<Submission>()
}

/// What the statement says of one request.
pub(crate) struct Stored {
    pub(crate) replayed: bool,
    pub(crate) reused: bool,
    pub(crate) outcomes: Vec<Outcome>,
}

impl Stored {
    pub(crate) fn receipts(self, row: &Submission) -> Result<SubmitAnswer, SendError> {
        if self.reused {
            return Ok(SubmitAnswer::NonceReused);
        }
        if self.outcomes.len() != row.items.len() {
            return Err(SendError::Shape(format!(
                "event_ingest has {} outcomes for {} items",
                self.outcomes.len(),
                row.items.len()
            )));
        }
        let receipts = self
            .outcomes
            .into_iter()
            .zip(&row.items)
            .map(|(outcome, item)| Receipt { id: item.id(), outcome })
            .collect();
        Ok(if self.replayed { SubmitAnswer::Replayed(receipts) } else { SubmitAnswer::Stored(receipts) })
    }
}

fn stored(row: &Row) -> Result<Stored, SendError> {
    let reused: bool = row.try_get("reused")?;
    let words: Vec<&str> = row.try_get("outcomes")?;
    // Of a reused nonce they are those of another body, or of a ping: nobody's here.
    let outcomes =
        if reused { Vec::new() } else { words.into_iter().map(outcome).collect::<Result<_, _>>()? };
    Ok(Stored { replayed: row.try_get("replayed")?, reused, outcomes })
}

pub(crate) fn outcome(word: &str) -> Result<Outcome, SendError> {
    match word {
        "accepted" => Ok(Outcome::Accepted),
        "duplicate" => Ok(Outcome::Duplicate),
        reason => reason
            .parse()
            .map(Outcome::Rejected)
            .map_err(|_| SendError::Shape(format!("event_ingest answered {reason:?}"))),
    }
}

/// Turns the events that Postgres does not take as jsonb into dead letters, so that the rest can be stored.
/// Returns how many there were. The strict parser refuses what jsonb refuses; this is the net below it.
pub(crate) async fn bury_refused(
    client: &Client,
    statement: &Asking,
    submission: &mut Submission,
) -> Result<usize, tokio_postgres::Error> {
    let found = statement.query(client, &[&raws(submission).collect::<Vec<_>>()]).await?;
    let mut taken = vec![true; submission.items.len()];
    for row in &found {
        let ordinal: i64 = row.try_get("ord")?;
        let place = usize::try_from(ordinal - 1).ok().and_then(|at| taken.get_mut(at));
        if let Some(place) = place {
            *place = row.try_get("taken")?;
        }
    }
    Ok(bury(submission, &taken))
}

/// What the database is to take as jsonb, item by item.
pub(crate) fn raws(submission: &Submission) -> impl Iterator<Item = &[u8]> {
    submission.items.iter().map(|item| match item {
        Item::Event(event) => &*event.raw,
        Item::DeadLetter(_) => b"null".as_slice(),
    })
}

/// Makes dead letters of the events that are not taken. Returns how many there were.
pub(crate) fn bury(submission: &mut Submission, taken: &[bool]) -> usize {
    let mut buried = 0;
    for (item, _) in submission.items.iter_mut().zip(taken).filter(|(_, taken)| !**taken) {
        if let Item::Event(event) = item {
            buried += 1;
            *item = Item::DeadLetter(DeadLetter {
                reason: RejectReason::DbDataException,
                detail: "the database does not take the event as jsonb".to_owned(),
                payload_len: event.raw.len(),
                payload_sha256: Sha256::digest(&event.raw).into(),
                payload: std::mem::take(&mut event.raw),
                event_id: Some(event.id),
                event_type: Some(event.kind),
            });
        }
    }
    buried
}
