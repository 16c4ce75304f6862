//! The reference of all families. Names, types, labels and the bucket edges that alerts read are fixed by the
//! contract (section 5) down to `seatpilot_store_info`, but for `seatpilot_overloaded_total` and what the refresher
//! counts and sees; those, and everything after it, are our operators'.

use crate::family::declare;

/// Seconds of an answer to a person at a gate: the edges 0.3 (the SLO) and 0.4 (what a guest feels) are exact.
const ANSWER_SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1.0, 2.0, 5.0];

/// Seconds of a part of that answer: from 1 ms, since parsing takes less. Few, for there are sixteen
/// histograms a tenant.
const STAGE_SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 1.0];

/// Seconds of a walk: the edges 30 (p50), 60 (p95) and 900 (outliers begin) are exact.
const WALK_SECONDS: &[f64] = &[10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0, 900.0];

/// Milliseconds of a seating decision.
const ASSIGN_MS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0];

/// Seconds of any request.
const REQUEST_SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 1.0, 2.5];

/// Rows of a batch: powers of two, as batches grow under load.
const BATCH_ROWS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Seconds of a statement that commits.
const FLUSH_SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.75, 2.0];

declare! {
    /// Milliseconds from a check-in's request to its answer: quantiles of this process over the last ten
    /// minutes. They cannot be added over instances; no alert reads them.
    CHECKIN_LATENCY_MS = Summary "seatpilot_checkin_latency_ms" ["tenant", "channel"];

    /// Seconds from a check-in's request to its answer. The alerts read this one.
    CHECKIN_LATENCY_SECONDS = Histogram "seatpilot_checkin_latency_seconds" ["tenant", "channel"] buckets ANSWER_SECONDS;

    /// Seconds of a check-in's parts: parse, lookup, persist, and total for all of it.
    CHECKIN_STAGE_SECONDS = Histogram "seatpilot_checkin_stage_seconds" ["stage", "tenant", "channel"] buckets STAGE_SECONDS;

    /// Seconds from a guest's check-in to the seat, by the check-in's channel. Outliers over 900 s are not
    /// in it.
    DOOR_TO_SEAT_SECONDS = Histogram "seatpilot_door_to_seat_seconds" ["tenant", "channel"] buckets WALK_SECONDS;

    /// Arrivals later than 900 s after check-in: stored, but left out of histogram and KPI.
    DOOR_TO_SEAT_OUTLIERS_TOTAL = Counter "seatpilot_door_to_seat_outliers_total" ["tenant"];

    /// Telemetry events stored.
    INGEST_ACCEPTED_TOTAL = Counter "seatpilot_ingest_accepted_total" ["tenant"];

    /// Telemetry events that were stored before, with the same body.
    INGEST_DUPLICATE_TOTAL = Counter "seatpilot_ingest_duplicate_total" ["tenant"];

    /// Telemetry events refused, by reason; and requests refused before their sender was known, as tenant
    /// other.
    INGEST_REJECTED_TOTAL = Counter "seatpilot_ingest_rejected_total" ["tenant", "reason"];

    /// Seconds since what a KPI view shows was complete.
    MV_LAG_SECONDS = Gauge "seatpilot_mv_lag_seconds" ["view"];

    /// Milliseconds of a seating decision.
    ASSIGN_DURATION_MS = Histogram "seatpilot_assign_duration_ms_histogram" ["tenant", "channel"] buckets ASSIGN_MS;

    /// Parties seated automatically, of all confirmed, over the last ten minutes; 1 where none was confirmed.
    ASSIGN_FEASIBLE_RATIO = Gauge "seatpilot_assign_feasible_ratio" ["channel"];

    /// Seconds from a request's head to the end of its handler, by route template.
    HTTP_REQUEST_DURATION_SECONDS = Histogram "http_request_duration_seconds" ["method", "route", "status"] buckets REQUEST_SECONDS;

    /// Requests answered overloaded: too many were under way, or the queue of a writer was full.
    OVERLOADED_TOTAL = Counter "seatpilot_overloaded_total" [];

    /// Refreshes of a KPI view by outcome: ok, busy (another instance was at it), failed, or unanswered by the
    /// database. One that stands still means that nobody refreshes.
    KPI_REFRESHES_TOTAL = Counter "seatpilot_kpi_refreshes_total" ["view", "outcome"];

    /// Dead letters that are parked, at the refresher's last look; counted up to 1,000,000.
    DLQ_ROWS = Gauge "seatpilot_dlq_rows" ["tenant"];

    /// Seconds since the oldest parked dead letter came, at the refresher's last look; 0 without any.
    DLQ_OLDEST_AGE_SECONDS = Gauge "seatpilot_dlq_oldest_age_seconds" ["tenant"];

    /// Seconds since the last rotation (or the making) of the tenant's signing key where that is longest ago, of
    /// those that are not revoked, at the refresher's last look; 0 without any.
    KEY_AGE_SECONDS = Gauge "seatpilot_key_age_seconds" ["tenant"];

    /// Look-ups of a signing key whose secret in the database could not be opened, and which was refused as if it were
    /// unknown: sealed with a key that this process was not given, changed, or not sealed in production.
    KEYS_UNREADABLE_TOTAL = Counter "seatpilot_keys_unreadable_total" [];

    /// Session keys that were minted for browsers.
    SESSION_KEYS_MINTED_TOTAL = Counter "seatpilot_session_keys_minted_total" [];

    /// Units of a metered feature that the tenant used this month, at the refresher's last count.
    BILLING_USED_UNITS = Gauge "seatpilot_billing_used_units" ["tenant", "feature"];

    /// Units a month that the tenant's plan includes; infinite without a limit.
    BILLING_LIMIT_UNITS = Gauge "seatpilot_billing_limit_units" ["tenant", "feature"];

    /// 1 for the kind of store that this process uses.
    STORE_INFO = Gauge "seatpilot_store_info" ["kind"];

    /// 1 for the service and version that answers this scrape.
    BUILD_INFO = Gauge "seatpilot_build_info" ["service", "version"];

    /// Rows that wait for a group-commit writer.
    WRITER_QUEUE_DEPTH = Gauge "seatpilot_writer_queue_depth" ["writer"];

    /// Rows that a writer's queue holds before requests are answered overloaded.
    WRITER_QUEUE_CAPACITY = Gauge "seatpilot_writer_queue_capacity" ["writer"];

    /// Rows that one statement of a writer committed together.
    WRITER_BATCH_ROWS = Histogram "seatpilot_writer_batch_rows" ["writer"] buckets BATCH_ROWS;

    /// Seconds of one statement of a writer, commit included.
    WRITER_FLUSH_SECONDS = Histogram "seatpilot_writer_flush_seconds" ["writer"] buckets FLUSH_SECONDS;

    /// Connections of a pool by state: idle or in_use.
    DB_POOL_CONNECTIONS = Gauge "seatpilot_db_pool_connections" ["pool", "state"];

    /// Connections that a pool may open.
    DB_POOL_CONNECTIONS_MAX = Gauge "seatpilot_db_pool_connections_max" ["pool"];

    /// Requests that wait for a connection of a pool.
    DB_POOL_WAITING = Gauge "seatpilot_db_pool_waiting" ["pool"];

    /// 1 while the bus (`INGEST_BUS`) is connected and its stream is there, else 0.
    BUS_CONNECTED = Gauge "seatpilot_bus_connected" [];

    /// Verified requests by what the bus did with them: taken, full (refused: its stream was full), or away (nobody took
    /// it in time). A taken one is not stored yet.
    BUS_SENT_TOTAL = Counter "seatpilot_bus_sent_total" ["outcome"];

    /// Answers of writers: in_time, missing (nobody answered until the deadline), late (nobody waited any more), or
    /// unreadable (not sealed with our key, or not understood).
    BUS_ANSWERS_TOTAL = Counter "seatpilot_bus_answers_total" ["outcome"];

    /// Requests that this process took off the bus to write them: first, again (whoever had it before did not say that
    /// it was written), or unreadable.
    BUS_RECEIVED_TOTAL = Counter "seatpilot_bus_received_total" ["delivery"];

    /// Requests of this process that wait for a writer's answer.
    BUS_WAITING = Gauge "seatpilot_bus_waiting" [];

    /// Requests off the bus that this process is writing.
    BUS_WRITING = Gauge "seatpilot_bus_writing" [];

    /// Spans that the collector of traces took (sent) or that were lost on the way (dropped), where a process exports
    /// traces.
    TRACE_SPANS_TOTAL = Counter "seatpilot_trace_spans_total" ["outcome"];
}
