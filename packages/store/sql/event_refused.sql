-- event_refused
select e.ord, telemetry.is_jsonb(e.content) as taken from unnest($1::bytea[]) with ordinality as e (content, ord)
