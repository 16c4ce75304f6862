//! The guard before each route of `/admin`.

use std::fmt;

use actix_http::h1;
use actix_web::{
    Error, HttpMessage as _, HttpRequest, HttpResponse,
    body::BoxBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{Method, header},
    middleware::Next,
    web,
};
use seatpilot_domain_model::{AdminAction, Administrator, Fault, FaultCode};
use seatpilot_runtime::{AdminAccess, Clock, Deployment, SecretString};
use seatpilot_signing::{ADMIN_AUDIENCE, AdminSubject, LOGIN_AUDIENCE, sign_admin_token};

use super::{
    origin,
    page::{Page, prefers_html},
    session::{self, CSRF_FIELD, CSRF_HEADER, Session, parse_form},
    token::{Verified, Verifier},
};
use crate::{body::read_body, credential::bearer_token, problem::Problem, request::note_caller};

/// How long a session is that a login code opens, in seconds: a working day.
const SESSION_SECONDS: i64 = 12 * 3600;
/// Largest body of a change by cookie: forms and small JSON.
const CHANGE_BYTES_MAX: usize = 64 * 1024;

/// Whether the process has the database that administration reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// It has one, reachable or not.
    Present,
    /// It runs without: everything here is 503 `database_required`.
    Missing,
}

/// What a guard is made of.
#[derive(Debug, Clone)]
pub struct AdminGuardSettings {
    /// What verifies tokens.
    pub access: AdminAccess,
    /// Where it runs: in production the cookie is `Secure`.
    pub deployment: Deployment,
    /// Whether there is a database.
    pub database: Database,
    /// The time.
    pub clock: Clock,
}

/// The TLS client for the keys' address cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("no TLS client for the address of the keys: {0}")]
pub struct AdminGuardFault(pub(super) String);

/// Stands before each route of `/admin`. One a process.
pub struct AdminGuard {
    verifier: Verifier,
    deployment: Deployment,
    database: Database,
    clock: Clock,
    login_page: Option<LoginPage>,
}

/// Makes the HTML of the login form for a request that has no session.
type LoginPage = fn(&HttpRequest) -> String;

/// A session that a login just opened.
#[derive(Debug)]
pub struct OpenedSession {
    /// Whose it is.
    pub who: Administrator,
    /// The id of the login code, to be remembered as used; none where a token was brought.
    pub code_id: Option<String>,
    /// `Set-Cookie`.
    cookie: SecretString,
}

impl OpenedSession {
    /// The way on, with the cookie.
    pub fn go_to(&self, place: &str) -> Page {
        let page = Page::see_other(place);
        match header::HeaderValue::from_str(self.cookie.expose_secret()) {
            Ok(cookie) => page.with_header(header::SET_COOKIE, cookie),
            // Made of a token that verified: base64 and dots.
            Err(_) => page,
        }
    }
}

impl AdminGuard {
    /// A guard.
    ///
    /// # Errors
    /// [`AdminGuardFault`], only with an address of keys.
    pub fn new(settings: AdminGuardSettings) -> Result<Self, AdminGuardFault> {
        let AdminGuardSettings { access, deployment, database, clock } = settings;
        let verifier = Verifier::new(access, &clock)?;
        Ok(Self { verifier, deployment, database, clock, login_page: None })
    }

    /// Shows browsers that have no session a form instead of a problem document; the status stays 401.
    #[must_use]
    pub fn with_login_page(mut self, page: LoginPage) -> Self {
        self.login_page = Some(page);
        self
    }

    /// Refuses where the process has no database.
    ///
    /// # Errors
    /// `database_required`.
    pub fn require_database(&self) -> Result<(), Fault> {
        match self.database {
            Database::Present => Ok(()),
            Database::Missing => Err(Fault::database_required()),
        }
    }

    /// Who asks.
    ///
    /// # Errors
    /// `unauthorized`, `forbidden`, `not_ready`.
    pub async fn session(&self, request: &HttpRequest) -> Result<Session, Fault> {
        // One that is brought by hand holds, good or bad: the cookie comes by itself.
        if let Some(token) = bearer_token(request)? {
            let verified = self.verify(token.expose_secret(), ADMIN_AUDIENCE).await?;
            return Ok(Session::of_bearer(verified.who, token));
        }
        let token = session::cookie(request)?.ok_or_else(Fault::unauthorized)?;
        let verified = self.verify(token.expose_secret(), ADMIN_AUDIENCE).await?;
        Ok(Session::of_cookie(verified.who, token))
    }

    /// Opens a session for a token that somebody brought.
    ///
    /// # Errors
    /// As [`AdminGuard::session`]; `schema_violation` where the token is too long for a cookie.
    pub async fn open_by_token(&self, token: &str) -> Result<OpenedSession, Fault> {
        if token.len() > session::COOKIE_BYTES_MAX {
            return Err(Fault::schema(
                "/token",
                "is too long for a cookie; send it as Authorization: Bearer",
            ));
        }
        let verified = self.verify(token, ADMIN_AUDIENCE).await?;
        let left = verified.expires_at.saturating_sub(self.clock.now().as_second());
        Ok(self.opened(verified.who, None, token, left))
    }

