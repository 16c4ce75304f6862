-- audit_list
select l.seq, l.at, l.actor_type, l.actor_id, l.role, host(l.ip) as ip, l.request_id, l.action, l.target_type,
    l.target_id, l.before::text as before, l.after::text as after, l.result, l.prev_hash, l.hash
from audit.log l
where l.tenant_id = $1::text and l.seq < $2::bigint
order by l.seq desc
limit $3::bigint
