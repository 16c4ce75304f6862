-- venue_map
select m.document from ops.venue_maps m where m.venue_id = $1