    /// Opens a session for the code of a login link. The caller must make sure that the code's id was not used before.
    ///
    /// # Errors
    /// `unauthorized` where the code is wrong or over, or tokens are not signed here.
    pub async fn open_by_code(&self, code: &str) -> Result<OpenedSession, Fault> {
        let Verifier::Secret { secret, .. } = &self.verifier else { return Err(Fault::unauthorized()) };
        let verified = self.verify(code, LOGIN_AUDIENCE).await?;
        let id = verified.id.ok_or_else(Fault::unauthorized)?;
        let who = verified.who;
        let subject =
            AdminSubject { tenant: who.tenant.as_str(), role: who.role.as_str(), subject: who.name() };
        let now = self.clock.now().as_second();
        let token = sign_admin_token(secret.expose_secret().as_bytes(), subject, now, SESSION_SECONDS);
        Ok(self.opened(who, Some(id), &token, SESSION_SECONDS))
    }

    /// Whose login code this is, without using it up.
    ///
    /// # Errors
    /// As [`AdminGuard::open_by_code`].
    pub async fn whose_code(&self, code: &str) -> Result<Administrator, Fault> {
        self.verify(code, LOGIN_AUDIENCE).await.map(|verified| verified.who)
    }

    /// The way out: the cookie is taken back.
    pub fn go_out(&self, place: &str) -> Page {
        let page = Page::see_other(place);
        match header::HeaderValue::from_str(&session::set_cookie("", 0, self.deployment)) {
            Ok(cookie) => page.with_header(header::SET_COOKIE, cookie),
            Err(_) => page,
        }
    }

    /// Refuses a form that a page of another site sent; for the login form, which has no session yet.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn check_origin(&self, request: &HttpRequest) -> Result<(), Fault> {
        origin::check(request.headers())
    }

    fn opened(
        &self,
        who: Administrator,
        code_id: Option<String>,
        token: &str,
        seconds: i64,
    ) -> OpenedSession {
        let cookie = SecretString::new(session::set_cookie(token, seconds, self.deployment));
        OpenedSession { who, code_id, cookie }
    }

    async fn verify(&self, token: &str, audience: &str) -> Result<Verified, Fault> {
        self.verifier.verify(token, audience, &self.clock).await
    }

    /// What happens before a guarded handler; see the module's head.
    pub(crate) async fn pass(
        &self,
        action: AdminAction,
        mut request: ServiceRequest,
        next: Next<BoxBody>,
    ) -> Result<ServiceResponse<BoxBody>, Error> {
        match self.admit(action, &mut request).await {
            Ok(session) => {
                note_caller(request.request(), &session.who().tenant, session.who().name());
                request.extensions_mut().insert(session);
                next.call(request).await
            }
            Err(fault) => {
                let response = self.refuse(fault, request.request());
                // Not `into_response`, which drops the error that the edge reads the fault from.
                Ok(ServiceResponse::new(request.into_parts().0, response))
            }
        }
    }

    async fn admit(&self, action: AdminAction, request: &mut ServiceRequest) -> Result<Session, Fault> {
        self.require_database()?;
        let session = self.session(request.request()).await?;
        let who = session.who();
        if !who.role.may(action) {
            let (role, least) = (who.role, action.least_role());
            let detail = format!("This takes the role {least} or a higher one; the token's is {role}.");
            return Err(Fault::new(FaultCode::Forbidden, detail));
        }
        let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
        if changes && session.is_by_cookie() {
            origin::check(request.headers())?;
            self.check_mark(&session, request).await?;
        }
        Ok(session)
    }

    /// Looks for the session's mark in the header, else in the form; the body is put back for the handler.
    async fn check_mark(&self, session: &Session, request: &mut ServiceRequest) -> Result<(), Fault> {
        if let Some(mark) = request.headers().get(CSRF_HEADER) {
            let is_own = mark.to_str().is_ok_and(|mark| session.checks(mark));
            return if is_own { Ok(()) } else { Err(session::unmarked()) };
        }
        let payload = request.extract::<web::Payload>().await.map_err(|_| Fault::internal())?;
        let body = read_body(request.request(), payload, CHANGE_BYTES_MAX).await?;
        let fields = parse_form(&body)?;
        let mark = fields.iter().find(|(name, _)| name == CSRF_FIELD);
        if !mark.is_some_and(|(_, mark)| session.checks(mark)) {
            return Err(session::unmarked());
        }
        let (_, mut again) = h1::Payload::create(true);
        again.unread_data(body);
        request.set_payload(Payload::from(again));
        Ok(())
    }

    fn refuse(&self, fault: Fault, request: &HttpRequest) -> HttpResponse {
        match self.login_page {
            Some(page) if fault.code() == FaultCode::Unauthorized && prefers_html(request) => {
                Page::refused(FaultCode::Unauthorized, page(request)).into_response()
            }
            _ => HttpResponse::from_error(Problem::from(fault)),
        }
    }
}

impl fmt::Debug for AdminGuard {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("AdminGuard").field("database", &self.database).finish_non_exhaustive()
    }
}
