//! What a writer answers: the outcome of each item, or why there is none. The ids of the items stay with who asked.

use seatpilot_domain_model::{Outcome, Receipt, Submission, SubmitAnswer};
use serde::{Deserialize, Serialize};

use crate::fault::{BusFault, Refusal};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    /// Committed now: `accepted`, `duplicate` or a reason, an item each.
    Stored(Vec<String>),
    /// Committed before.
    Replayed(Vec<String>),
    NonceReused,
    Refused(Refusal),
}

/// The bytes of an answer.
pub(crate) fn encode(answer: &Result<SubmitAnswer, Refusal>) -> Vec<u8> {
    let words = |receipts: &[Receipt]| -> Vec<String> {
        let word = |receipt: &Receipt| match receipt.outcome {
            Outcome::Accepted | Outcome::Duplicate => receipt.outcome.status(),
            Outcome::Rejected(reason) => reason.as_str(),
        };
        receipts.iter().map(|receipt| word(receipt).to_owned()).collect()
    };
    let told = match answer {
        Ok(SubmitAnswer::Stored(receipts)) => Told::Stored(words(receipts)),
        Ok(SubmitAnswer::Replayed(receipts)) => Told::Replayed(words(receipts)),
        Ok(SubmitAnswer::NonceReused) => Told::NonceReused,
        Err(refusal) => Told::Refused(*refusal),
    };
    let written = serde_json::to_vec(&told);
    debug_assert!(written.is_ok());
    written.unwrap_or_default()
}

/// The answer of these bytes to a request.
///
/// # Errors
/// What the writer refused; [`BusFault::Unreadable`] where the bytes are no answer to this request.
pub(crate) fn decode(bytes: &[u8], request: &Submission) -> Result<SubmitAnswer, BusFault> {
    let receipts = |words: &[String]| {
        if words.len() != request.items.len() {
            return Err(BusFault::Unreadable);
        }
        let receipt = |(word, item): (&String, &seatpilot_domain_model::Item)| {
            Ok(Receipt { id: item.id(), outcome: outcome(word)? })
        };
        words.iter().zip(&request.items).map(receipt).collect()
    };
    match serde_json::from_slice(bytes).map_err(|_| BusFault::Unreadable)? {
        Told::Stored(words) => receipts(&words).map(SubmitAnswer::Stored),
        Told::Replayed(words) => receipts(&words).map(SubmitAnswer::Replayed),
        Told::NonceReused => Ok(SubmitAnswer::NonceReused),
        Told::Refused(refusal) => Err(BusFault::Refused(refusal)),
    }
}

fn outcome(word: &str) -> Result<Outcome, BusFault> {
    match word {
        "accepted" => Ok(Outcome::Accepted),
        "duplicate" => Ok(Outcome::Duplicate),
        reason => reason.parse().map(Outcome::Rejected).map_err(|_| BusFault::Unreadable),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use seatpilot_domain_model::{Nonce, RejectReason, parse_items};

    use super::*;

    #[test]
    fn an_answer_is_read_as_it_was_written_and_only_to_as_many_items() {
        let tenant = "acme".parse().unwrap();
        let request = |body: &[u8]| Submission {
            items: parse_items(body, &tenant, Timestamp::UNIX_EPOCH).unwrap().items,
            tenant: tenant.clone(),
            nonce: Nonce { key_id: "k".into(), ts: 1, nonce: "n".into(), body_sha256: [0; 32] },
            request_id: "r".into(),
            received_at: Timestamp::UNIX_EPOCH,
        };
        let three = request(b"[1, 2, 3]");
        let receipts: Vec<Receipt> =
            [Outcome::Accepted, Outcome::Duplicate, Outcome::Rejected(RejectReason::IdConflict)]
                .map(|outcome| Receipt { id: None, outcome })
                .into();
        for answer in [
            Ok(SubmitAnswer::Stored(receipts.clone())),
            Ok(SubmitAnswer::Replayed(receipts)),
            Ok(SubmitAnswer::NonceReused),
            Err(Refusal::ForgottenTime),
            Err(Refusal::Overloaded),
            Err(Refusal::Unavailable),
            Err(Refusal::Internal),
        ] {
            let bytes = encode(&answer);
            assert_eq!(decode(&bytes, &three), answer.clone().map_err(BusFault::Refused));
            if matches!(answer, Ok(SubmitAnswer::Stored(_) | SubmitAnswer::Replayed(_))) {
                assert_eq!(decode(&bytes, &request(b"[1, 2]")), Err(BusFault::Unreadable));
            }
        }
        for bytes in [&b""[..], b"{}", br#"{"stored":["perhaps","accepted","accepted"]}"#] {
            assert_eq!(decode(bytes, &three), Err(BusFault::Unreadable));
        }
    }
}
