//! What is taken apart behind a signature: every item has one outcome, the same one each time, and what is kept of it is
//! bounded.

use seatpilot_domain_model::{
    DEAD_LETTER_BYTES_MAX, DEAD_LETTER_DETAIL_MAX, EVENTS_PER_REQUEST_MAX, Item, Shape, parse_items,
};

pub fn hold(bytes: &[u8]) {
    let (Ok(tenant), Ok(now)) = ("acme".parse(), "2026-11-22T12:00:00Z".parse()) else { return };
    // The service reads no more than this.
    let bytes = &bytes[..bytes.len().min(256 * 1024)];
    let Ok(batch) = parse_items(bytes, &tenant, now) else { return };
    assert!((1..=EVENTS_PER_REQUEST_MAX).contains(&batch.items.len()), "1 to 500 items");
    assert!(batch.shape == Shape::Array || batch.items.len() == 1, "one item is one");
    for item in &batch.items {
        match item {
            Item::Event(event) => {
                assert!(!event.id.is_nil() || event.id.to_string().len() == 36, "an id");
                let age = now.duration_since(event.occurred_at).as_secs();
                assert!((-300..=7 * 86_400).contains(&age), "inside the window");
            }
            Item::DeadLetter(letter) => {
                assert!(letter.detail.chars().count() <= DEAD_LETTER_DETAIL_MAX, "a short reason");
                assert!(letter.payload.len() <= DEAD_LETTER_BYTES_MAX, "a bounded letter");
                assert!(!letter.detail.contains('\0'), "a reason that a text column takes");
            }
        }
    }
    // The outcome hangs on nothing but the bytes.
    let again = parse_items(bytes, &tenant, now).map(|again| format!("{again:?}"));
    assert_eq!(again.ok(), Some(format!("{batch:?}")), "the same each time");
}
