//! Which letters a list has: the parameters of `GET /admin/dlq`.

use seatpilot_domain_model::{Fault, LetterState, RejectReason, parse_rfc3339};
use seatpilot_store::{LetterCursor, LetterFilter};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::openapi::{ItemReason, LetterStateWord};

/// Rows of a list, where nobody says how many, and at most.
const LIMIT: u32 = 100;
const LIMIT_MAX: u32 = 1_000;
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

pub(super) fn cursor(pointer: &str, text: Option<String>) -> Result<Option<LetterCursor>, Fault> {
    text.as_deref().map(str::parse).transpose().map_err(|rule: &str| Fault::schema(pointer, rule))
}

/// What stands in no type and no key's id finds nothing, and U+0000 is in no text of the database.
pub(super) fn text(pointer: &str, text: Option<String>) -> Result<Option<String>, Fault> {
    match text {
        Some(text) if text.len() > TEXT_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(Fault::schema(
                pointer,
                format!("must have at most {TEXT_MAX} characters of A-Z a-z 0-9 and signs"),
            ))
        }
        text => Ok(text),
    }
}
