//! Requests and answers as they stand on the wire.

use jiff::Timestamp;
use seatpilot_domain_model::{
    Arrival, Fault, Lang, Place, Profile, SeatId, SectionId, SignId, TableId, VenueId, member,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// A ping from where a guest sits. At least one of `table_id`, `seat_id`, `section`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ping {
    #[serde(deserialize_with = "member::uuid")]
    pub(crate) ping_id: Uuid,
    /// The check-in's session.
    #[serde(deserialize_with = "member::uuid")]
    pub(crate) session_id: Uuid,
    /// What the guest was told, as finely as the sender knows.
    #[serde(default, deserialize_with = "member::present")]
    #[schema(value_type = Option<String>, nullable = false, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    table_id: Option<TableId>,
    #[serde(default, deserialize_with = "member::present")]
    #[schema(value_type = Option<String>, nullable = false, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    seat_id: Option<SeatId>,
    #[serde(default, deserialize_with = "member::present")]
    #[schema(value_type = Option<String>, nullable = false, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    section: Option<SectionId>,
    #[serde(default, deserialize_with = "member::present")]
    #[schema(value_type = Option<String>, nullable = false, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    pub(crate) sign_id: Option<SignId>,
    /// Within [checked_in_at, now + 5 s]; later than now counts as now. The server's time where it is left out.
    #[serde(default, deserialize_with = "member::time")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub(crate) arrived_at: Option<Timestamp>,
}

impl Ping {
    /// Where it was sent from.
    ///
    /// # Errors
    /// `schema_violation` where it says nothing of that.
    pub(crate) fn place(&self) -> Result<Place, Fault> {
        if self.table_id.is_none() && self.seat_id.is_none() && self.section.is_none() {
            return Err(Fault::schema("", "must have at least one of table_id, seat_id, section"));
        }
        Ok(Place { table: self.table_id.clone(), seat: self.seat_id.clone(), section: self.section.clone() })
    }
}

/// A guest at the seat.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Seated<'a> {
    session_id: Uuid,
    #[schema(required)]
    table_id: Option<&'a str>,
    #[schema(required)]
    seat_id: Option<&'a str>,
    #[schema(required)]
    section: Option<&'a str>,
    #[schema(value_type = String, format = DateTime)]
    checked_in_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    arrived_at: Timestamp,
    /// Never negative.
    door_to_seat_seconds: f64,
    /// Over 900 s: kept out of histogram and KPI.
    outlier: bool,
}

impl<'a> From<&'a Arrival> for Seated<'a> {
    fn from(arrival: &'a Arrival) -> Self {
        let walk = arrival.door_to_seat();
        Self {
            session_id: arrival.session_id,
            table_id: arrival.table.as_ref().map(AsRef::as_ref),
            seat_id: arrival.seat.as_ref().map(AsRef::as_ref),
            section: arrival.section.as_ref().map(AsRef::as_ref),
            checked_in_at: arrival.checked_in_at,
            arrived_at: arrival.arrived_at,
            door_to_seat_seconds: walk.seconds(),
            outlier: walk.is_outlier(),
        }
    }
}

/// What is asked of a map.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Question {
    #[param(value_type = String, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    pub(crate) venue_id: VenueId,
    /// `kind:id` (`door:north-1`, `section:U12`, `table:T12`, `seat:…`, `sign:…`, `node:…`), a bare id where only one
    /// place has it, or `lon,lat,level`.
    #[param(
        pattern = "^(((door|section|table|seat|sign|node):)?[A-Za-z0-9][A-Za-z0-9._-]{0,63}|-?(180|(1[0-7][0-9]|[0-9]{1,2})([.][0-9]{1,15})?),-?(90|[0-8]?[0-9]([.][0-9]{1,15})?),-?[0-9]{1,2}([.][0-9]{1,3})?)$"
    )]
    pub(crate) from: String,
    /// As `from`, or `amenity:<kind>` for the nearest: `toilets`, `accessible_toilets`, `lift`, `exit`,
    /// `information`, `first_aid`.
    #[param(
        pattern = "^(amenity:(toilets|accessible_toilets|lift|exit|information|first_aid)|((door|section|table|seat|sign|node):)?[A-Za-z0-9][A-Za-z0-9._-]{0,63}|-?(180|(1[0-7][0-9]|[0-9]{1,2})([.][0-9]{1,15})?),-?(90|[0-8]?[0-9]([.][0-9]{1,15})?),-?[0-9]{1,2}([.][0-9]{1,3})?)$"
    )]
    pub(crate) to: String,
    /// `walk` where it is left out, or `step_free`.
    #[param(value_type = Option<String>, pattern = "^(walk|step_free)$")]
    pub(crate) profile: Option<Profile>,
    /// `en` where it is left out, or `es`.
    #[param(value_type = Option<String>, pattern = "^(en|es)$")]
    pub(crate) lang: Option<Lang>,
}
