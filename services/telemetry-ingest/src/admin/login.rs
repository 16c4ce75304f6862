//! `/admin/login`: a token, or the code of a link, becomes a cookie. It works without script.
//!
//! A link is only shown by `GET`; what uses it up is the button behind it. So neither a preview of the link nor a
//! browser that fetches ahead burns it, and nobody is logged in as somebody else by a click.

#![expect(unused_qualifications, reason = "utoipa writes the name of the parameters' type with its path")]

use actix_web::{
    HttpRequest,
    http::header,
    web::{Data, Payload},
};
use askama::Template;
use seatpilot_domain_model::{Administrator, Fault, FaultCode};
use seatpilot_http::{
    Problem, RequestContext,
    admin::{Page, Session, parse_form, prefers_html},
    parse_query, read_body,
};
use seatpilot_store::{Opened, SessionBy, audit::Origin};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Desk, frame::Frame, render};

/// Largest form: a token is some hundred bytes, and percent-encoding may treble it.
const FORM_BYTES_MAX: usize = 16 * 1024;
/// Longest place to go on to.
const PLACE_BYTES_MAX: usize = 512;
/// Where one goes who was nowhere.
const HOME: &str = "/admin";

#[derive(Template)]
#[template(path = "admin/login.html")]
struct LoginPage<'a> {
    frame: Frame,
    trouble: Option<&'a str>,
    offer: Option<Offer<'a>>,
    next: &'a str,
}

/// What a link is good for.
struct Offer<'a> {
    code: &'a str,
    tenant: &'a str,
    role: &'a str,
}

/// What a link carries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Link {
    /// The code of a login link, good once.
    code: Option<String>,
    /// Where to go on to: a path under `/admin`.
    next: Option<String>,
}

/// The login form
///
/// Takes a token; with the code of a login link, shows whose session it opens.
#[utoipa::path(
    get, path = "/admin/login", tag = "administration", params(Link),
    responses(
        (status = 200, description = "The form.", body = String, content_type = "text/html"),
        (status = 401, description = "The link is over.", body = String, content_type = "text/html"),
    )
)]
pub(crate) async fn get_login(desk: Data<Desk>, request: HttpRequest) -> Result<Page, Problem> {
    desk.guard.require_database()?;
    let link: Link = parse_query(&request)?;
    let next = place(link.next.as_deref().unwrap_or_default());
    let Some(code) = &link.code else { return Ok(Page::ok(form(None, None, next)?)) };
    match desk.guard.whose_code(code).await {
        Ok(who) => Ok(Page::ok(form(None, Some((code, &who)), next)?)),
        Err(fault) => Ok(Page::refused(fault.code(), form(Some(OVER), None, next)?)),
    }
}

const OVER: &str = "This link is over, or was used. Ask for a new one, or log in with a token.";
const WRONG: &str = "This token is not good: it is wrong, of another house, or expired.";

/// Log in
///
/// Sets the cookie `seatpilot_admin` and leads on. The session is written down in the audit log.
#[utoipa::path(
    post, path = "/admin/login", tag = "administration",
    request_body(content = crate::openapi::LoginForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "Logged in; `Location` leads on."),
        (status = 401, description = "The token or code is not good.", content(
            (String = "text/html"), (Object = "application/problem+json"))),
        (status = 403, description = "From a page of another site, or of somebody without a role here.", content(
            (String = "text/html"), (Object = "application/problem+json"))),
    )
)]
pub(crate) async fn post_login(
    desk: Data<Desk>,
    request: HttpRequest,
    context: RequestContext,
    payload: Payload,
) -> Result<Page, Problem> {
    desk.guard.require_database()?;
    desk.guard.check_origin(&request)?;
    let body = read_body(&request, payload, FORM_BYTES_MAX).await?;
    let fields = parse_form(&body)?;
    let field = |name: &str| {
        let found = fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.trim());
        found.filter(|value| !value.is_empty())
    };
    let next = place(field("next").unwrap_or_default());
    let (opened, trouble) = match (field("token"), field("code")) {
        (Some(token), None) => (desk.guard.open_by_token(token).await, WRONG),
        (None, Some(code)) => (desk.guard.open_by_code(code).await, OVER),
        (Some(_), Some(_)) | (None, None) => {
            (Err(Fault::schema("/token", "is required, or code: one of the two")), "Paste a token.")
        }
    };
    let opened = match opened {
        Ok(opened) => opened,
        Err(fault) => return refuse(&request, fault, trouble, next),
    };
    let by = opened.code_id.as_deref().map_or(SessionBy::Token, SessionBy::Code);
    let ip = request.peer_addr().map(|peer| peer.ip().to_string());
    let origin = Origin { ip: ip.as_deref(), request_id: Some(context.id.as_str()) };
    match desk.store()?.as_caller(&opened.who).open_session(by, origin).await.map_err(Fault::from)? {
        Opened::Opened(_) => Ok(opened.go_to(next)),
        Opened::CodeUsed => refuse(&request, Fault::unauthorized(), OVER, next),
    }
}

