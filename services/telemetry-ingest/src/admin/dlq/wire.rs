//! `/admin/dlq` on the wire: which letters, and what became of them.

use jiff::Timestamp;
use seatpilot_domain_model::{
    DISCARD_REASON_MAX, DiscardOutcome, Fault, LetterState, RejectReason, member, parse_rfc3339,
};
use seatpilot_store::{DiscardedLetter, LetterCursor, LetterFilter, RedrivenLetter};
use serde::{Deserialize, Serialize};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{OneOfBuilder, Ref, RefOr, Schema},
};
use uuid::Uuid;

use crate::openapi::{DiscardOutcomeWord, ItemReason, LetterStateWord, RedriveStatus};

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

/// Rows of a list, where nobody says how many, and at most.
const LIMIT: u32 = 100;
const LIMIT_MAX: u32 = 1_000;
/// Most letters of one request: at 50 a second it takes two.
const LETTERS_MAX: usize = 100;
/// Longest type or key id of a filter: nothing that is stored is longer.
const TEXT_MAX: usize = 128;

/// Which rows.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listed {
    /// Refused for this at first.
    #[param(value_type = Option<ItemReason>)]
    reason: Option<RejectReason>,
    /// Of this type, as far as it could be read.
    #[param(max_length = 128, pattern = "^[!-~]*$")]
    r#type: Option<String>,
    /// Signed with this key.
    #[param(max_length = 128, pattern = "^[!-~]*$")]
    key: Option<String>,
    /// In this state.
    #[param(value_type = Option<LetterStateWord>)]
    state: Option<LetterState>,
    /// Received at this time or later, RFC 3339.
    #[param(format = DateTime)]
    received_from: Option<String>,
    /// Received before this time, RFC 3339.
    #[param(format = DateTime)]
    received_before: Option<String>,
    /// `next_after` of the page before.
    #[param(
        pattern = "^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?Z~[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
    )]
    after: Option<String>,
    /// How many; 100 where nobody says so.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// What a list is read by.
pub(super) struct Page {
    pub(super) filter: LetterFilter,
    pub(super) after: Option<LetterCursor>,
    pub(super) limit: u32,
}

impl Listed {
    pub(super) fn page(self) -> Result<Page, Fault> {
        let time = |name: &str, text: Option<String>| {
            let parsed = text.as_deref().map(parse_rfc3339).transpose();
            parsed.map_err(|_| {
                Fault::schema(
                    format!("/query/{name}"),
                    "must be an RFC 3339 time with an offset and at most microseconds",
                )
            })
        };
        let limit = self.limit.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Fault::schema("/query/limit", format!("must be from 1 to {LIMIT_MAX}")));
        }
        Ok(Page {
            filter: LetterFilter {
                reason: self.reason,
                event_type: text("/query/type", self.r#type)?,
                key_id: text("/query/key", self.key)?,
                state: self.state,
                received_from: time("received_from", self.received_from)?,
                received_before: time("received_before", self.received_before)?,
            },
            after: cursor("/query/after", self.after)?,
            limit,
        })
    }
}

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

fn cursor(pointer: &str, text: Option<String>) -> Result<Option<LetterCursor>, Fault> {
    text.as_deref().map(str::parse).transpose().map_err(|rule: &str| Fault::schema(pointer, rule))
}

/// U+0000 is in no text of the database.
fn text(pointer: &str, text: Option<String>) -> Result<Option<String>, Fault> {
    match text {
        Some(text) if text.chars().count() > TEXT_MAX || text.contains('\0') => {
            Err(Fault::schema(pointer, format!("must have at most {TEXT_MAX} characters, and no U+0000")))
        }
        text => Ok(text),
    }
}

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
