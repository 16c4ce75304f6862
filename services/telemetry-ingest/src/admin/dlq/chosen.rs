//! Which letters are to be sent again or given up: the bodies of the posts.

use jiff::Timestamp;
use seatpilot_domain_model::{DISCARD_REASON_MAX, Fault, RejectReason, member};
use seatpilot_store::{LetterCursor, LetterFilter};
use serde::Deserialize;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{OneOfBuilder, Ref, RefOr, Schema},
};
use uuid::Uuid;

use super::listed::{cursor, text};
use crate::openapi::ItemReason;

/// A body that is one of two.
macro_rules! either {
    ($name:ident = $one:ident | $other:ident) => {
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let named = |name| Ref::from_schema_name(name);
                OneOfBuilder::new().item(named(stringify!($one))).item(named(stringify!($other))).into()
            }
        }

        impl ToSchema for $name {
            fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                schemas.push((stringify!($one).to_owned(), $one::schema()));
                schemas.push((stringify!($other).to_owned(), $other::schema()));
                $other::schemas(schemas);
            }
        }
    };
}

/// Most letters of one request: at 50 a second it takes two.
const LETTERS_MAX: usize = 100;
/// Letters of which all that is said holds. `{}` is all that wait.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Matching {
    /// Refused for this at first.
    #[serde(default, deserialize_with = "member::present")]
    #[schema(value_type = Option<ItemReason>, nullable = false)]
    reason: Option<RejectReason>,
    /// Of this type, as far as it could be read.
    #[serde(default, deserialize_with = "member::present")]
    #[schema(max_length = 128, pattern = "^[!-~]*$", nullable = false)]
    r#type: Option<String>,
    /// Signed with this key.
    #[serde(default, deserialize_with = "member::present")]
    #[schema(max_length = 128, pattern = "^[!-~]*$", nullable = false)]
    key: Option<String>,
    /// Received at this time or later.
    #[serde(default, deserialize_with = "member::time")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    received_from: Option<Timestamp>,
    /// Received before this time.
    #[serde(default, deserialize_with = "member::time")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    received_before: Option<Timestamp>,
}

/// Letters by their ids, or the first of those that wait and match: one of the two.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Chosen {
    #[serde(default, deserialize_with = "member::present")]
    ids: Option<Vec<Uuid>>,
    #[serde(default, deserialize_with = "member::present")]
    filter: Option<Matching>,
    #[serde(default, deserialize_with = "member::present")]
    after: Option<String>,
}

/// Letters by their ids.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what is read as `Chosen`")]
struct ChosenIds {
    #[schema(min_items = 1, max_items = 100)]
    ids: Vec<Uuid>,
}

/// The first hundred of those that wait and match, oldest first.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what is read as `Chosen`")]
struct ChosenMatching {
    filter: Matching,
    /// `next_after` of the answer before.
    #[schema(
        nullable = false,
        pattern = "^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?Z~[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
    )]
    after: Option<String>,
}

either!(Chosen = ChosenIds | ChosenMatching);

/// Letters to be given up, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GivenUp {
    #[serde(default, deserialize_with = "member::present")]
    ids: Option<Vec<Uuid>>,
    #[serde(default, deserialize_with = "member::present")]
    filter: Option<Matching>,
    why: String,
}

/// Letters by their ids.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what is read as `GivenUp`")]
struct GivenUpIds {
    #[schema(min_items = 1, max_items = 100)]
    ids: Vec<Uuid>,
    /// Why, in one line: it is kept with each letter and in the audit log.
    #[schema(min_length = 1, max_length = 500, pattern = "^[ -~]*[!-~][ -~]*$")]
    why: String,
}

/// The first hundred of those that wait and match, oldest first.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what is read as `GivenUp`")]
struct GivenUpMatching {
    filter: Matching,
    /// Why, in one line: it is kept with each letter and in the audit log.
    #[schema(min_length = 1, max_length = 500, pattern = "^[ -~]*[!-~][ -~]*$")]
    why: String,
}

either!(GivenUp = GivenUpIds | GivenUpMatching);

/// The letters of one request.
pub(super) enum Which {
    Ids(Vec<Uuid>),
    Filter(LetterFilter, Option<LetterCursor>),
}

/// Most letters that a filter takes at once.
pub(super) const LETTERS_AT_ONCE: u32 = LETTERS_MAX as u32;

impl Chosen {
    pub(super) fn which(self) -> Result<Which, Fault> {
        if self.after.is_some() && self.filter.is_none() {
            return Err(Fault::schema("/after", "goes with filter"));
        }
        which(self.ids, self.filter, self.after)
    }
}

impl GivenUp {
    /// Which, and why.
    pub(super) fn which(self) -> Result<(Which, String), Fault> {
        let why = self.why.trim();
        let fits = (1..=DISCARD_REASON_MAX).contains(&why.chars().count());
        if !fits || why.chars().any(char::is_control) {
            let rule = format!("must be one line of 1 to {DISCARD_REASON_MAX} characters");
            return Err(Fault::schema("/why", rule));
        }
        let why = why.to_owned();
        Ok((which(self.ids, self.filter, None)?, why))
    }
}

fn which(ids: Option<Vec<Uuid>>, filter: Option<Matching>, after: Option<String>) -> Result<Which, Fault> {
    match (ids, filter) {
        (Some(mut ids), None) => {
            if !(1..=LETTERS_MAX).contains(&ids.len()) {
                return Err(Fault::schema("/ids", format!("must have 1 to {LETTERS_MAX} items")));
            }
            let mut seen = std::collections::HashSet::new();
            ids.retain(|id| seen.insert(*id));
            Ok(Which::Ids(ids))
        }
        (None, Some(matching)) => {
            let filter = LetterFilter {
                reason: matching.reason,
                event_type: text("/filter/type", matching.r#type)?,
                key_id: text("/filter/key", matching.key)?,
                state: None,
                received_from: matching.received_from,
                received_before: matching.received_before,
            };
            Ok(Which::Filter(filter, cursor("/after", after)?))
        }
        (Some(_), Some(_)) | (None, None) => {
            Err(Fault::schema("/ids", "is required, or filter: one of the two"))
        }
    }
}
