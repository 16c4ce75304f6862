//! `/admin/dlq`: what was refused and kept, for administrators and owners. Reads run under the caller's own claims, acts
//! by functions that ask the same claims (migration 109).

mod became;
mod chosen;
mod letter;
mod listed;

use actix_web::{
    HttpRequest,
    web::{Data, Payload},
};
use seatpilot_domain_model::{Fault, FaultCode};
use seatpilot_http::{
    Answer, Problem, RequestContext, Success, admin::Session, parse_json, parse_query, read_body,
};
use seatpilot_store::{DeadLetterDesk, LetterCursor, audit::Origin};
use uuid::Uuid;

use super::Desk;
use became::{Discarded, Redriven};
use chosen::{Chosen, GivenUp, LETTERS_AT_ONCE, Which};
use letter::{Letters, Shown};
use listed::Listed;

/// A hundred ids and a reason have some five thousand bytes.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// The dead letters
///
/// Newest first, without their payloads. `next_after` leads to older ones; null where there are none.
#[utoipa::path(
    get, path = "/admin/dlq", tag = "administration", security(("admin" = [])), params(Listed),
    responses(
        (status = 200, description = "Letters.", body = Letters),
        (status = 403, description = "`forbidden`: it takes the role `admin`.", body = Object, content_type = "application/problem+json"),
        (status = 422, description = "`schema_violation`", body = Object, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_dlq(
    desk: Data<Desk>,
    session: Session,
    request: HttpRequest,
) -> Result<Answer, Problem> {
    let wanted: Listed = parse_query(&request)?;
    let page = wanted.page()?;
    let mut letters = letters(&desk, &session, Origin::default())?;
    let rows = letters.list(&page.filter, page.after, page.limit).await.map_err(Fault::from)?;
    Ok(Answer::json(Success::Ok, &Letters::of(&rows, page.limit)))
}

/// One dead letter
///
/// With its payload, which is a sender's own text and may name guests.
#[utoipa::path(
    get, path = "/admin/dlq/{dlq_id}", tag = "administration", security(("admin" = [])),
    params(("dlq_id" = Uuid, Path, description = "The letter.")),
    responses(
        (status = 200, description = "The letter.", body = Shown),
        (status = 403, description = "`forbidden`: it takes the role `admin`.", body = Object, content_type = "application/problem+json"),
        (status = 404, description = "`not_found`: the tenant has no such letter.", body = Object, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_letter(
    desk: Data<Desk>,
    session: Session,
    request: HttpRequest,
) -> Result<Answer, Problem> {
    let unknown = || Fault::new(FaultCode::NotFound, "There is no such dead letter.");
    let id = request.match_info().get("dlq_id").and_then(|id| Uuid::try_parse(id).ok());
    let mut letters = letters(&desk, &session, Origin::default())?;
    let letter = letters.show(id.ok_or_else(unknown)?).await.map_err(Fault::from)?;
    Ok(Answer::json(Success::Ok, &Shown::of(&letter.ok_or_else(unknown)?)))
}

/// What would become of letters that are sent again
///
/// By today's schemas and today's plan. It changes nothing.
#[utoipa::path(
    post, path = "/admin/dlq/dry-run", tag = "administration", security(("admin" = [])),
    request_body(content = Chosen),
    responses(
        (status = 200, description = "What would become of each.", body = Redriven),
        (status = 400, description = "`bad_json`", body = Object, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: it takes the role `admin`.", body = Object, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = Object, content_type = "application/problem+json"),
        (status = 422, description = "`schema_violation`", body = Object, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn post_dry_run(
    desk: Data<Desk>,
    session: Session,
    request: HttpRequest,
    payload: Payload,
) -> Result<Answer, Problem> {
    desk.store()?;
    let body = read_body(&request, payload, BODY_BYTES_MAX).await?;
    let chosen: Chosen = parse_json(&body)?;
    let mut letters = letters(&desk, &session, Origin::default())?;
    let (ids, next) = redrivable(&mut letters, chosen.which()?).await?;
    let became = letters.dry_run(&ids, |_| {}).await.map_err(Fault::from)?;
    Ok(Answer::json(Success::Ok, &Redriven::of(true, became, next)))
}

/// Send letters again
///
/// Each is judged by today's schemas and plan, as of the time it was received; what passes is stored once, under its own
/// id. Event, letter and audit row are one transaction, so the same request again is safe. At most 100 letters a request,
/// 50 a second, and one request at a time a process.
#[utoipa::path(
    post, path = "/admin/dlq/redrive", tag = "administration", security(("admin" = [])),
    request_body(content = Chosen),
    responses(
        (status = 200, description = "What became of each.", body = Redriven),
        (status = 400, description = "`bad_json`", body = Object, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: it takes the role `admin`.", body = Object, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = Object, content_type = "application/problem+json"),
        (status = 422, description = "`schema_violation`", body = Object, content_type = "application/problem+json"),
        (status = 503, description = "`overloaded`: letters are being sent again just now. `database_unavailable`: some may have been; the same request again is safe.", body = Object, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn post_redrive(
    desk: Data<Desk>,
    session: Session,
    context: RequestContext,
    request: HttpRequest,
    payload: Payload,
) -> Result<Answer, Problem> {
    desk.store()?;
    let _turn = desk.redrives.enter()?;
    let body = read_body(&request, payload, BODY_BYTES_MAX).await?;
    let chosen: Chosen = parse_json(&body)?;
    let ip = request.peer_addr().map(|peer| peer.ip().to_string());
    let origin = Origin { ip: ip.as_deref(), request_id: Some(context.id.as_str()) };
    let mut letters = letters(&desk, &session, origin)?;
    let (ids, next) = redrivable(&mut letters, chosen.which()?).await?;
    let became = letters.redrive(&ids, |_| {}).await.map_err(Fault::from)?;
    Ok(Answer::json(Success::Ok, &Redriven::of(false, became, next)))
}

/// Give letters up
///
/// They stay readable until their 30 days are over and are never sent again. Twice is once: the first reason stays. At
/// most 100 letters a request.
#[utoipa::path(
    post, path = "/admin/dlq/discard", tag = "administration", security(("admin" = [])),
    request_body(content = GivenUp),
    responses(
        (status = 200, description = "What became of each.", body = Discarded),
        (status = 400, description = "`bad_json`", body = Object, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: it takes the role `admin`.", body = Object, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = Object, content_type = "application/problem+json"),
        (status = 422, description = "`schema_violation`", body = Object, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn post_discard(
    desk: Data<Desk>,
    session: Session,
    context: RequestContext,
    request: HttpRequest,
    payload: Payload,
) -> Result<Answer, Problem> {
    desk.store()?;
    let body = read_body(&request, payload, BODY_BYTES_MAX).await?;
    let given_up: GivenUp = parse_json(&body)?;
    let (which, why) = given_up.which()?;
    let ip = request.peer_addr().map(|peer| peer.ip().to_string());
    let origin = Origin { ip: ip.as_deref(), request_id: Some(context.id.as_str()) };
    let mut letters = letters(&desk, &session, origin)?;
    let ids = match which {
        Which::Ids(ids) => ids,
        Which::Filter(filter, after) => {
            let found = letters.discardable(&filter, after, LETTERS_AT_ONCE).await.map_err(Fault::from)?;
            found.into_iter().map(|letter| letter.dlq_id).collect()
        }
    };
    let became = letters.discard(&ids, &why, |_| {}).await.map_err(Fault::from)?;
    Ok(Answer::json(Success::Ok, &Discarded::of(became)))
}

/// The tenant's letters, as this person may see and handle them.
fn letters<'d>(desk: &'d Desk, session: &Session, origin: Origin<'d>) -> Result<DeadLetterDesk<'d>, Fault> {
    let who = session.who();
    Ok(desk.store()?.as_caller(who).dead_letter_desk(&who.tenant, origin))
}

/// The letters of a request, and where a filter goes on.
async fn redrivable(
    letters: &mut DeadLetterDesk<'_>,
    which: Which,
) -> Result<(Vec<Uuid>, Option<LetterCursor>), Fault> {
    match which {
        Which::Ids(ids) => Ok((ids, None)),
        Which::Filter(filter, after) => {
            let found = letters.redrivable(&filter, after, LETTERS_AT_ONCE).await?;
            let is_full = found.len() == LETTERS_AT_ONCE as usize;
            let next = found.last().copied().filter(|_| is_full);
            Ok((found.into_iter().map(|letter| letter.dlq_id).collect(), next))
        }
    }
}
