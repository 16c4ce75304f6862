// Written by scripts/types.mjs from packages/domain-model/schemas; do not edit.

/**
 * A guest was not admitted, as the sender saw it.
 */
export interface CheckinFailed {
  /**
   * Stored once within the tenant; a UUIDv7 keeps the table in order.
   */
  id: string;
  /**
   * One of the types that have a schema beside this file.
   */
  type: "checkin.failed";
  /**
   * RFC 3339 with an offset and at most microseconds (`format` alone would let nanoseconds through).
   */
  occurred_at: string;
  venue_id: string;
  /**
   * Whose visit.
   */
  session_id?: string;
  channel?: "mobile" | "kiosk" | "desk" | "signage";
  /**
   * Where present, the tenant of the key that signs.
   */
  tenant_id?: string;
  /**
   * What the type says.
   */
  data: {
    /**
     * Why: a problem code of the check-in, or the sender's own word.
     */
    reason?: string;
    /**
     * From scan to answer, in milliseconds.
     */
    latency_ms?: number;
    /**
     * The evening.
     */
    event_id?: string;
    /**
     * The gate.
     */
    door_id?: string;
    [k: string]: unknown;
  };
}

/**
 * A guest began to check in: a code was shown or a screen touched.
 */
export interface CheckinStarted {
  /**
   * Stored once within the tenant; a UUIDv7 keeps the table in order.
   */
  id: string;
  /**
   * One of the types that have a schema beside this file.
   */
  type: "checkin.started";
  /**
   * RFC 3339 with an offset and at most microseconds (`format` alone would let nanoseconds through).
   */
  occurred_at: string;
  venue_id: string;
  /**
   * Whose visit.
   */
  session_id?: string;
  channel?: "mobile" | "kiosk" | "desk" | "signage";
  /**
   * Where present, the tenant of the key that signs.
   */
  tenant_id?: string;
  /**
   * What the type says.
   */
  data: {
    /**
     * The evening.
     */
    event_id?: string;
    /**
     * The gate.
     */
    door_id?: string;
    [k: string]: unknown;
  };
}

/**
 * A guest was admitted, as the sender saw it. KPIs and bills count the admissions that the service wrote itself, never these.
 */
export interface CheckinSuccess {
  /**
   * Stored once within the tenant; a UUIDv7 keeps the table in order.
   */
  id: string;
  /**
   * One of the types that have a schema beside this file.
   */
  type: "checkin.success";
  /**
   * RFC 3339 with an offset and at most microseconds (`format` alone would let nanoseconds through).
   */
  occurred_at: string;
  venue_id: string;
  /**
   * Whose visit.
   */
  session_id?: string;
  channel?: "mobile" | "kiosk" | "desk" | "signage";
  /**
   * Where present, the tenant of the key that signs.
   */
  tenant_id?: string;
  /**
   * What the type says.
   */
  data: {
    /**
     * From scan to answer, in milliseconds.
     */
    latency_ms: number;
    /**
     * The evening.
     */
    event_id?: string;
    /**
     * The gate.
     */
    door_id?: string;
    [k: string]: unknown;
  };
}

/**
 * A device is alive. Nothing is required.
 */
export interface DeviceHeartbeat {
  /**
   * Stored once within the tenant; a UUIDv7 keeps the table in order.
   */
  id: string;
  /**
   * One of the types that have a schema beside this file.
   */
  type: "device.heartbeat";
  /**
   * RFC 3339 with an offset and at most microseconds (`format` alone would let nanoseconds through).
   */
  occurred_at: string;
  venue_id: string;
  /**
   * Whose visit.
   */
  session_id?: string;
  channel?: "mobile" | "kiosk" | "desk" | "signage";
  /**
   * Where present, the tenant of the key that signs.
   */
  tenant_id?: string;
  /**
   * What the type says.
   */
  data: {
    [k: string]: unknown;
  };
}

/**
 * A party was given its seats.
 */
