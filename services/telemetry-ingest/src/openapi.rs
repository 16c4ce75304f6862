//! The OpenAPI document, and the shapes that only it needs: what is read is checked byte by byte against the JSON
//! Schemas of `domain-model`, and has no type of its own here.

use seatpilot_domain_model::{
    Channel, DiscardOutcome, EVENT_TYPES, EVENTS_PER_REQUEST_MAX, LetterState, RejectReason,
};
use seatpilot_http::openapi;
use serde_json::Value;
use utoipa::{
    OpenApi, PartialSchema, ToSchema,
    openapi::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema, Type},
};
use uuid::Uuid;

use crate::receipts::ItemReceipt;

/// The document of this service.
pub fn document() -> String {
    openapi::document(&Api::openapi(), "telemetry-ingest", env!("CARGO_PKG_VERSION"))
}

#[derive(OpenApi)]
#[openapi(
    info(
        description = "Takes HMAC-signed telemetry. What is authenticated and bad goes to the dead-letter queue."
    ),
    paths(
        crate::events::post_events,
        crate::admin::get_login,
        crate::admin::post_login,
        crate::admin::post_logout,
        crate::admin::get_house,
        crate::admin::get_audit,
        crate::admin::get_billing,
        crate::admin::get_billing_csv,
        crate::admin::get_billing_usage,
        crate::admin::get_dlq,
        crate::admin::get_letter,
        crate::admin::post_dry_run,
        crate::admin::post_redrive,
        crate::admin::post_discard
    )
)]
struct Api;

/// One event, or an array of 1 to 500.
pub(crate) struct Events;

impl PartialSchema for Events {
    fn schema() -> RefOr<Schema> {
        let event = || Ref::from_schema_name("Event");
        let several =
            ArrayBuilder::new().items(event()).min_items(Some(1)).max_items(Some(EVENTS_PER_REQUEST_MAX));
        OneOfBuilder::new().item(event()).item(several).into()
    }
}

impl ToSchema for Events {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("Event".to_owned(), Event::schema()));
        Event::schemas(schemas);
    }
}

/// An event. Further members are refused here and allowed inside `data`; each type's schema is in
/// `packages/domain-model/schemas`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is read; nothing is ever made of it")]
pub(crate) struct Event {
    /// Stored once within the tenant.
    id: Uuid,
    /// What happened.
    r#type: EventType,
    /// When: RFC 3339 with an offset and at most microseconds, at most 7 days ago and 5 minutes ahead.
    #[schema(value_type = String, format = DateTime)]
    occurred_at: String,
    /// Where.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    venue_id: String,
    /// Whose visit.
    #[schema(nullable = false)]
    session_id: Option<Uuid>,
    /// By what.
    #[schema(nullable = false)]
    channel: Option<ChannelWord>,
    /// The key's tenant, or absent.
    #[schema(nullable = false, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    tenant_id: Option<String>,
    /// What the type says.
    #[schema(value_type = Object)]
    data: Value,
}

/// A single event that was rejected: a problem document with the receipt.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is answered; the problem document is written by `http`")]
pub(crate) struct RejectedItem {
    /// `urn:seatpilot:problem:<reason>`
    r#type: String,
    title: String,
    /// 422
    status: u16,
    detail: String,
    /// The request's id.
    instance: String,
    /// The reason.
    code: ItemReason,
    /// Which member, where it is one.
    #[schema(value_type = Option<Vec<Object>>, nullable = false)]
    errors: Option<Value>,
    /// 0
    accepted: usize,
    /// 0
    duplicates: usize,
    /// 1
    rejected: usize,
    /// One.
    items: Vec<ItemReceipt>,
}

/// A closed set of words.
macro_rules! word_schema {
    ($(#[$doc:meta])* $name:ident = $words:expr) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new().schema_type(Type::String).enum_values(Some($words)).into()
            }
        }

        impl ToSchema for $name {}
    };
}

word_schema!(
    /// The types that have a schema.
    EventType = EVENT_TYPES.iter().copied());
word_schema!(
    /// `Channel`.
    ChannelWord = Channel::ALL.iter().map(|word| word.as_str()));
word_schema!(
    /// What becomes of an item.
    ItemStatus = ["accepted", "duplicate", "rejected"]);
word_schema!(
    /// Why an item is rejected.
    ItemReason = RejectReason::ALL.iter().map(|word| word.as_str()));
word_schema!(
    /// Where a dead letter stands.
    LetterStateWord = LetterState::ALL.iter().map(|word| word.as_str()));
word_schema!(
    /// What becomes of a dead letter that is sent again.
    RedriveStatus = ["accepted", "duplicate", "rejected", "skipped"]);
word_schema!(
    /// What becomes of a dead letter that is given up.
    DiscardOutcomeWord = DiscardOutcome::ALL.iter().map(|word| word.as_str()));
