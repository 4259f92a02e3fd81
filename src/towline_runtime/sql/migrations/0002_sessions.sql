-- Sessions of people who are logged in, the counters of rate limits, and a way to count dead letters quickly.

create table towline.session (
    -- SHA-256 of the id in the cookie: who reads this table cannot log in with it.
    digest      bytea primary key,
    account     text not null,
    data        jsonb not null default '{}',
    created_at  timestamptz not null default now(),
    expires_at  timestamptz not null
);

create index session_expires_at on towline.session (expires_at);
create index session_account on towline.session (account);

-- Unlogged: after a crash of the server everybody begins to count anew, and no request pays for more than that.
create unlogged table towline.rate (
    client      text primary key,
    started_at  timestamptz not null,
    seconds     float8 not null,
    current     integer not null default 0,
    previous    integer not null default 0
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

create index rate_started_at on towline.rate (started_at);

-- Counts one request of a client in a sliding window: those of the window before weigh by how much of it is still
-- within reach. A window begins with a client's first request. A refused request does not count.
create function towline.rate_hit(
    given text, most integer, seconds float8, out allowed boolean, out remaining integer, out retry_after float8
) language plpgsql as $$
declare
    r towline.rate;
    moment timestamptz;
    age float8;
    reach float8;
begin
    insert into towline.rate (client, started_at, seconds) values (given, clock_timestamp(), rate_hit.seconds)
    on conflict (client) do nothing;
    select * into r from towline.rate where client = given for update;
    if not found then  -- swept between the two statements
        insert into towline.rate (client, started_at, seconds) values (given, clock_timestamp(), rate_hit.seconds)
        on conflict (client) do update set seconds = excluded.seconds
        returning * into r;
    end if;
    moment := clock_timestamp();
    age := greatest(0, extract(epoch from moment - r.started_at));
    if age >= 2 * rate_hit.seconds then
        r.started_at := moment;
        r.previous := 0;
        r.current := 0;
    elsif age >= rate_hit.seconds then
        r.started_at := r.started_at + make_interval(secs => rate_hit.seconds);
        r.previous := r.current;
        r.current := 0;
    end if;
    age := greatest(0, extract(epoch from moment - r.started_at));
    reach := r.previous * (1 - age / rate_hit.seconds);
    allowed := reach + r.current + 1 <= most;
    if allowed then
        r.current := r.current + 1;
        retry_after := 0;
    elsif r.current + 1 <= most then
        retry_after := rate_hit.seconds * (1 - (most - 1 - r.current)::float8 / r.previous) - age;
    else
        retry_after := rate_hit.seconds - age + rate_hit.seconds * (1 - (most - 1)::float8 / r.current);
    end if;
    remaining := greatest(0, floor(most - reach - r.current));
    update towline.rate
    set started_at = r.started_at, seconds = rate_hit.seconds, current = r.current, previous = r.previous
    where client = given;
end $$;

create index job_dead on towline.job (queue) where state = 'dead';
