-- 114_claims_read_in_place: who asks is read within the statement, not by a function call that is planned anew each time.
--
-- A function with settings of its own is never merged into the statement that calls it, and one in SQL is parsed and
-- planned at its first call of every statement. Each policy calls telemetry.claim_tenant_id(): of a check-in that was a
-- third of all that the database did. Their bodies below are bound when they are made (`return`), so that a caller's
-- search_path changes nothing about them, and they are merged.

create or replace function telemetry.claim_tenant_id() returns text
language sql stable
return coalesce(
    nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb #>> '{app_metadata,tenant_id}', ''),
    nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'tenant_id', ''));

create or replace function telemetry.claim_role() returns text
language sql stable
return nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb #>> '{app_metadata,seatpilot_role}', '');

-- Called once a statement, from functions that keep their plans: an assignment is evaluated without a plan of its own.
create or replace function telemetry.claim(tenant text) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    claims text;
begin
    claims := set_config('request.jwt.claims', jsonb_build_object('tenant_id', tenant)::text, true);
end
$$;
