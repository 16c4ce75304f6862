//! What PostgREST, or the gateway before it, answers instead of what was asked for.

use std::fmt;

use serde::Deserialize;

use crate::error::Failure;

/// Longest message of the other side that is kept, in characters: it is for a line of the log.
const MESSAGE_MAX: usize = 300;
/// The code that `seatpilot_rest.ingest` raises where the same is to be sent again.
const SEND_AGAIN: &str = "PT409";

/// An answer that is none. Says nothing of what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestFault {
    /// The status, where there was an answer at all.
    status: Option<u16>,
    /// PostgREST's code (`PGRST…`) or Postgres' SQLSTATE.
    code: Option<String>,
    message: String,
}

/// PostgREST's form of an error. `details` is not read: it can quote a row.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    hint: Option<String>,
}

impl RestFault {
    /// Of an answer that is no success.
    pub(crate) fn of_answer(status: u16, body: &[u8]) -> Self {
        let document =
            serde_json::from_slice(body).unwrap_or(Document { code: None, message: None, hint: None });
        let mut message = document.message.unwrap_or_else(|| "an answer without a message".to_owned());
        if let Some(hint) = document.hint {
            message.push_str("; ");
            message.push_str(&hint);
        }
        let message = message.chars().filter(|c| !c.is_control()).take(MESSAGE_MAX).collect();
        Self { status: Some(status), code: document.code.filter(|code| code.len() <= 16), message }
    }

    /// Of an exchange that broke or took too long.
    pub(crate) fn of_exchange(error: reqwest::Error) -> Self {
        // The address says nothing new, and a part of it might be a secret of somebody's gateway.
        let error = error.without_url();
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            message.push_str(": ");
            message.push_str(&inner.to_string());
            cause = inner.source();
        }
        Self { status: None, code: None, message }
    }

    /// PostgREST's code or Postgres' SQLSTATE, where there is one.
    pub(crate) fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// What to do after it.
    pub(crate) fn failure(&self) -> Failure {
        match (self.code.as_deref(), self.status) {
            (Some(SEND_AGAIN | "40001" | "40P01"), _) => Failure::Resend,
            // The pool of PostgREST is full for now.
            (Some("PGRST003"), _) => Failure::Busy,
            // It could not read what we wrote.
            (Some("PGRST100" | "PGRST102" | "PGRST107"), _) => Failure::Broken,
            // No database behind it, a key that it refuses or that may not call, a schema that is not shown, a function
            // that is not there: nothing is wrong with the rows, and nothing can be written until somebody mends it.
            (Some(code), _) if code.starts_with("PGRST") || code == "42501" || code.starts_with("28") => {
                Failure::Lost
            }
            (Some(code), _) if code.len() == 5 => Failure::of_sqlstate(code),
            // The gateway: too much for it in one request, too many of them.
            (_, Some(413)) => Failure::BadValue,
            (_, Some(429)) => Failure::Busy,
            (_, _) => Failure::Lost,
        }
    }

    /// What whoever set this up has to do, where the answer says so.
    pub(crate) fn remedy(&self) -> Option<&'static str> {
        match (self.code.as_deref(), self.status) {
            (Some("PGRST106"), _) => {
                Some("show the schema seatpilot_rest: add it to the exposed schemas in the API's settings")
            }
            (Some("PGRST202"), _) => Some("the schema is older than this version: run `seatpilot migrate`"),
            (Some("42501"), _) => Some(
                "the key is not a service key: set SUPABASE_SERVICE_ROLE_KEY to the service_role or an sb_secret_ key",
            ),
            (_, Some(401)) => Some("Supabase refuses the key: look at SUPABASE_SERVICE_ROLE_KEY"),
            (_, Some(404)) => Some("there is no REST interface at this address: look at SUPABASE_URL"),
            _ => None,
        }
    }
}

impl fmt::Display for RestFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("REST")?;
        if let Some(status) = self.status {
            write!(out, " {status}")?;
        }
        if let Some(code) = &self.code {
            write!(out, " {code}")?;
        }
        write!(out, ": {}", self.message)?;
        match self.remedy() {
            Some(remedy) => write!(out, " ({remedy})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for RestFault {}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, body: &str) -> Failure {
        RestFault::of_answer(status, body.as_bytes()).failure()
    }

    #[test]
    fn an_answer_is_what_its_code_says_and_else_its_status() {
        for (status, body, wanted) in [
            (409, r#"{"code":"PT409","message":"again","details":null,"hint":null}"#, Failure::Resend),
            (500, r#"{"code":"40P01","message":"deadlock detected"}"#, Failure::Resend),
            (400, r#"{"code":"22P02","message":"x"}"#, Failure::BadValue),
            (409, r#"{"code":"23505","message":"x"}"#, Failure::BadValue),
            (
                500,
                r#"{"code":"57014","message":"canceling statement due to statement timeout"}"#,
                Failure::Busy,
            ),
            (503, r#"{"code":"53300","message":"too many connections"}"#, Failure::Busy),
            (504, r#"{"code":"PGRST003","message":"Timed out acquiring connection"}"#, Failure::Busy),
            (503, r#"{"code":"57P01","message":"x"}"#, Failure::Lost),
            (503, r#"{"code":"PGRST002","message":"x"}"#, Failure::Lost),
            (405, r#"{"code":"25006","message":"x"}"#, Failure::Lost),
            (401, r#"{"code":"PGRST301","message":"x"}"#, Failure::Lost),
            (403, r#"{"code":"42501","message":"permission denied"}"#, Failure::Lost),
            (404, r#"{"code":"PGRST202","message":"x"}"#, Failure::Lost),
            (400, r#"{"code":"PGRST102","message":"x"}"#, Failure::Broken),
            (400, r#"{"code":"P0001","message":"x"}"#, Failure::Broken),
            (401, r#"{"message":"Invalid API key"}"#, Failure::Lost),
            (429, "slow down", Failure::Busy),
            (413, "", Failure::BadValue),
            (502, "<html>Bad Gateway</html>", Failure::Lost),
        ] {
            assert_eq!(failure(status, body), wanted, "{status} {body}");
        }
    }

    #[test]
    fn a_fault_says_what_to_do_and_nothing_of_the_row() {
        let body = r#"{"code":"PGRST106","message":"Invalid schema: seatpilot_rest","details":"Failing row (canary)","hint":"Only the following schemas are exposed: public"}"#;
        let said = RestFault::of_answer(406, body.as_bytes()).to_string();
        assert!(said.starts_with("REST 406 PGRST106: Invalid schema"), "{said}");
        assert!(said.contains("exposed schemas") && !said.contains("canary"), "{said}");
        assert!(RestFault::of_answer(500, "x".repeat(9_999).as_bytes()).to_string().len() < 400);
    }
}