/// Log out
///
/// Takes the cookie back. The token itself stays good until it expires: it was never kept here.
#[utoipa::path(
    post, path = "/admin/logout", tag = "administration", security(("admin" = [])),
    responses((status = 303, description = "Logged out; `Location` leads to the login form."))
)]
pub(crate) async fn post_logout(desk: Data<Desk>, _session: Session) -> Page {
    desk.guard.go_out("/admin/login")
}

/// The form for a browser that came to a guarded page without a session; it leads back there.
pub(crate) fn form_for(request: &HttpRequest) -> String {
    let wanted = request.uri().path_and_query().map(|place| place.as_str()).unwrap_or_default();
    let next = if request.method() == actix_web::http::Method::GET { place(wanted) } else { HOME };
    // The guard has no way to fail here: an empty page would be one.
    form(None, None, next).unwrap_or_default()
}

fn form(trouble: Option<&str>, offer: Option<(&str, &Administrator)>, next: &str) -> Result<String, Problem> {
    let offer = offer.map(|(code, who)| Offer { code, tenant: who.tenant.as_str(), role: who.role.as_str() });
    render(&LoginPage { frame: Frame::of_nobody(), trouble, offer, next })
}

/// The form again for a browser, a problem document for others; the same status.
fn refuse(request: &HttpRequest, fault: Fault, trouble: &str, next: &str) -> Result<Page, Problem> {
    let said = match fault.code() {
        FaultCode::Unauthorized => trouble,
        FaultCode::Forbidden => "The token is good, but its owner has no tenant or no role here.",
        FaultCode::SchemaViolation => "Paste a token: one, of at most 4,000 characters.",
        _ => return Err(fault.into()),
    };
    if prefers_html(request) {
        Ok(Page::refused(fault.code(), form(Some(said), None, next)?))
    } else {
        Err(fault.into())
    }
}

/// A place of ours to go on to: a path under `/admin`, never another site.
fn place(wanted: &str) -> &str {
    let rest = wanted.strip_prefix(HOME);
    let ours = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#';
    let good = ours
        && wanted.len() <= PLACE_BYTES_MAX
        && wanted.bytes().all(plain)
        && !wanted.starts_with("/admin/log")
        && header::HeaderValue::from_str(wanted).is_ok();
    if good { wanted } else { HOME }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_on_to_a_place_of_ours_and_to_no_other() {
        for good in ["/admin", "/admin/billing?period=2026-11", "/admin?x=1", "/admin/audit"] {
            assert_eq!(place(good), good);
        }
        for bad in [
            "",
            "/",
            "//evil.example",
            "/admin.evil.example",
            "https://evil.example/admin",
            "/administration",
            "/admin\\@evil.example",
            "/admin/\r\nset-cookie: a=b",
            "/admin/login?code=x",
            "/admin/ü",
            &format!("/admin/{}", "x".repeat(512)),
        ] {
            assert_eq!(place(bad), HOME, "{bad}");
        }
    }
}
