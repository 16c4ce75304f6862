-- The login that a Grafana reads one tenant's KPIs with: everything that a person of that tenant may read, nothing of
-- any other, and no writing. To be run by a role that may create roles, once a tenant; twice does no harm:
--   psql "$DATABASE_URL" -v tenant=acme -v login=grafana_acme -f dashboards/reader.sql
-- and then, since a password on a command line is seen by others: \password grafana_acme
--
-- The claim belongs to the login. Who may send SQL of his own with it could set another tenant's, as with any
-- connection to Postgres: let only operators edit dashboards, or let each tenant have a Grafana of its own.
\set ON_ERROR_STOP on
begin;
select set_config('reader.tenant', :'tenant', true), set_config('reader.login', :'login', true);
do $$
declare
    tenant text := current_setting('reader.tenant');
    login text := current_setting('reader.login');
begin
    if not exists (select from ops.tenants t where t.tenant_id = tenant) then
        raise exception 'there is no tenant %', tenant;
    end if;
    if not exists (select from pg_catalog.pg_roles r where r.rolname = login) then
        execute format('create role %I', login);
    end if;
    execute format('alter role %I login inherit connection limit 10', login);
    execute format('grant authenticated to %I', login);
    execute format('alter role %I set request.jwt.claims = %L', login, jsonb_build_object('tenant_id', tenant)::text);
    execute format('alter role %I set default_transaction_read_only = on', login);
    -- A dashboard over a year must not keep the database of an evening busy.
    execute format('alter role %I set statement_timeout = ''10s''', login);
end
$$;
commit;
