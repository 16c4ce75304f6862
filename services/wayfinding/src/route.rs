//! `GET /api/wayfinding/route`.

use actix_web::{HttpRequest, web::Data};
use seatpilot_domain_model::{Fault, FaultCode, Feature, Lang, Profile};
use seatpilot_http::{Answer, Problem, Success, parse_query};
use seatpilot_venue_graph::{PlaceRef, Route, RouteQuery};

use crate::{caller, quota, state::State, wire::Question};

/// The cheapest way in time between two places of a venue.
#[utoipa::path(
    get,
    path = "/api/wayfinding/route",
    operation_id = "route",
    params(Question),
    security(("device" = [])),
    responses(
        (status = 200, description = "The way, in words and as lines.", body = Route),
        (status = 401, description = "`unauthorized`", body = Object, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: the venue is unknown, has no map, or is not this device's.", body = Object, content_type = "application/problem+json"),
        (status = 404, description = "`place_unknown`", body = Object, content_type = "application/problem+json"),
        (status = 409, description = "`no_route`, or `no_step_free_route` where only a way with stairs exists.", body = Object, content_type = "application/problem+json"),
        (status = 422, description = "`schema_violation`: a parameter is missing, doubled or malformed.", body = Object, content_type = "application/problem+json"),
        (status = 429, description = "`quota_exceeded`: the plan's hard limit of routes is reached; `usage` says when it resets.", body = Object, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn route(request: HttpRequest, state: Data<State>) -> Result<Answer, Problem> {
    let _under_way = state.routes.enter()?;
    let device = caller::device(&state, &request).await?;
    let question: Question = parse_query(&request)?;
    let from = PlaceRef::parse_origin(&question.from)
        .map_err(|error| Fault::schema("/query/from", error.to_string()))?;
    let to = PlaceRef::parse(&question.to).map_err(|error| Fault::schema("/query/to", error.to_string()))?;
    let graph = Some(&question.venue_id)
        .filter(|venue| device.may_venue(venue))
        .and_then(|venue| state.store.graph(&device.tenant, venue))
        .ok_or_else(|| {
            Fault::new(FaultCode::Forbidden, "The venue is unknown, has no map, or is not this device's.")
        })?;
    let query = RouteQuery {
        from,
        to,
        profile: question.profile.unwrap_or(Profile::Walk),
        lang: question.lang.unwrap_or(Lang::En),
    };
    let route = graph.route(&query).map_err(Fault::from)?;
    // Only a route that was found is used up, and billed.
    quota::take(&state, &device.tenant, Feature::Routes)?;
    state.served.count(&device.tenant, &question.venue_id);
    Ok(Answer::json(Success::Ok, &route))
}
