-- venue_names
select v.venue_id::text as venue_id, v.name, v.time_zone, v.map_revision
from ops.venues v
order by v.venue_id
limit $1::bigint
