//! `GET /admin`: who one is, and the venues of one's house.

use actix_web::{Either, HttpRequest, web::Data};
use askama::Template;
use seatpilot_domain_model::{Administrator, Fault};
use seatpilot_http::{
    Answer, Problem, Success,
    admin::{Page, Session, prefers_html},
};
use seatpilot_store::VenueRow;
use serde_json::json;

use super::{Desk, frame::Frame, render};

/// Most venues on the page; a tenant has a handful.
const VENUES_MAX: u32 = 1_000;

#[derive(Template)]
#[template(path = "admin/house.html")]
struct House<'a> {
    frame: Frame,
    who: &'a Administrator,
    venues: Vec<VenueRow>,
}

/// Your house
///
/// Who the token says you are, and the venues of the tenant. A page for a browser, JSON for others.
#[utoipa::path(
    get, path = "/admin", tag = "administration", security(("admin" = [])),
    responses(
        (status = 200, description = "Who you are, and your venues.", content(
            (Object = "application/json"), (String = "text/html"))),
        (status = 401, description = "No token: the login form for a browser, a problem document for others.",
            content((String = "text/html"), (Object = "application/problem+json"))),
    )
)]
pub(crate) async fn get_house(
    desk: Data<Desk>,
    session: Session,
    request: HttpRequest,
) -> Result<Either<Page, Answer>, Problem> {
    let who = session.who();
    let venues = desk.store()?.as_caller(who).venues(VENUES_MAX).await.map_err(Fault::from)?;
    if prefers_html(&request) {
        let page = House { frame: Frame::of(&session, "/admin"), who, venues };
        return Ok(Either::Left(Page::ok(render(&page)?)));
    }
    let venues: Vec<_> = venues
        .iter()
        .map(|venue| {
            json!({
                "venue_id": venue.id, "name": venue.name, "time_zone": venue.time_zone,
                "map_revision": venue.map_revision,
            })
        })
        .collect();
    let answer =
        json!({ "tenant_id": who.tenant, "role": who.role, "subject": who.subject, "venues": venues });
    Ok(Either::Right(Answer::json(Success::Ok, &answer)))
}
