//! The OpenAPI document, and the shapes that only it needs: what is read is checked byte by byte against the JSON
//! Schemas of `domain-model`, and has no type of its own here.

use seatpilot_domain_model::{
    DiscardOutcome, ENVELOPE_SCHEMA, EVENT_TYPES, EVENTS_PER_REQUEST_MAX, LetterState, RejectReason,
    event_schema,
};
use seatpilot_http::openapi;
use serde_json::{Map, Value, json};
use utoipa::{
    OpenApi, PartialSchema, ToSchema,
    openapi::{
        ArrayBuilder, ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema, Type,
        schema::{AdditionalProperties, AnyOfBuilder},
    },
};

use crate::receipts::ItemReceipt;

/// The document of this service.
pub fn document() -> String {
    openapi::document_with(&Api::openapi(), events(), "telemetry-ingest", env!("CARGO_PKG_VERSION"))
}

/// An event of each type, with the type's own `data`: from the schemas that the items are checked against, in which
/// there are words that utoipa has no types for.
fn events() -> Value {
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let (mut schemas, mut kinds) = (Map::new(), Vec::new());
    for kind in EVENT_TYPES {
        let (mut event, own) = (read(ENVELOPE_SCHEMA), read(event_schema(kind).unwrap_or_default()));
        let slug = event["$defs"]["slug"].take();
        for member in ["venue_id", "tenant_id"] {
            merge(&mut event["properties"][member], &slug);
        }
        for (member, schema) in own["properties"].as_object().into_iter().flatten() {
            merge(&mut event["properties"][member.as_str()], schema);
        }
        for word in ["title", "description"] {
            event[word] = own[word].clone();
        }
        if let Some(event) = event.as_object_mut() {
            event.retain(|word, _| !word.starts_with('$'));
        }
        for property in event["properties"].as_object_mut().into_iter().flat_map(Map::values_mut) {
            if let Some(property) = property.as_object_mut() {
                property.retain(|word, _| word != "$ref");
            }
        }
        let name = format!("Event.{kind}");
        kinds.push(json!({ "$ref": format!("#/components/schemas/{name}") }));
        schemas.insert(name, event);
    }
    let description = "An event. Further members are refused beside `data` and allowed inside it; each type has its \
        own. `occurred_at` is at most 7 days ago and 5 minutes ahead, `tenant_id` the key's tenant.";
    schemas.insert("Event".to_owned(), json!({ "description": description, "oneOf": kinds }));
    Value::Object(schemas)
}

/// Adds members to an object, or overwrites them.
fn merge(into: &mut Value, from: &Value) {
    for (name, value) in from.as_object().into_iter().flatten() {
        into[name.as_str()] = value.clone();
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        description = "Takes HMAC-signed telemetry. What is authenticated and bad goes to the dead-letter queue."
    ),
    paths(
        crate::events::post_events,
        crate::session_keys::post_session_key,
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

impl ToSchema for Events {}

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

/// What a 422 says: the receipt of the one event, or that there are none or too many.
pub(crate) struct Refused;

impl PartialSchema for Refused {
    fn schema() -> RefOr<Schema> {
        AnyOfBuilder::new()
            .item(Ref::from_schema_name("RejectedItem"))
            .item(Ref::from_schema_name("Problem"))
            .into()
    }
}

impl ToSchema for Refused {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("RejectedItem".to_owned(), RejectedItem::schema()));
        RejectedItem::schemas(schemas);
    }
}

/// What the login form sends: one of the two.
pub(crate) struct LoginForm;

impl PartialSchema for LoginForm {
    fn schema() -> RefOr<Schema> {
        let text =
            |description| ObjectBuilder::new().schema_type(Type::String).description(Some(description));
        let one = |name, description| {
            // Any character that is no white space; as much as a field may have.
            let secret = text(description).pattern(Some("[!-~]")).max_length(Some(4_000));
            ObjectBuilder::new()
                .property(name, secret)
                .property("next", text("Where to go on to: a path under `/admin`."))
                .required(name)
                .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
        };
        OneOfBuilder::new()
            .item(one("token", "An administrator's token."))
            .item(one("code", "The code of a login link."))
            .into()
    }
}

impl ToSchema for LoginForm {}

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
