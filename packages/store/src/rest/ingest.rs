//! Telemetry events over REST: the batch of [`EventIngest`](crate::events::EventIngest), written as JSON.

use std::sync::Arc;

use base64::{display::Base64Display, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use seatpilot_domain_model::{Item, Submission, SubmitAnswer, TenantId};
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

use super::client::RestClient;
use crate::{
    Error,
    events::{self, EventIngest, Stored, outcome},
    writer::{Batch, Line, SendError},
};

/// The same rows as by Postgres' own protocol, with the same keys and bounds.
pub(crate) struct RestIngest;

/// A way over HTTP is lost with each call that fails, and open again with the next that does not.
pub(crate) struct RestLine(Arc<RestClient>);

impl Line for RestLine {
    type Target = Arc<RestClient>;

    async fn lost(&self) {
        std::future::pending().await
    }
}

impl Batch for RestIngest {
    type Row = Arc<Submission>;
    type Answer = SubmitAnswer;
    type Line = RestLine;
    const NAME: &'static str = EventIngest::NAME;

    fn tenant(row: &Arc<Submission>) -> &TenantId {
        &row.tenant
    }

    fn key(row: &Arc<Submission>) -> u64 {
        events::key(row)
    }

    fn bytes(row: &Arc<Submission>) -> usize {
        events::bytes(row)
    }

    fn items(row: &Arc<Submission>) -> usize {
        row.items.len()
    }

    async fn open(&self, target: &Arc<RestClient>) -> Result<RestLine, Error> {
        Ok(RestLine(Arc::clone(target)))
    }

    async fn send(
        &self,
        line: &RestLine,
        tenant: &str,
        rows: &[&Arc<Submission>],
    ) -> Result<Vec<SubmitAnswer>, SendError> {
        if rows.is_empty() {
            let _: Hello = line.0.call("hello", &()).await?;
            return Ok(Vec::new());
        }
        let answers: Vec<RequestAnswer> = line.0.call("submit", &Given::of(tenant, rows)).await?;
        let mut found: Vec<Option<Stored>> = rows.iter().map(|_| None).collect();
        for answer in answers {
            let place = usize::try_from(answer.request - 1).ok().and_then(|at| found.get_mut(at));
            match place {
                Some(place @ None) => *place = Some(answer.stored()?),
                Some(Some(_)) | None => {
                    return Err(SendError::Shape(format!(
                        "event_ingest answered request {}",
                        answer.request
                    )));
                }
            }
        }
        let answered = |(found, row): (Option<Stored>, &&Arc<Submission>)| {
            found
                .ok_or_else(|| SendError::Shape("event_ingest left a request without answer".to_owned()))?
                .receipts(row)
        };
        found.into_iter().zip(rows).map(answered).collect()
    }
}

/// Who is there.
#[derive(Deserialize)]
pub(crate) struct Hello {
    pub(crate) schema_version: Option<String>,
}

#[derive(Deserialize)]
struct RequestAnswer {
    request: i64,
    replayed: bool,
    reused: bool,
    outcomes: Vec<String>,
}

impl RequestAnswer {
    fn stored(self) -> Result<Stored, SendError> {
        let Self { replayed, reused, outcomes, .. } = self;
        // Of a reused nonce they are those of another body, or of a ping: nobody's here.
        let outcomes = if reused {
            Vec::new()
        } else {
            outcomes.iter().map(|word| outcome(word)).collect::<Result<_, _>>()?
        };
        Ok(Stored { replayed, reused, outcomes })
    }
}

#[derive(Serialize)]
struct Given<'a> {
    tenant: &'a str,
    requests: Vec<RequestRow<'a>>,
    items: Vec<ItemRow<'a>>,
}

#[derive(Serialize)]
struct RequestRow<'a> {
    key_id: &'a str,
    ts: i64,
    nonce: &'a str,
    #[serde(serialize_with = "hex")]
    body_sha256: &'a [u8],
    request_id: &'a str,
    received_at: Timestamp,
}

/// What an item has not is left out, and null for the function.
#[derive(Serialize)]
struct ItemRow<'a> {
    request: usize,
    number: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    occurred_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    venue_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'static str>,
    #[serde(serialize_with = "base64")]
    payload: &'a [u8],
    payload_len: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_sha256: Option<Digits<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

impl<'a> Given<'a> {
    fn of(tenant: &'a str, rows: &[&'a Arc<Submission>]) -> Self {
        let requests = rows.iter().map(|row| RequestRow {
            key_id: &row.nonce.key_id,
            ts: row.nonce.ts,
            nonce: &row.nonce.nonce,
            body_sha256: &row.nonce.body_sha256,
            request_id: &row.request_id,
            received_at: row.received_at,
        });
        let mut items = Vec::with_capacity(rows.iter().map(|row| row.items.len()).sum());
        for (request, row) in (1..).zip(rows) {
            items.extend((1..).zip(&row.items).map(|(number, item)| ItemRow::of(request, number, item)));
        }
        Self { tenant, requests: requests.collect(), items }
    }
}

impl<'a> ItemRow<'a> {
    fn of(request: usize, number: usize, item: &'a Item) -> Self {
        match item {
            Item::Event(event) => Self {
                request,
                number,
                id: Some(event.id),
                kind: Some(event.kind),
                occurred_at: Some(event.occurred_at),
                venue_id: Some(event.venue.as_str()),
                session_id: event.session_id,
                channel: event.channel.map(|channel| channel.as_str()),
                payload: &event.raw,
                payload_len: event.raw.len(),
                payload_sha256: None,
                reason: None,
                detail: None,
            },
            Item::DeadLetter(letter) => Self {
                request,
                number,
                id: letter.event_id,
                kind: letter.event_type,
                occurred_at: None,
                venue_id: None,
                session_id: None,
                channel: None,
                payload: &letter.payload,
                payload_len: letter.payload_len,
                payload_sha256: Some(Digits(&letter.payload_sha256)),
                reason: Some(letter.reason.as_str()),
                detail: Some(&letter.detail),
            },
        }
    }
}

/// Bytes that travel as base64: JSON has none.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Bytes<'a>(#[serde(serialize_with = "base64")] pub(crate) &'a [u8]);

/// A hash as digits.
#[derive(Serialize)]
#[serde(transparent)]
struct Digits<'a>(#[serde(serialize_with = "hex")] &'a [u8]);

fn base64<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&Base64Display::new(bytes, &STANDARD))
}

fn hex<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&super::hex::Lower(bytes))
}
