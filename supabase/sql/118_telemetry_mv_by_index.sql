-- 118_telemetry_mv_by_index: what a refresh of the KPIs and the meter look for in the stored events, they find by an index.
--
-- Each asks whether its own transaction wrote any. Where few transactions wrote many events, after an import, statistics say
-- that any of a few hundred thousand rows will do, so that the table is read from end to end, at each refresh: 100 ms of a
-- refresh's 110 beside a million events. What is rolled up may be read as the planner sees fit: the first time that is all.

alter function telemetry.mv_advance(text, boolean) set enable_seqscan = off;
alter function telemetry.mv_add(text, pg_snapshot, xid8, xid8, xid8[], xid8, timestamptz, xid8) set enable_seqscan = on;
alter function app.metering_roll() set enable_seqscan = off;
alter function app.metering_add(pg_snapshot, xid8, xid8, xid8[], xid8, timestamptz, xid8) set enable_seqscan = on;
