//! What is in the `data` of each type of event. Written by a test from the JSON Schemas; do not edit.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::EventType;

/// A guest began to check in: a code was shown or a screen touched.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckinStarted {
    /// The gate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub door_id: Option<String>,
    /// The evening.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// Whatever else there is to say.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl EventType for CheckinStarted {
    const NAME: &'static str = "checkin.started";
}

/// A guest was admitted, as the sender saw it. KPIs and bills count the admissions that the service wrote itself, never these.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckinSuccess {
    /// The gate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub door_id: Option<String>,
    /// The evening.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// From scan to answer, in milliseconds.
    pub latency_ms: f64,
    /// Whatever else there is to say.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl EventType for CheckinSuccess {
    const NAME: &'static str = "checkin.success";
}

/// A guest was not admitted, as the sender saw it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckinFailed {
    /// The gate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub door_id: Option<String>,
    /// The evening.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// From scan to answer, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// Why: a problem code of the check-in, or the sender's own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whatever else there is to say.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl EventType for CheckinFailed {
    const NAME: &'static str = "checkin.failed";
}

/// A way was shown to a guest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WayfindingRouteShown {
    /// Its length in metres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distance_m: Option<f64>,
    /// Its duration in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<f64>,
    /// Where it begins, as `kind:id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// How the guest moves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Where it ends, as `kind:id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Whatever else there is to say.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl EventType for WayfindingRouteShown {
    const NAME: &'static str = "wayfinding.route_shown";
}

/// A guest reached the seat, as the sender saw it. KPIs count the arrivals that the service wrote itself, never these.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WayfindingArriveTable {
    /// From check-in to seat, in seconds.
    pub door_to_seat_seconds: f64,
    /// The guest's seat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seat_id: Option<String>,
    /// The guest's section.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// The guest's table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_id: Option<String>,
    /// Whatever else there is to say.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl EventType for WayfindingArriveTable {
    const NAME: &'static str = "wayfinding.arrive_table";
}

/// A party was given its seats.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SeatingAssigned {
    /// How long the assignment took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
    /// Whether it was made without a hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feasible: Option<bool>,
    /// Which seat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seat_id: Option<String>,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// Which table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_id: Option<String>,
    /// Whatever else there is to say.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl EventType for SeatingAssigned {
    const NAME: &'static str = "seating.assigned";
}

/// A device is alive. Nothing is required.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceHeartbeat {
    /// Whatever else there is to say.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl EventType for DeviceHeartbeat {
    const NAME: &'static str = "device.heartbeat";
}
