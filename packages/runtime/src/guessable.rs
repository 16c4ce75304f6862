//! Secrets that are none: printed in a manual or in an example of ours, or a few characters over and over. Production
//! refuses them.

use std::collections::HashSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Part of secrets that anybody can read: of examples, of Supabase's manual and of every Supabase on a laptop. The last is
/// `"iss":"supabase-demo"` as its tokens spell it.
const PRINTED: &[&str] = &[
    "change-me",
    "changeme",
    "change_me",
    "replace-me",
    "super-secret",
    "your-secret",
    "eyJpc3MiOiJzdXBhYmFzZS1kZW1v",
];
/// Fewest different bytes. Of 16 random bytes 10 are different in all but one of 10^9 cases.
const DIFFERENT_MIN: usize = 8;

/// Completes "NAME: must …" in production.
pub(crate) const EXPECTED: &str = "must not be one of a manual or an example in production, nor a few characters over and over: make one with `openssl rand -base64 32`";

/// Whether anybody would find this secret.
pub(crate) fn is_guessable(secret: &[u8]) -> bool {
    let is_printed = |text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        let lower = text.to_lowercase();
        PRINTED.iter().any(|printed| text.contains(printed) || lower.contains(printed))
    };
    let different: HashSet<&u8> = secret.iter().collect();
    different.len() < DIFFERENT_MIN
        || is_printed(secret)
        || STANDARD.decode(secret).is_ok_and(|decoded| is_printed(&decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_somewhere_is_no_secret() {
        for guessable in [
            "",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "0101010101010101010101",
            "change-me-to-32-random-characters",
            "CHANGEME-CHANGEME-CHANGEME",
            "super-secret-jwt-token-with-at-least-32-characters-long",
            "your-super-secret-jwt-token-with-at-least-32-characters-long",
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJzdXBhYmFzZS1kZW1vIiwicm9sZSI6InNlcnZpY2Vfcm9sZSJ9.x",
            // "change-me-change-me-change-me" in base64.
            "Y2hhbmdlLW1lLWNoYW5nZS1tZS1jaGFuZ2UtbWU=",
        ] {
            assert!(is_guessable(guessable.as_bytes()), "{guessable}");
        }
        for good in ["f3Kx0pQ9vLr7bTz1", "0123456789abcdef", "bZ6pUoM4o1jJc0Qk4r3yW1oF8cGm0JdY3vHc2d7mV3E="] {
            assert!(!is_guessable(good.as_bytes()), "{good}");
        }
    }
}
