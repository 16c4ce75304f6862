-- Every relation of ours, every role, every way to touch it: tried, and taken back. `pg_temp.attempts` answers one line a
-- try with what came of it. Run as a superuser; what is tried runs as the role, bound by its grants and policies.

-- Names are told with their schema.
set search_path = '';

-- What one statement does, as `who`, under the claims of this session.
--   denied    no such right (42501)
--   refused   the right, but not for this row (row level security)
--   no        no such thing can be done to this kind of relation
--   else      the tenants that were read or touched: `{acme}`, `{}`, or `n rows` where nothing tells them apart
create function pg_temp.attempt(who text, op text, statement text, target regclass, tenants boolean) returns text
language plpgsql as $$
declare
    said text;
    touched bigint;
    top bigint := pg_catalog.txid_current();
begin
    begin
        -- Foreign keys and triggers are not what is tried here.
        perform set_config('session_replication_role', 'replica', true);
        perform set_config('role', who, true);
        if op = 'select' then
            execute statement into said;
        else
            execute statement;
            get diagnostics touched = row_count;
            perform set_config('role', 'none', true);
            if op = 'truncate' then
                said := 'everything';
            elsif op = 'insert' then
                said := 'done';
            elsif not tenants then
                said := touched || ' rows';
            elsif op = 'update' then
                execute format('select array_agg(distinct tenant_id::text order by tenant_id::text)::text from %s
                    where xmin::text::bigint >= %s', target, top) into said;
            else
                execute format('select array_agg(t order by t)::text from unnest(array[''acme'', ''rival'']) t
                    where not exists (select from %s where tenant_id = t)
                        and exists (select from pg_temp.holdings h where h.relation = %L and h.tenant = t)',
                    target, target::text) into said;
            end if;
            said := coalesce(said, '{}');
        end if;
        raise exception using errcode = 'TRIED', message = said;
    exception
        when sqlstate 'TRIED' then return sqlerrm;
        when insufficient_privilege then
            return case when sqlerrm like '%row-level security%' then 'refused' else 'denied' end;
        -- It came as far as the row's own rules.
        when unique_violation or check_violation or not_null_violation or exclusion_violation then return 'done';
        when wrong_object_type or object_not_in_prerequisite_state then return 'no';
        when feature_not_supported then return case op when 'truncate' then 'everything' else 'no' end;
    end;
end
$$;

-- All there is, sequences included, wherever it is: a new schema is looked at too.
create temp table relations as
select c.oid, c.relkind, n.nspname || '.' || c.relname as name, i.inhparent as parent, n.nspname || '.' || f.relname as parent_name,
    exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
        and c.relkind <> 'S' as has_tenant
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join pg_inherits i on i.inhrelid = c.oid
left join pg_class f on f.oid = i.inhparent
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S');

-- Whose rows are where, and a row of acme's to try with. Partitions try with a row of their parent's.
create temp table holdings (relation text, tenant text, n bigint);
create temp table samples (relation text, attname text, literal text);

create function pg_temp.look() returns void language plpgsql as $$
declare
    r record;
    a record;
    literal text;
begin
    for r in select * from pg_temp.relations loop
        if r.has_tenant then
            execute format('insert into pg_temp.holdings select %L, tenant_id, count(*) from %s group by 2',
                r.oid::regclass::text, r.oid::regclass);
        else
            execute format('insert into pg_temp.holdings select %L, null, count(*) from %s', r.oid::regclass::text, r.oid::regclass);
        end if;
        for a in select attname from pg_attribute
            where attrelid = r.oid and attnum > 0 and not attisdropped and attgenerated = '' and attidentity <> 'a'
        loop
            execute format('select coalesce((select quote_nullable(%I::text) from %s %s limit 1), ''null'')',
                a.attname, coalesce(r.parent, r.oid)::regclass, case when r.has_tenant then 'where tenant_id = ''acme''' else '' end)
                into literal;
            insert into pg_temp.samples values (r.oid::regclass::text, a.attname, literal);
        end loop;
    end loop;
end
$$;

-- A statement for each way to touch a relation, with the columns that the role was given, if it was given some only.
create function pg_temp.statement(r pg_temp.relations, who text, op text) returns text language plpgsql as $$
declare
    name text := r.oid::regclass::text;
    given text[];
    columns text;
    literals text;
begin
    given := array(select a.attname from pg_attribute a
        where a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and a.attidentity <> 'a'
            and op in ('select', 'insert', 'update') and has_column_privilege(who, r.oid, a.attnum, op) order by a.attnum);
    case op
        when 'select' then
            if r.relkind = 'S' then return format('select last_value::text from %s', name); end if;
            if r.has_tenant and (given = '{}' or 'tenant_id' = any (given)) then
                return format('select coalesce(array_agg(distinct tenant_id::text order by tenant_id::text), ''{}'')::text from %s', name);
            end if;
            return format('select count(*) || '' rows'' from %s', name);
        when 'insert' then
            select string_agg(quote_ident(s.attname), ', '), string_agg(s.literal, ', ') into columns, literals
            from pg_temp.samples s where s.relation = name and (given = '{}' or s.attname = any (given));
            return format('insert into %s (%s) values (%s)', name, columns, literals);
        when 'update' then
            -- One column, best one that no key has, so that every row can get the same value.
            select quote_ident(s.attname), s.literal into columns, literals
            from pg_temp.samples s
            where s.relation = name and (given = '{}' or s.attname = any (given))
            order by s.attname = 'tenant_id', s.literal = 'null', exists (
                select from pg_index x join pg_attribute a on a.attrelid = r.oid and a.attname = s.attname
                where x.indrelid = r.oid and x.indisunique and a.attnum = any (x.indkey)), s.attname
            limit 1;
            return format('update %s set %s = %s', name, columns, literals);
        when 'delete' then return format('delete from %s', name);
        when 'truncate' then return format('truncate %s', name);
        when 'nextval' then return format('do $d$ begin perform nextval(%L); end $d$', name);
    end case;
end
$$;

create function pg_temp.attempts(people jsonb, claim text) returns table (relation text, parent text, who text, op text, outcome text)
language plpgsql as $$
declare
    r pg_temp.relations;
    p record;
    claims text;
begin
    for p in select key as name, value ->> 'role' as role, value -> 'claims' ->> claim as claims from jsonb_each(people) loop
        -- Once set, a setting reads '' and no longer nothing: the session without a claim never sets it.
        if p.claims is not null then
            perform set_config('request.jwt.claims', p.claims, false);
        end if;
        for r in select * from pg_temp.relations loop
            foreach op in array case r.relkind when 'S' then array['select', 'nextval', 'update']
                else array['select', 'insert', 'update', 'delete', 'truncate'] end
            loop
                relation := r.name;
                parent := r.parent_name;
                who := p.name;
                outcome := case
                    when r.relkind = 'S' then case when
                        has_sequence_privilege(p.role, r.oid, case op when 'nextval' then 'usage' else op end) then 'done' else 'denied' end
                    else pg_temp.attempt(p.role, op, pg_temp.statement(r, p.role, op), r.oid, r.has_tenant) end;
                return next;
            end loop;
        end loop;
    end loop;
end
$$;
