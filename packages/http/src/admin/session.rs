//! A session: who it is, by which token, and what a form of theirs must carry.
//!
//! The cookie holds the token itself, so no server remembers sessions and any instance knows them. What a form carries
//! follows from the token: another site can neither read the cookie nor compute it.

use std::future::Ready;

use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev::Payload, http::header, web};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use seatpilot_domain_model::{Administrator, Fault, FaultCode};
use seatpilot_runtime::{Deployment, SecretString};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::problem::Problem;

/// The cookie of the login form (contract section 4).
pub const COOKIE: &str = "seatpilot_admin";
/// The field of a form that says it is of this session.
pub const CSRF_FIELD: &str = "csrf";
/// The header that says the same for a request without a form.
pub const CSRF_HEADER: &str = "x-csrf-token";
/// Where the cookie goes.
const COOKIE_PATH: &str = "/admin";
/// Longest token in a cookie: what browsers keep of one cookie is 4,096 bytes with its name.
pub(super) const COOKIE_BYTES_MAX: usize = 4_000;
/// Most fields of a form.
const FIELDS_MAX: usize = 64;

/// Somebody whose token verified, for the length of one request. Only the guard makes one; a handler behind it takes
/// it as an argument.
#[derive(Debug, Clone)]
pub struct Session {
    who: Administrator,
    token: SecretString,
    by_cookie: bool,
}

impl Session {
    pub(super) fn of_cookie(who: Administrator, token: SecretString) -> Self {
        Self { who, token, by_cookie: true }
    }

    pub(super) fn of_bearer(who: Administrator, token: SecretString) -> Self {
        Self { who, token, by_cookie: false }
    }

    /// Who it is.
    pub fn who(&self) -> &Administrator {
        &self.who
    }

    /// Whether the browser sent the token by itself, so that a change must prove where it comes from.
    pub(super) fn is_by_cookie(&self) -> bool {
        self.by_cookie
    }

    /// What a form of this session carries in its field `csrf`.
    pub fn csrf(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.csrf_bytes())
    }

    pub(super) fn checks(&self, csrf: &str) -> bool {
        let sent = URL_SAFE_NO_PAD.decode(csrf).unwrap_or_default();
        sent.ct_eq(&self.csrf_bytes()).into()
    }

    fn csrf_bytes(&self) -> [u8; 32] {
        // A key of any length is taken (RFC 2104): the error has no occasion.
        Hmac::<Sha256>::new_from_slice(self.token.expose_secret().as_bytes())
            .map_or([0; 32], |mac| mac.chain_update(b"seatpilot admin form").finalize().into_bytes().into())
    }
}

impl FromRequest for Session {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let session = request.extensions().get::<Self>().cloned();
        // A route whose handler asks for a session and that no guard stands before: shut.
        std::future::ready(session.ok_or_else(|| Problem::from(Fault::unauthorized())))
    }
}

/// The token in the cookie, none where there is no such cookie.
///
/// # Errors
/// `unauthorized` where it stands there twice: whose would it be.
pub(super) fn cookie(request: &HttpRequest) -> Result<Option<SecretString>, Fault> {
    let mut found = None;
    for header in request.headers().get_all(header::COOKIE) {
        let header = header.to_str().map_err(|_| Fault::unauthorized())?;
        for pair in header.split(';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            if name.trim() != COOKIE {
                continue;
            }
            let value = value.trim();
            if found.is_some() || value.is_empty() || value.len() > COOKIE_BYTES_MAX {
                return Err(Fault::unauthorized());
            }
            found = Some(SecretString::from(value));
        }
    }
    Ok(found)
}

/// `Set-Cookie` for a token that has so many seconds left. `Secure` in production: a laptop's `up` speaks plain http,
/// where some browsers would drop it.
pub(super) fn set_cookie(token: &str, seconds: i64, deployment: Deployment) -> String {
    let secure = match deployment {
        Deployment::Production => "; Secure",
        Deployment::Development => "",
    };
    format!("{COOKIE}={token}; Path={COOKIE_PATH}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

/// The fields of a form, `application/x-www-form-urlencoded`.
///
/// # Errors
/// `schema_violation` where it is none, has too many fields or one twice.
pub fn parse_form(body: &[u8]) -> Result<Vec<(String, String)>, Fault> {
    let text = std::str::from_utf8(body).map_err(|_| Fault::schema("", "must be a form in UTF-8"))?;
    let fields = web::Query::<Vec<(String, String)>>::from_query(text)
        .map_err(|_| Fault::schema("", "must be a form: name=value pairs joined by &"))?
        .into_inner();
    if fields.len() > FIELDS_MAX {
        return Err(Fault::schema("", format!("must have at most {FIELDS_MAX} fields")));
    }
    for (index, (name, _)) in fields.iter().enumerate() {
        if fields[..index].iter().any(|(earlier, _)| earlier == name) {
            let name: String = name.chars().take(64).collect();
            return Err(Fault::schema(format!("/{name}"), "stands there more than once"));
        }
    }
    Ok(fields)
}

/// A change without the session's own mark.
pub(super) fn unmarked() -> Fault {
    Fault::new(
        FaultCode::Forbidden,
        "A change by cookie carries the form's field csrf or the header x-csrf-token, from a page of this session.",
    )
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn session(token: &str) -> Session {
        let who = Administrator {
            tenant: "acme".parse().unwrap(),
            role: seatpilot_domain_model::Role::Admin,
            subject: None,
        };
        Session::of_cookie(who, SecretString::from(token))
    }

    #[test]
    fn the_mark_of_a_form_is_its_sessions_own() {
        let one = session("a.b.c");
        assert!(one.checks(&one.csrf()));
        let other = session("a.b.d").csrf();
        for wrong in ["", "x", "!", other.as_str(), &one.csrf()[1..]] {
            assert!(!one.checks(wrong), "{wrong}");
        }
        assert!(!one.csrf().contains("a.b.c"));
    }

    #[test]
    fn the_cookie_is_read_among_others_and_never_guessed() {
        let of = |headers: &[&str]| {
            let mut request = TestRequest::default();
            for header in headers {
                request = request.append_header((header::COOKIE, *header));
            }
            cookie(&request.to_http_request())
                .map(|found| found.map(|token| token.expose_secret().clone()))
                .map_err(|fault| fault.code())
        };
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&["a=b; xseatpilot_admin=1"]), Ok(None));
        assert_eq!(of(&["a=b;seatpilot_admin=x.y.z; c"]), Ok(Some("x.y.z".to_owned())));
        let long = format!("{COOKIE}={}", "x".repeat(COOKIE_BYTES_MAX + 1));
        for bad in
            [&["seatpilot_admin=a; seatpilot_admin=b"][..], &["seatpilot_admin=a", "seatpilot_admin=a"]]
        {
            assert_eq!(of(bad), Err(FaultCode::Unauthorized), "{bad:?}");
        }
        assert_eq!(of(&["seatpilot_admin="]), Err(FaultCode::Unauthorized));
        assert_eq!(of(&[&long]), Err(FaultCode::Unauthorized));
    }

    #[test]
    fn the_cookie_is_for_administration_only_and_out_of_reach_of_scripts() {
        let cookie = set_cookie("t", 60, Deployment::Production);
        assert_eq!(cookie, "seatpilot_admin=t; Path=/admin; Max-Age=60; HttpOnly; SameSite=Strict; Secure");
        assert!(!set_cookie("t", 60, Deployment::Development).contains("Secure"));
    }
}
