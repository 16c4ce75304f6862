//! What a sender is told of its items: counts, and one receipt an item in the order sent.

use seatpilot_domain_model::{Outcome, Receipt, RejectReason};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::openapi::{ItemReason, ItemStatus};

/// What became of a request's items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Receipts {
    /// Stored now.
    pub accepted: usize,
    /// Stored before, with the same body.
    pub duplicates: usize,
    /// Kept in the dead-letter queue.
    pub rejected: usize,
    /// One an item, in the order sent.
    pub items: Vec<ItemReceipt>,
}

/// What became of one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ItemReceipt {
    /// The item's id; null where none could be read.
    #[schema(required = true)]
    pub id: Option<Uuid>,
    /// What became of it.
    #[schema(value_type = ItemStatus)]
    pub status: &'static str,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ItemReason>, nullable = false)]
    pub reason: Option<RejectReason>,
}

impl From<&[Receipt]> for Receipts {
    fn from(receipts: &[Receipt]) -> Self {
        let mut sums =
            Self { accepted: 0, duplicates: 0, rejected: 0, items: Vec::with_capacity(receipts.len()) };
        for receipt in receipts {
            match receipt.outcome {
                Outcome::Accepted => sums.accepted += 1,
                Outcome::Duplicate => sums.duplicates += 1,
                Outcome::Rejected(_) => sums.rejected += 1,
            }
            sums.items.push(ItemReceipt {
                id: receipt.id,
                status: receipt.outcome.status(),
                reason: receipt.outcome.reason(),
            });
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_has_a_reason_only_where_the_item_was_rejected() {
        let id = Uuid::from_u128(7);
        let receipts = [
            Receipt { id: Some(id), outcome: Outcome::Accepted },
            Receipt { id: Some(id), outcome: Outcome::Duplicate },
            Receipt { id: None, outcome: Outcome::Rejected(RejectReason::JsonSyntax) },
        ];
        assert_eq!(
            serde_json::to_string(&Receipts::from(&receipts[..])).unwrap(),
            concat!(
                r#"{"accepted":1,"duplicates":1,"rejected":1,"items":["#,
                r#"{"id":"00000000-0000-0000-0000-000000000007","status":"accepted"},"#,
                r#"{"id":"00000000-0000-0000-0000-000000000007","status":"duplicate"},"#,
                r#"{"id":null,"status":"rejected","reason":"json_syntax"}]}"#
            )
        );
    }
}
