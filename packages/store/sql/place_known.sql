-- place_known
select exists (
    select from ops.events e
    join ops.doors d on d.venue_id = e.venue_id and d.tenant_id = e.tenant_id
    where e.event_id = $1 and e.venue_id = $2 and d.door_id = $3
) as known
