-- place_list
select e.event_id, e.venue_id, d.door_id
from ops.events e
join ops.doors d on d.venue_id = e.venue_id and d.tenant_id = e.tenant_id
where e.opens_at > now() - interval '2 days'
order by e.opens_at desc
limit 20000
