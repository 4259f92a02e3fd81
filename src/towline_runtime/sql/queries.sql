-- Every statement that the runtime sends about jobs, under its name. $n are asyncpg's parameters.

-- name: claim
-- Ready jobs of the wanted (queue, priority) pairs, the first pair first, of the known kinds.
-- $1 queues, $2 priorities (side by side), $3 kinds, $4 most, $5 worker, $6 lease in seconds
with picked as (
    select found.id
    from unnest($1::text[], $2::smallint[]) wanted(queue, priority)
    cross join lateral (
        select j.id from towline.job j
        where j.state = 'ready' and j.queue = wanted.queue and j.priority = wanted.priority
          and j.run_at <= clock_timestamp() and j.kind = any($3::text[])
          and not exists (select from towline.queue q where q.name = j.queue and q.paused_at is not null)
        order by j.run_at, j.id
        limit $4
        for update of j skip locked
    ) found
    limit $4
)
update towline.job j
set state = 'running', attempt = j.attempt + 1, token = j.token + 1, worker = $5,
    lease_until = clock_timestamp() + make_interval(secs => $6), started_at = clock_timestamp()
from picked where j.id = picked.id
returning j.id, j.kind, j.version, j.queue, j.attempt, j.max_attempts, j.token, j.payload, j.remembered,
          j.correlation_id, j.created_at;

-- name: claim_rung
-- Those of the rung jobs that are ready; a stale or doubled ring finds none. Jobs of kinds that are not known stay.
-- $1 ids, $2 kinds, $3 worker, $4 lease in seconds
with picked as (
    select j.id from towline.job j
    where j.id = any($1::bigint[]) and j.state = 'ready' and j.run_at <= clock_timestamp() and j.kind = any($2::text[])
      and not exists (select from towline.queue q where q.name = j.queue and q.paused_at is not null)
    for update of j skip locked
)
update towline.job j
set state = 'running', attempt = j.attempt + 1, token = j.token + 1, worker = $3,
    lease_until = clock_timestamp() + make_interval(secs => $4), started_at = clock_timestamp()
from picked where j.id = picked.id
returning j.id, j.kind, j.version, j.queue, j.attempt, j.max_attempts, j.token, j.payload, j.remembered,
          j.correlation_id, j.created_at;

-- name: finish
-- $1 ids, $2 tokens, $3 results (JSON or null)
update towline.job j
set state = 'done', finished_at = clock_timestamp(), lease_until = null, result = o.result::jsonb, error = null
from unnest($1::bigint[], $2::bigint[], $3::text[]) o(id, token, result)
where j.id = o.id and j.token = o.token and j.state = 'running'
returning j.id;

-- name: retry
-- Back to ready after a delay, with the reason. $1 ids, $2 tokens, $3 errors, $4 delays in seconds
with back as (
    update towline.job j
    set state = 'ready', error = o.error, lease_until = null, worker = null,
        run_at = clock_timestamp() + make_interval(secs => o.delay)
    from unnest($1::bigint[], $2::bigint[], $3::text[], $4::float8[]) o(id, token, error, delay)
    where j.id = o.id and j.token = o.token and j.state = 'running'
    returning j.id, j.queue, j.lane, j.run_at
), rung as (
    insert into towline.outbox (job_id, queue, lane, due)
    select id, queue, lane, run_at from back
    where not exists (select from towline.queue q where q.name = back.queue and q.doorbell = 'postgres')
)
select id from back;

-- name: release
-- Handed back unharmed: the attempt does not count. $1 ids, $2 tokens, $3 delays in seconds
with back as (
    update towline.job j
    set state = 'ready', attempt = greatest(j.attempt - 1, 0), lease_until = null, worker = null,
        run_at = clock_timestamp() + make_interval(secs => o.delay)
    from unnest($1::bigint[], $2::bigint[], $3::float8[]) o(id, token, delay)
    where j.id = o.id and j.token = o.token and j.state = 'running'
    returning j.id, j.queue, j.lane, j.run_at
), rung as (
    insert into towline.outbox (job_id, queue, lane, due)
    select id, queue, lane, run_at from back
    where not exists (select from towline.queue q where q.name = back.queue and q.doorbell = 'postgres')
)
select id from back;

