//! The stream that holds requests until a writer has written them, and who reads it.

use std::time::Duration;

use async_nats::jetstream::{
    AckKind, Context,
    consumer::{AckPolicy, Consumer, pull},
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType},
};
use uuid::Uuid;

use crate::waits::{ACK_WAIT, MESSAGE_AGE_MAX};

/// The stream. One account of NATS, one house.
pub(crate) const STREAM: &str = "SEATPILOT_INGEST";
/// Whom all writers are together: each message goes to one of them.
const CONSUMER: &str = "writers";
/// Where requests are published.
pub(crate) const REQUESTS: &str = "seatpilot.ingest.requests";
/// Where answers go: this, the instance, the number, and one of the two below.
const RETURN: &str = "seatpilot.ingest.return";
/// The bus' own word that it has the request.
pub(crate) const TAKEN: &str = "taken";
/// The writer's.
pub(crate) const ANSWER: &str = "answer";

/// Messages that the stream holds before it refuses: what eight instances may have under way.
const MESSAGES_MAX: i64 = 8_192;
/// Bytes that it holds.
const BYTES_MAX: i64 = 256 << 20;
/// Messages that all writers together may have in hand.
const IN_HAND_MAX: i64 = 4_096;
/// How often a message is handed out before it is let lie until its age ends it: one that ends its writer must not end
/// all of them.
const DELIVERIES_MAX: i64 = 3;
/// What a server must take in one message: its default.
pub(crate) const PAYLOAD_BYTES_MIN: usize = 1 << 20;
/// The longest age that is put up with where somebody else made the stream: beyond it the signed time is stale.
const AGE_BEARABLE: Duration = Duration::from_secs(300);

/// The subject on which an instance hears everything.
pub(crate) fn returns_of(instance: Uuid) -> String {
    format!("{RETURN}.{}.>", instance.simple())
}

/// The subject of one number's `TAKEN` or `ANSWER`.
pub(crate) fn return_of(instance: Uuid, number: u64, word: &str) -> String {
    format!("{RETURN}.{}.{number}.{word}", instance.simple())
}

/// Number and word of such a subject.
pub(crate) fn number_of(subject: &str) -> Option<(u64, &str)> {
    let (rest, word) = subject.rsplit_once('.')?;
    Some((rest.rsplit_once('.')?.1.parse().ok()?, word))
}

/// What the stream is where it is missing. Somebody who wants three replicas makes it before
/// (`docs/scaling.md`).
fn wanted() -> Config {
    Config {
        name: STREAM.to_owned(),
        description: Some("SeatPilot: verified telemetry on its way to a writer".to_owned()),
        subjects: vec![REQUESTS.to_owned()],
        // A message is gone once a writer says so.
        retention: RetentionPolicy::WorkQueue,
        // A full stream refuses: who sends is told.
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        max_messages: MESSAGES_MAX,
        max_bytes: BYTES_MAX,
        max_age: MESSAGE_AGE_MAX,
        // Nothing is told apart by NATS: nonces and ids are, in the database.
        duplicate_window: Duration::from_secs(1),
        num_replicas: 1,
        ..Config::default()
    }
}

/// What is wrong with a stream that is there already, in words for its operator.
fn fault_of(found: &Config) -> Option<&'static str> {
    if found.retention != RetentionPolicy::WorkQueue {
        Some("its retention must be workqueue")
    } else if found.discard != DiscardPolicy::New {
        Some("it must discard new messages, not old ones")
    } else if found.max_bytes <= 0 && found.max_messages <= 0 {
        Some("it must have a limit of bytes or messages")
    } else if found.max_age.is_zero() || found.max_age > AGE_BEARABLE {
        Some("its messages must not grow older than 300 s")
    } else if !found.subjects.iter().any(|subject| subject == REQUESTS) {
        Some("it must take the subject seatpilot.ingest.requests")
    } else {
        None
    }
}

/// Looks for the stream; writers make it where it is missing.
///
/// # Errors
/// Why requests cannot go over it, for the log.
pub(crate) async fn find(context: &Context, makes_it: Makes) -> Result<(), String> {
    let mut stream = match makes_it {
        Makes::WhatIsMissing => {
            context.get_or_create_stream(wanted()).await.map_err(|error| error.to_string())?
        }
        Makes::Nothing => context.get_stream(STREAM).await.map_err(|error| error.to_string())?,
    };
    let found = &stream.info().await.map_err(|error| error.to_string())?.config;
    fault_of(found)
        .map_or(Ok(()), |fault| Err(format!("the stream {STREAM} is not what it must be: {fault}")))
}

/// Whether somebody makes what is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Makes {
    /// Writers.
    WhatIsMissing,
    /// Those who only hand in: their login need not be allowed to.
    Nothing,
}

/// The consumer of all writers, made where it is missing.
///
/// # Errors
/// Why there is none, for the log.
pub(crate) async fn consumer(context: &Context) -> Result<Consumer<pull::Config>, String> {
    let stream = context.get_stream(STREAM).await.map_err(|error| error.to_string())?;
    let wanted = pull::Config {
        durable_name: Some(CONSUMER.to_owned()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_deliver: DELIVERIES_MAX,
        max_ack_pending: IN_HAND_MAX,
        ..pull::Config::default()
    };
    stream.get_or_create_consumer(CONSUMER, wanted).await.map_err(|error| error.to_string())
}

/// Says what became of a message, for which nothing is waited.
pub(crate) async fn settle(message: &async_nats::jetstream::Message, kind: AckKind) {
    if let Err(error) = message.ack_with(kind).await {
        // It comes again, and its nonce is known then.
        tracing::debug!(error, "the bus could not be told that a request is done with");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_says_who_waits_and_for_what() {
        let instance = Uuid::from_u128(7);
        let subject = return_of(instance, 12, ANSWER);
        assert!(subject.starts_with(returns_of(instance).strip_suffix('>').unwrap()));
        assert_eq!(number_of(&subject), Some((12, ANSWER)));
        for subject in ["", "a.b", "x.y.z", "seatpilot.ingest.return.x.-1.answer"] {
            assert_eq!(number_of(subject), None, "{subject}");
        }
    }

    #[test]
    fn a_stream_that_would_lose_or_keep_what_it_must_not_is_refused() {
        assert_eq!(fault_of(&wanted()), None);
        let three = Config { num_replicas: 3, max_messages: -1, ..wanted() };
        assert_eq!(fault_of(&three), None);
        for wrong in [
            Config { retention: RetentionPolicy::Limits, ..wanted() },
            Config { discard: DiscardPolicy::Old, ..wanted() },
            Config { max_bytes: -1, max_messages: -1, ..wanted() },
            Config { max_age: Duration::ZERO, ..wanted() },
            Config { max_age: Duration::from_secs(301), ..wanted() },
            Config { subjects: vec!["other".to_owned()], ..wanted() },
        ] {
            assert!(fault_of(&wrong).is_some(), "{wrong:?}");
        }
    }
}
