//! The OpenAPI document, and the shape that only it needs.

use utoipa::{
    OpenApi, PartialSchema, ToSchema,
    openapi::{AllOfBuilder, ObjectBuilder, Ref, RefOr, Schema, Type, schema::AnyOfBuilder},
};

use crate::wire::Ping;

#[derive(OpenApi)]
#[openapi(
    info(description = "Closes the door-to-seat time and shows routes."),
    paths(crate::arrive_table::arrive_table, crate::route::route)
)]
struct Document;

/// The document that `/openapi.json` answers and `docs/openapi/wayfinding.json` holds.
pub fn document() -> String {
    seatpilot_http::openapi::document(&Document::openapi(), "wayfinding", env!("CARGO_PKG_VERSION"))
}

/// A ping that says where it comes from: with at least one of the three places.
pub(crate) struct PlacedPing;

impl PartialSchema for PlacedPing {
    fn schema() -> RefOr<Schema> {
        let named = |place: &str| ObjectBuilder::new().schema_type(Type::Object).required(place);
        let somewhere =
            AnyOfBuilder::new().item(named("table_id")).item(named("seat_id")).item(named("section"));
        AllOfBuilder::new().item(Ref::from_schema_name("Ping")).item(somewhere).into()
    }
}

impl ToSchema for PlacedPing {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("Ping".to_owned(), Ping::schema()));
        Ping::schemas(schemas);
    }
}
