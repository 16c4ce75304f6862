-- login_waits
select
    current_user::text as login,
    max(setting::bigint) filter (where name = 'statement_timeout') as statement_timeout,
    max(setting::bigint) filter (where name = 'lock_timeout') as lock_timeout,
    max(setting::bigint) filter (where name = 'idle_in_transaction_session_timeout') as idle_in_transaction_session_timeout
from pg_catalog.pg_settings
where name in ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout')
