//! How long anything takes at most, each below the one around it.

use std::time::Duration;

/// How long a request waits until the bus says that it has it.
pub(crate) const TAKEN_MAX: Duration = Duration::from_secs(2);
/// How long a request waits for its writer's answer: below what a server that ends has for its last requests (8 s), and
/// what a client should wait (10 s).
pub(crate) const ANSWER_MAX: Duration = Duration::from_millis(7_500);
/// After so long without a word from its writer a request is given to another one. Longer than a living writer's own
/// deadline of 4.5 s, and short enough that the other's answer still finds its sender.
pub(crate) const ACK_WAIT: Duration = Duration::from_millis(5_000);
/// How long a message stays in the stream: its sender has been told to send again by then.
pub(crate) const MESSAGE_AGE_MAX: Duration = Duration::from_secs(10);

const _: () = {
    assert!(TAKEN_MAX.as_millis() < ANSWER_MAX.as_millis());
    assert!(4_500 < ACK_WAIT.as_millis() && ACK_WAIT.as_millis() + 2_000 < ANSWER_MAX.as_millis());
    assert!(ANSWER_MAX.as_millis() < 8_000 && ANSWER_MAX.as_millis() < MESSAGE_AGE_MAX.as_millis());
};
