//! Headers that say who calls and which call this is.

use actix_web::{HttpRequest, http::header};
use seatpilot_domain_model::{Fault, FaultCode};
use seatpilot_runtime::SecretString;

/// Longest bearer token: a device's is 43 characters, an administrator's JWT some hundreds.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// The value of a header that stands there exactly once.
///
/// # Errors
/// `malformed_header` where it stands there twice or is not visible ASCII.
pub fn single_header<'a>(request: &'a HttpRequest, name: &str) -> Result<Option<&'a str>, Fault> {
    let malformed = |what: &str| Fault::new(FaultCode::MalformedHeader, format!("The header {name} {what}."));
    let mut values = request.headers().get_all(name);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(malformed("stands there more than once")),
        (Some(value), None) => value
            .to_str()
            .map(|text| Some(text.trim_matches([' ', '\t'])))
            .map_err(|_| malformed("is not ASCII")),
    }
}

/// What a browser says of the page that sent a request: the one `Origin`, byte for byte; none where there is none, or two.
pub fn only_origin(request: &HttpRequest) -> Option<&[u8]> {
    let mut named = request.headers().get_all(header::ORIGIN);
    match (named.next(), named.next()) {
        (Some(origin), None) => Some(origin.as_bytes()),
        _ => None,
    }
}

/// The token of `Authorization: Bearer <token>` (RFC 6750), none where the header is not there.
///
/// # Errors
/// `unauthorized` where the header is doubled, of another scheme, or no token.
pub fn bearer_token(request: &HttpRequest) -> Result<Option<SecretString>, Fault> {
    let header = single_header(request, header::AUTHORIZATION.as_str()).map_err(|_| Fault::unauthorized())?;
    header.map_or(Ok(None), |value| token(value).map(Some).ok_or_else(Fault::unauthorized))
}

/// `b64token` of RFC 6750 behind the scheme, which is case-insensitive.
fn token(value: &str) -> Option<SecretString> {
    let (scheme, rest) = value.split_once(' ')?;
    let token = rest.trim_start_matches(' ');
    let body = token.trim_end_matches('=');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    let good = scheme.eq_ignore_ascii_case("bearer")
        && !body.is_empty()
        && token.len() <= TOKEN_BYTES_MAX
        && body.bytes().all(allowed);
    good.then(|| SecretString::from(token))
}

/// The value of `Idempotency-Key`, bare or as a quoted string (RFC 8941), none where it is not there.
///
/// # Errors
/// `idempotency_key_mismatch` where it is doubled or neither of the two: it cannot equal an id then.
pub fn idempotency_key(request: &HttpRequest) -> Result<Option<String>, Fault> {
    let mismatch = || {
        Fault::new(
            FaultCode::IdempotencyKeyMismatch,
            "Idempotency-Key must stand there once, bare or quoted, and equal the body's id.",
        )
    };
    let header = single_header(request, "idempotency-key").map_err(|_| mismatch())?;
    header.map_or(Ok(None), |value| unquoted(value).map(Some).ok_or_else(mismatch))
}

fn unquoted(value: &str) -> Option<String> {
    let Some(quoted) = value.strip_prefix('"') else {
        let bare = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
        return bare.then(|| value.to_owned());
    };
    let mut text = String::new();
    let mut characters = quoted.strip_suffix('"')?.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return None,
            '\\' => text.push(characters.next().filter(|next| matches!(next, '"' | '\\'))?),
            other => text.push(other),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn bearer(values: &[&str]) -> Result<Option<String>, FaultCode> {
        let mut request = TestRequest::default();
        for value in values {
            request = request.append_header((header::AUTHORIZATION, *value));
        }
        bearer_token(&request.to_http_request())
            .map(|token| token.map(|token| token.expose_secret().clone()))
            .map_err(|fault| fault.code())
    }

    #[test]
    fn a_bearer_token_is_read_whatever_the_case_of_its_scheme() {
        assert_eq!(bearer(&[]), Ok(None));
        for good in ["Bearer abc", "bearer abc", "BEARER  abc"] {
            assert_eq!(bearer(&[good]), Ok(Some("abc".to_owned())), "{good}");
        }
        assert_eq!(bearer(&["Bearer aZ0-._~+/=="]), Ok(Some("aZ0-._~+/==".to_owned())));
    }

    #[test]
    fn anything_else_in_authorization_is_unauthorized() {
        let long = format!("Bearer {}", "x".repeat(TOKEN_BYTES_MAX + 1));
        for bad in
            ["", "Bearer", "Bearer ", "Bearer =", "Basic abc", "Bearer a b", "Bearer a,b", "abc", &long]
        {
            assert_eq!(bearer(&[bad]), Err(FaultCode::Unauthorized), "{bad}");
        }
        assert_eq!(bearer(&["Bearer abc", "Bearer abc"]), Err(FaultCode::Unauthorized));
    }

    #[test]
    fn an_idempotency_key_is_bare_or_quoted() {
        assert_eq!(unquoted("8e03978e-40d5").as_deref(), Some("8e03978e-40d5"));
        assert_eq!(unquoted("\"8e03978e-40d5\"").as_deref(), Some("8e03978e-40d5"));
        assert_eq!(unquoted(r#""a\"b\\c""#).as_deref(), Some("a\"b\\c"));
        for bad in ["", "\"", "\"a", "a\"", "\"a\"b\"", "\"a\\", "\"a\\\"", "a b"] {
            assert_eq!(unquoted(bad), None, "{bad}");
        }
    }
}