-- name: bury
-- Dead letters, with the reason. $1 ids, $2 tokens, $3 errors
with dead as (
    update towline.job j
    set state = 'dead', error = o.error, finished_at = clock_timestamp(), lease_until = null
    from unnest($1::bigint[], $2::bigint[], $3::text[]) o(id, token, error)
    where j.id = o.id and j.token = o.token and j.state = 'running'
    returning j.id, j.queue, j.lane
), told as (
    insert into towline.outbox (job_id, queue, lane, topic)
    select id, queue, lane, 'dead' from dead
    where not exists (select from towline.queue q where q.name = dead.queue and q.doorbell = 'postgres')
)
select id from dead;

-- name: end_cancelled
-- Running jobs that stopped because somebody asked. $1 ids, $2 tokens
update towline.job j
set state = 'cancelled', finished_at = clock_timestamp(), lease_until = null, error = 'cancelled on request'
from unnest($1::bigint[], $2::bigint[]) o(id, token)
where j.id = o.id and j.token = o.token and j.state = 'running'
returning j.id;

-- name: heartbeat
-- One for all running jobs. A row that somebody has locked is being written to: its lease waits for the next beat,
-- and a sweeper passes over it. $1 ids, $2 tokens, $3 lease in seconds
with ours as (
    select j.id from towline.job j join unnest($1::bigint[], $2::bigint[]) o(id, token) on o.id = j.id
    where j.token = o.token and j.state = 'running'
    for update of j skip locked
), beat as (
    update towline.job j set lease_until = clock_timestamp() + make_interval(secs => $3)
    from ours where j.id = ours.id
)
select o.id, coalesce(j.state = 'running' and j.token = o.token, false) as held,
       coalesce(j.cancel_asked, false) as cancel_asked
from unnest($1::bigint[], $2::bigint[]) o(id, token) left join towline.job j on j.id = o.id;

-- name: remember
-- $1 id, $2 token, $3 JSON
update towline.job set remembered = $3::jsonb
where id = $1 and token = $2 and state = 'running'
returning id;

-- name: report_progress
-- $1 ids, $2 tokens, $3 JSON
update towline.job j set progress = o.progress::jsonb
from unnest($1::bigint[], $2::bigint[], $3::text[]) o(id, token, progress)
where j.id = o.id and j.token = o.token and j.state = 'running'
returning j.id;

-- name: ask_cancel
-- A job that waits ends here; a running one is told by its next heartbeat. $1 id
update towline.job
set cancel_asked = true,
    state = case when state = 'ready' then 'cancelled'::towline.job_state else state end,
    finished_at = case when state = 'ready' then clock_timestamp() else finished_at end,
    error = case when state = 'ready' then 'cancelled on request' else error end
where id = $1 and state in ('ready', 'running')
returning state;

-- name: replay
-- Dead or cancelled jobs get all their attempts again. $1 ids
with back as (
    update towline.job
    set state = 'ready', attempt = 0, run_at = clock_timestamp(), finished_at = null, cancel_asked = false, worker = null
    where id = any($1::bigint[]) and state in ('dead', 'cancelled')
    returning id, queue, lane
), rung as (
    insert into towline.outbox (job_id, queue, lane)
    select id, queue, lane from back
    where not exists (select from towline.queue q where q.name = back.queue and q.doorbell = 'postgres')
)
select id from back;

-- name: expire
-- Jobs whose worker is gone: to the next attempt, or to the dead letters after the last. $1 most
with gone as (
    select id from towline.job
    where state = 'running' and lease_until < clock_timestamp()
    order by id limit $1
    for update skip locked
), back as (
    update towline.job j
    set state = case when j.attempt >= j.max_attempts then 'dead'::towline.job_state else 'ready' end,
        finished_at = case when j.attempt >= j.max_attempts then clock_timestamp() end,
        error = 'the worker ' || coalesce(j.worker, '') || ' stopped answering during attempt ' || j.attempt,
        lease_until = null, worker = null, run_at = clock_timestamp()
    from gone where j.id = gone.id
    returning j.id, j.kind, j.queue, j.lane, j.state, j.attempt
), rung as (
    insert into towline.outbox (job_id, queue, lane, topic)
    select id, queue, lane, case when state = 'dead' then 'dead' else 'ring' end from back
    where not exists (select from towline.queue q where q.name = back.queue and q.doorbell = 'postgres')
)
select id, kind, state::text, attempt from back;

-- name: overdue
-- How many jobs of a queue have been due for a while and are not in the outbox. $1 queue, $2 seconds
select count(*) from towline.job j
where j.state = 'ready' and j.queue = $1 and j.run_at < clock_timestamp() - make_interval(secs => $2)
  and not exists (select from towline.outbox o where o.job_id = j.id);

