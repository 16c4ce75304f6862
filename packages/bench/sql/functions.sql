-- Version 7, as our services make them: what is made later sorts later. Postgres has none before 18.
create function public.bench_uuid_v7() returns uuid language sql volatile as $$
    select encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
            52, 1), 53, 1), 'hex')::uuid
$$;
-- The session of guest N, where sessions are made before.
create function public.bench_session_id(n bigint) returns uuid language sql immutable as $$
    select ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid
$$;
