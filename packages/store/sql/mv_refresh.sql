-- mv_refresh
select outcome, rows_read, rows_changed, caught_up, error from telemetry.refresh_mv($1)
