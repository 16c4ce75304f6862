//! What became of letters, as a table or JSON.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use seatpilot_domain_model::{DiscardOutcome, Outcome, RedriveOutcome};
use seatpilot_store::{DiscardedLetter, KeptDeadLetter, RedrivenLetter};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    failure::Failure,
    output::{Output, Style, columns},
};

/// One letter with its payload.
pub(super) fn shown(output: Output, letter: &KeptDeadLetter) -> Result<(), Failure> {
    let mut document = serde_json::to_value(&letter.row).map_err(Failure::new)?;
    document["payload_sha256"] = json!(hex::encode(&letter.payload_sha256));
    document["payload_base64"] = json!(STANDARD.encode(&letter.payload));
    document["payload_text"] = json!(std::str::from_utf8(&letter.payload).ok());
    if output.style() == Style::Json {
        return output.result("", &document);
    }
    let members: Vec<Value> = document
        .as_object()
        .into_iter()
        .flatten()
        // What a person can read is not shown twice.
        .filter(|(name, _)| *name != "payload_base64" || document["payload_text"].is_null())
        .map(|(name, value)| json!({ "member": name, "value": value }))
        .collect();
    let names = ["member", "value"];
    output.list(&names, &members, columns(&names))
}

/// What became of letters that were sent again, or would.
pub(super) fn redriven(output: Output, dry_run: bool, letters: &[RedrivenLetter]) -> Result<(), Failure> {
    let count = |status: &str| letters.iter().filter(|letter| letter.outcome.status() == status).count();
    let items: Vec<Value> = letters
        .iter()
        .map(|letter| {
            json!({
                "dlq_id": letter.dlq_id,
                "event_id": letter.event_id,
                "status": letter.outcome.status(),
                "reason": letter.outcome.reason(),
                "detail": letter.detail,
            })
        })
        .collect();
    let (accepted, duplicates) = (count("accepted"), count("duplicate"));
    let (rejected, skipped) = (count("rejected"), count("skipped"));
    if output.style() == Style::Json {
        let all = json!({
            "dry_run": dry_run, "accepted": accepted, "duplicates": duplicates, "rejected": rejected,
            "skipped": skipped, "items": items,
        });
        return output.result("", &all);
    }
    let names = ["dlq_id", "event_id", "status", "reason", "detail"];
    output.list(&names, &items, columns(&names))?;
    let over_the_plan = letters.iter().any(|letter| {
        letter.outcome
            == RedriveOutcome::Judged(Outcome::Rejected(seatpilot_domain_model::RejectReason::QuotaExceeded))
    });
    let would = if dry_run { "nothing was changed; it would be: " } else { "" };
    let plan = if over_the_plan { "; the plan's limit is reached, that costs no attempt" } else { "" };
    output.note(format!(
        "{would}{accepted} accepted, {duplicates} duplicates, {rejected} rejected, {skipped} skipped{plan}"
    ))
}

/// The letters that would be given up.
pub(super) fn discardable(output: Output, ids: &[Uuid]) -> Result<(), Failure> {
    let items: Vec<Value> = ids.iter().map(|id| json!({ "dlq_id": id })).collect();
    if output.style() == Style::Json {
        return output.result("", &json!({ "dry_run": true, "discarded": 0, "items": items }));
    }
    output.list(&["dlq_id"], &items, columns(&["dlq_id"]))?;
    output.note(format!("nothing was changed; {} letters would be given up", ids.len()))
}

/// What became of letters that were to be given up.
pub(super) fn discarded(output: Output, letters: &[DiscardedLetter]) -> Result<(), Failure> {
    let given_up = letters.iter().filter(|letter| letter.outcome == DiscardOutcome::Discarded).count();
    let skipped = letters.len() - given_up;
    let items: Vec<Value> =
        letters.iter().map(|letter| json!({ "dlq_id": letter.dlq_id, "outcome": letter.outcome })).collect();
    if output.style() == Style::Json {
        return output.result("", &json!({ "discarded": given_up, "skipped": skipped, "items": items }));
    }
    let names = ["dlq_id", "outcome"];
    output.list(&names, &items, columns(&names))?;
    output.note(format!("{given_up} given up, {skipped} skipped"))
}
