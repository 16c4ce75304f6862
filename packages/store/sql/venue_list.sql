-- venue_list
select v.venue_id, v.map_revision from ops.venues v where v.map_revision > 0
