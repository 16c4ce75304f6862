//! Items as the statement takes them: a column for each parameter.

use seatpilot_domain_model::Item;

use super::body::Body;

/// The items of a statement, column by column.
#[derive(Default)]
pub(super) struct Columns<'a> {
    pub(super) requests: Vec<i64>,
    pub(super) numbers: Vec<i64>,
    pub(super) ids: Vec<Option<uuid::Uuid>>,
    pub(super) types: Vec<Option<&'static str>>,
    pub(super) times: Vec<Option<jiff::Timestamp>>,
    pub(super) venues: Vec<Option<&'a str>>,
    pub(super) sessions: Vec<Option<uuid::Uuid>>,
    pub(super) channels: Vec<Option<&'static str>>,
    pub(super) payloads: Vec<&'a [u8]>,
    pub(super) payload_lengths: Vec<i32>,
    pub(super) payload_hashes: Vec<Option<&'a [u8]>>,
    pub(super) reasons: Vec<Option<&'static str>>,
    pub(super) details: Vec<Option<&'a str>>,
    pub(super) bodies: Vec<Option<&'a [u8]>>,
    pub(super) data_begins: Vec<Option<i32>>,
    pub(super) data_lengths: Vec<Option<i32>>,
}

impl<'a> Columns<'a> {
    pub(super) fn with_capacity(items: usize) -> Self {
        Self {
            requests: Vec::with_capacity(items),
            numbers: Vec::with_capacity(items),
            ids: Vec::with_capacity(items),
            types: Vec::with_capacity(items),
            times: Vec::with_capacity(items),
            venues: Vec::with_capacity(items),
            sessions: Vec::with_capacity(items),
            channels: Vec::with_capacity(items),
            payloads: Vec::with_capacity(items),
            payload_lengths: Vec::with_capacity(items),
            payload_hashes: Vec::with_capacity(items),
            reasons: Vec::with_capacity(items),
            details: Vec::with_capacity(items),
            bodies: Vec::with_capacity(items),
            data_begins: Vec::with_capacity(items),
            data_lengths: Vec::with_capacity(items),
        }
    }

    pub(super) fn push(&mut self, request: i64, number: i64, item: &'a Item, body: Option<&'a Body>) {
        let length = |bytes: usize| i32::try_from(bytes).unwrap_or(i32::MAX);
        self.requests.push(request);
        self.numbers.push(number);
        self.bodies.push(body.map(|body| body.sha256.as_slice()));
        self.data_begins.push(body.map(|body| body.data_begin));
        self.data_lengths.push(body.map(|body| body.data_length));
        match item {
            Item::Event(event) => {
                self.ids.push(Some(event.id));
                self.types.push(Some(event.kind));
                self.times.push(Some(event.occurred_at));
                self.venues.push(Some(event.venue.as_str()));
                self.sessions.push(event.session_id);
                self.channels.push(event.channel.map(|channel| channel.as_str()));
                self.payloads.push(&event.raw);
                self.payload_lengths.push(length(event.raw.len()));
                self.payload_hashes.push(None);
                self.reasons.push(None);
                self.details.push(None);
            }
            Item::DeadLetter(letter) => {
                self.ids.push(letter.event_id);
                self.types.push(letter.event_type);
                self.times.push(None);
                self.venues.push(None);
                self.sessions.push(None);
                self.channels.push(None);
                self.payloads.push(&letter.payload);
                self.payload_lengths.push(length(letter.payload_len));
                self.payload_hashes.push(Some(&letter.payload_sha256));
                self.reasons.push(Some(letter.reason.as_str()));
                self.details.push(Some(&letter.detail));
            }
        }
    }
}
