-- backlog_list
select tenant_id, dlq_rows, dlq_oldest_seconds, key_age_seconds from telemetry.backlog()