-- name: ring_again
-- $1 queue, $2 seconds since the job was due or was last rung again, $3 most
with silent as (
    select j.id from towline.job j
    where j.state = 'ready' and j.queue = $1 and j.run_at < clock_timestamp() - make_interval(secs => $2)
      and coalesce(j.rung_at, '-infinity') < clock_timestamp() - make_interval(secs => $2)
      and not exists (select from towline.outbox o where o.job_id = j.id)
    order by j.run_at, j.id limit $3
    for update of j skip locked
), marked as (
    update towline.job j set rung_at = clock_timestamp() from silent where j.id = silent.id
    returning j.id, j.queue, j.lane
)
insert into towline.outbox (job_id, queue, lane) select id, queue, lane from marked
returning job_id;

-- name: forget
-- Rows of jobs that ended long ago. $1 seconds for done and cancelled, $2 seconds for dead letters, $3 most
delete from towline.job where id in (
    select id from towline.job
    where (state in ('done', 'cancelled') and finished_at < clock_timestamp() - make_interval(secs => $1))
       or (state = 'dead' and finished_at < clock_timestamp() - make_interval(secs => $2))
    order by finished_at limit $3
    for update skip locked
)
returning id;

-- name: drain_outbox
-- What is due, in order; the rows are gone once the caller commits. $1 queues, $2 most
delete from towline.outbox where id in (
    select o.id from towline.outbox o
    where o.due <= clock_timestamp() and o.queue = any($1::text[])
      and not exists (select from towline.queue q where q.name = o.queue and q.paused_at is not null)
    order by o.due, o.id limit $2
    for update of o skip locked
)
returning id, job_id, queue, lane, topic;

-- name: keep_in_outbox
-- What could not be published stays, under the same number. $1 ids, $2 job ids, $3 queues, $4 lanes, $5 topics
insert into towline.outbox (id, job_id, queue, lane, topic)
overriding system value
select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[]);

-- name: outbox_lag
-- $1 queues
select count(*) as waiting,
       coalesce(extract(epoch from clock_timestamp() - min(
           case when o.due = '-infinity' then j.created_at else o.due end)), 0)::float8 as oldest_seconds
from towline.outbox o left join towline.job j on j.id = o.job_id
where o.due <= clock_timestamp() and o.queue = any($1::text[]);

-- name: sweep_outbox
-- Rows of queues whose doorbell needs none. $1 most
delete from towline.outbox where id in (
    select o.id from towline.outbox o join towline.queue q on q.name = o.queue
    where q.doorbell = 'postgres' limit $1
    for update of o skip locked
)
returning id;

-- name: depth
select queue, state::text, count(*) as jobs,
       coalesce(extract(epoch from clock_timestamp() - min(
           case when state = 'ready' then run_at else started_at end)), 0)::float8 as oldest_seconds
from towline.job
where state = 'running' or (state = 'ready' and run_at <= clock_timestamp())
group by queue, state;

-- name: view
-- $1 ids
select id, kind, queue, state::text, attempt, max_attempts, progress, result, error, cancel_asked,
       correlation_id, created_at, started_at, finished_at, run_at
from towline.job where id = any($1::bigint[]);

-- name: dead_letters
-- $1 queue or null, $2 most
select id, kind, queue, attempt, error, created_at, finished_at, correlation_id
from towline.job where state = 'dead' and ($1::text is null or queue = $1)
order by finished_at desc limit $2;

-- name: serve_queues
-- A worker or relay tells which doorbell its queues have. $1 queues, $2 doorbell
insert into towline.queue (name, doorbell) select unnest($1::text[]), $2
on conflict (name) do update set doorbell = excluded.doorbell where towline.queue.doorbell <> excluded.doorbell;

-- name: pause_queue
-- $1 queue, $2 paused
insert into towline.queue (name, doorbell, paused_at) values ($1, 'unknown', case when $2 then clock_timestamp() end)
on conflict (name) do update set paused_at = excluded.paused_at;

-- name: take_lease
-- Give the token if the lease was free, expired, or ours. $1 name, $2 owner, $3 seconds
insert into towline.lease as l (name, owner, expires_at)
values ($1, $2, clock_timestamp() + make_interval(secs => $3))
on conflict (name) do update
set owner = excluded.owner, expires_at = excluded.expires_at,
    token = case when l.owner = excluded.owner then l.token else l.token + 1 end
where l.owner = excluded.owner or l.expires_at < clock_timestamp()
returning token;

-- name: drop_lease
-- $1 name, $2 owner
update towline.lease set expires_at = '-infinity' where name = $1 and owner = $2;