export interface SeatingAssigned {
  /**
   * Stored once within the tenant; a UUIDv7 keeps the table in order.
   */
  id: string;
  /**
   * One of the types that have a schema beside this file.
   */
  type: "seating.assigned";
  /**
   * RFC 3339 with an offset and at most microseconds (`format` alone would let nanoseconds through).
   */
  occurred_at: string;
  venue_id: string;
  /**
   * Whose visit.
   */
  session_id?: string;
  channel?: "mobile" | "kiosk" | "desk" | "signage";
  /**
   * Where present, the tenant of the key that signs.
   */
  tenant_id?: string;
  /**
   * What the type says.
   */
  data: {
    /**
     * Where.
     */
    section?: string;
    /**
     * Which table.
     */
    table_id?: string;
    /**
     * Which seat.
     */
    seat_id?: string;
    /**
     * How long the assignment took, in milliseconds.
     */
    duration_ms?: number;
    /**
     * Whether it was made without a hand.
     */
    feasible?: boolean;
    [k: string]: unknown;
  };
}

/**
 * A guest reached the seat, as the sender saw it. KPIs count the arrivals that the service wrote itself, never these.
 */
export interface WayfindingArriveTable {
  /**
   * Stored once within the tenant; a UUIDv7 keeps the table in order.
   */
  id: string;
  /**
   * One of the types that have a schema beside this file.
   */
  type: "wayfinding.arrive_table";
  /**
   * RFC 3339 with an offset and at most microseconds (`format` alone would let nanoseconds through).
   */
  occurred_at: string;
  venue_id: string;
  /**
   * Whose visit.
   */
  session_id?: string;
  channel?: "mobile" | "kiosk" | "desk" | "signage";
  /**
   * Where present, the tenant of the key that signs.
   */
  tenant_id?: string;
  /**
   * What the type says.
   */
  data: {
    /**
     * From check-in to seat, in seconds.
     */
    door_to_seat_seconds: number;
    /**
     * The guest's section.
     */
    section?: string;
    /**
     * The guest's table.
     */
    table_id?: string;
    /**
     * The guest's seat.
     */
    seat_id?: string;
    [k: string]: unknown;
  };
}

/**
 * A way was shown to a guest.
 */
export interface WayfindingRouteShown {
  /**
   * Stored once within the tenant; a UUIDv7 keeps the table in order.
   */
  id: string;
  /**
   * One of the types that have a schema beside this file.
   */
  type: "wayfinding.route_shown";
  /**
   * RFC 3339 with an offset and at most microseconds (`format` alone would let nanoseconds through).
   */
  occurred_at: string;
  venue_id: string;
  /**
   * Whose visit.
   */
  session_id?: string;
  channel?: "mobile" | "kiosk" | "desk" | "signage";
  /**
   * Where present, the tenant of the key that signs.
   */
  tenant_id?: string;
  /**
   * What the type says.
   */
  data: {
    /**
     * Where it begins, as `kind:id`.
     */
    from?: string;
    /**
     * Where it ends, as `kind:id`.
     */
    to?: string;
    /**
     * How the guest moves.
     */
    profile?: string;
    /**
     * Its length in metres.
     */
    distance_m?: number;
    /**
     * Its duration in seconds.
     */
    duration_s?: number;
    [k: string]: unknown;
  };
}

/** An event as it is sent: which type says what is in `data`. */
export type Event =
  | CheckinFailed
  | CheckinStarted
  | CheckinSuccess
  | DeviceHeartbeat
  | SeatingAssigned
  | WayfindingArriveTable
  | WayfindingRouteShown;

/** Each type of event by its name. */
export interface EventByType {
  "checkin.failed": CheckinFailed;
  "checkin.started": CheckinStarted;
  "checkin.success": CheckinSuccess;
  "device.heartbeat": DeviceHeartbeat;
  "seating.assigned": SeatingAssigned;
  "wayfinding.arrive_table": WayfindingArriveTable;
  "wayfinding.route_shown": WayfindingRouteShown;
}
