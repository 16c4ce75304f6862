-- 014_ops_schema_version: what is applied, as the Supabase CLI and `seatpilot migrate` both record it. Services read
-- it before they call themselves ready. The table is the CLI's own, made here only where a plain psql applied this.
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (
    version text not null primary key,
    statements text[],
    name text
);
grant usage on schema supabase_migrations
    to seatpilot_checkin, seatpilot_wayfinding, seatpilot_ingest, seatpilot_kpi, seatpilot_metrics;
grant select (version) on supabase_migrations.schema_migrations
    to seatpilot_checkin, seatpilot_wayfinding, seatpilot_ingest, seatpilot_kpi, seatpilot_metrics;
