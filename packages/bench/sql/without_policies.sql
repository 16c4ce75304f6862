-- Tables as they would be if the services alone kept the tenants apart.
do $$
declare
    name regclass;
begin
    for name in select c.oid::regclass from pg_class c where c.relkind in ('r', 'p') and (c.relrowsecurity or c.relforcerowsecurity) loop
        execute format('alter table %s no force row level security', name);
        execute format('alter table %s disable row level security', name);
    end loop;
end
$$;
