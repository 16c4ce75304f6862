-- mv_staleness
select view, complete_until, lag_seconds from telemetry.v_mv_staleness
