-- Every statement that the runtime sends about jobs, under its name. $n are asyncpg's parameters.
-- What is due is compared with statement_timestamp(): unlike clock_timestamp() it can be looked up in an index, so that
-- a hundred thousand delayed jobs are not read at each look.

-- name: claim
-- Ready jobs of the wanted (queue, priority) pairs, the first pair first, of the known kinds.
-- $1 queues, $2 priorities (side by side), $3 kinds, $4 most, $5 worker, $6 lease in seconds
with picked as (
    select found.id
    from unnest($1::text[], $2::smallint[]) wanted(queue, priority)
    cross join lateral (
        select j.id from towline.job j
        where j.state = 'ready' and j.queue = wanted.queue and j.priority = wanted.priority
          and j.run_at <= statement_timestamp() and j.kind = any($3::text[])
        order by j.run_at, j.id
        limit $4
        for update of j skip locked
    ) found
    where not exists (select from towline.queue q where q.name = wanted.queue and q.paused_at is not null)
    limit $4
)
update towline.job j
set state = 'running', attempt = j.attempt + 1, token = j.token + 1, worker = $5,
    lease_until = clock_timestamp() + make_interval(secs => $6), started_at = clock_timestamp()
from picked where j.id = picked.id
returning j.id, j.kind, j.version, j.queue, j.attempt, j.max_attempts, j.token, j.payload, j.remembered,
          j.correlation_id, j.created_at;

-- name: claim_within
-- The same, but of each kind no more than there is room for: the others of what was looked at stay as they are.
-- $7 rooms, side by side with $3 kinds
with looked_at as (
    select found.id, found.kind, row_number() over (partition by found.kind order by found.nr, found.run_at, found.id) as nr
    from (
        select one.id, one.kind, one.run_at, wanted.nr
        from unnest($1::text[], $2::smallint[]) with ordinality wanted(queue, priority, nr)
        cross join lateral (
            select j.id, j.kind, j.run_at from towline.job j
            where j.state = 'ready' and j.queue = wanted.queue and j.priority = wanted.priority
              and j.run_at <= statement_timestamp() and j.kind = any($3::text[])
            order by j.run_at, j.id
            limit $4
            for update of j skip locked
        ) one
        where not exists (select from towline.queue q where q.name = wanted.queue and q.paused_at is not null)
        limit $4
    ) found
), picked as (
    select looked_at.id from looked_at join unnest($3::text[], $7::integer[]) known(kind, room) using (kind)
    where looked_at.nr <= known.room
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
    where j.id = any($1::bigint[]) and j.state = 'ready' and j.run_at <= statement_timestamp() and j.kind = any($2::text[])
      and not exists (select from towline.queue q where q.name = j.queue and q.paused_at is not null)
    for update of j skip locked
)
update towline.job j
set state = 'running', attempt = j.attempt + 1, token = j.token + 1, worker = $3,
    lease_until = clock_timestamp() + make_interval(secs => $4), started_at = clock_timestamp()
from picked where j.id = picked.id
returning j.id, j.kind, j.version, j.queue, j.attempt, j.max_attempts, j.token, j.payload, j.remembered,
          j.correlation_id, j.created_at;

-- name: entrust
-- Just claimed for somebody else, who counts the attempts himself: here none is counted. $1 ids
update towline.job set attempt = 0 where id = any($1::bigint[]) and state = 'running';

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

-- name: look
-- What a heartbeat learns, without renewing anything. $1 ids, $2 tokens
select o.id, coalesce(j.state = 'running' and j.token = o.token, false) as held,
       coalesce(j.cancel_asked, false) as cancel_asked
from unnest($1::bigint[], $2::bigint[]) o(id, token) left join towline.job j on j.id = o.id;

-- name: tell_progress
-- Wakes those who follow these jobs. $1 ids
select pg_notify('towline_progress', id::text) from unnest($1::bigint[]) id;

-- name: remember
-- $1 id, $2 token, $3 JSON
update towline.job set remembered = $3::jsonb
where id = $1 and token = $2 and state = 'running'
returning id;

-- name: report_progress
-- Rows are locked in one order, so that two writers wait for each other instead of blocking each other.
-- $1 ids, $2 tokens, $3 JSON
with ours as (
    select j.id, o.progress
    from towline.job j join unnest($1::bigint[], $2::bigint[], $3::text[]) o(id, token, progress) on o.id = j.id
    where j.token = o.token and j.state = 'running'
    order by j.id
    for update of j
)
update towline.job j set progress = ours.progress::jsonb
from ours where j.id = ours.id
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
-- Jobs whose worker is gone: to the next attempt, to the dead letters after the last, or to their end when somebody
-- asked to cancel them. $1 most
with gone as (
    select id from towline.job
    where state = 'running' and lease_until < clock_timestamp()
    order by id limit $1
    for update skip locked
), back as (
    update towline.job j
    set state = case when j.cancel_asked then 'cancelled'::towline.job_state
                     when j.attempt >= j.max_attempts then 'dead' else 'ready' end,
        finished_at = case when j.cancel_asked or j.attempt >= j.max_attempts then clock_timestamp() end,
        error = 'the worker ' || coalesce(j.worker, '') || ' stopped answering during attempt ' || j.attempt,
        lease_until = null, worker = null, run_at = clock_timestamp()
    from gone where j.id = gone.id
    returning j.id, j.kind, j.queue, j.lane, j.state, j.attempt
), rung as (
    insert into towline.outbox (job_id, queue, lane, topic)
    select id, queue, lane, case when state = 'dead' then 'dead' else 'ring' end from back
    where state <> 'cancelled' and not exists (select from towline.queue q where q.name = back.queue and q.doorbell = 'postgres')
)
select id, kind, state::text, attempt from back;

-- name: overdue
-- How many jobs of a queue have been due, and not rung again, for a while, and are not in the outbox, whose rows are few:
-- ask `outbox_behind` first.
-- $1 queue, $2 seconds, $3 most to count
select count(*) from (
    select from unnest(array[1, 0, -1]::smallint[]) level
    cross join lateral (
        select j.id from towline.job j
        where j.state = 'ready' and j.queue = $1 and j.priority = level
          and j.run_at < statement_timestamp() - make_interval(secs => $2)
          and coalesce(j.rung_at, '-infinity') < clock_timestamp() - make_interval(secs => $2)
          and j.id not in (select o.job_id from towline.outbox o
                           where o.queue = $1 and o.due <= statement_timestamp() limit 20000)
        order by j.run_at, j.id
        limit $3
    ) found
    limit $3
) counted;

-- name: ring_again
-- Those that `overdue` counts. $1 queue, $2 seconds since the job was due or was last rung again, $3 most
with silent as (
    select found.id from unnest(array[1, 0, -1]::smallint[]) level
    cross join lateral (
        select j.id from towline.job j
        where j.state = 'ready' and j.queue = $1 and j.priority = level
          and j.run_at < statement_timestamp() - make_interval(secs => $2)
          and coalesce(j.rung_at, '-infinity') < clock_timestamp() - make_interval(secs => $2)
          and j.id not in (select o.job_id from towline.outbox o
                           where o.queue = $1 and o.due <= statement_timestamp() limit 20000)
        order by j.run_at, j.id
        limit $3
        for update of j skip locked
    ) found
    limit $3
), marked as (
    update towline.job j set rung_at = clock_timestamp() from silent where j.id = silent.id
    returning j.id, j.queue, j.lane
)
insert into towline.outbox (job_id, queue, lane) select id, queue, lane from marked order by id
returning job_id;

-- name: outbox_behind
-- A row when more than so many are due in a queue's outbox: its relay is behind. $1 queue, $2 rows
select from towline.outbox o where o.queue = $1 and o.due <= statement_timestamp() offset $2 limit 1;

-- name: stuck
-- Attempts that have been running for very long though their worker answers. $1 seconds, $2 most
select id, kind, worker, attempt, extract(epoch from clock_timestamp() - started_at)::float8 as seconds
from towline.job
where state = 'running' and started_at < clock_timestamp() - make_interval(secs => $1)
order by id limit $2;

-- name: forget
-- Rows of jobs that ended long ago. $1 seconds for done and cancelled, $2 seconds for dead letters, $3 most
delete from towline.job where id in (
    select id from towline.job
    where state in ('done', 'cancelled', 'dead')
      and finished_at < statement_timestamp() - make_interval(secs => least($1::float8, $2::float8))
      and finished_at < statement_timestamp() - make_interval(
          secs => case when state = 'dead' then $2::float8 else $1::float8 end)
    order by finished_at limit $3
    for update skip locked
)
returning id;

-- name: outbox_rows
-- What is due, in order. Nothing is locked: the relay that holds the lease is alone, and one that only believes it
-- rings twice what is claimed once. $1 queues, $2 most
select found.id, found.job_id, found.queue, found.lane, found.topic,
       coalesce((select j.priority from towline.job j where j.id = found.job_id), 0) as priority
from unnest($1::text[]) wanted(queue)
cross join lateral (
    select o.id, o.job_id, o.queue, o.lane, o.topic, o.due from towline.outbox o
    where o.queue = wanted.queue and o.due <= statement_timestamp()
    order by o.due, o.id
    limit $2
) found
where not exists (select from towline.queue q where q.name = wanted.queue and q.paused_at is not null)
limit $2;

-- name: forget_rung
-- What was published. $1 ids
delete from towline.outbox where id = any($1::bigint[]);

-- name: letters
-- What a dead-letter queue is told. $1 ids
select id, jsonb_build_object('job', id, 'kind', kind, 'queue', queue, 'attempt', attempt, 'reason', error,
                              'correlation_id', correlation_id, 'ended_at', finished_at)::text as letter
from towline.job where id = any($1::bigint[]);

-- name: pass_on
-- Rung jobs that are ready but cannot be claimed here: of a kind that is not known, or of a paused queue. They are
-- rung again after a quarter of the time that they have waited, 1 to 30 s, so that one that nobody knows costs little; a
-- doubled ring finds the mark of the first. $1 ids, $2 kinds
with unclaimed as (
    select j.id, q.paused_at is not null as paused,
           least(30, greatest(1, extract(epoch from clock_timestamp() - j.run_at) / 4))::float8
               * (0.8 + 0.4 * random()) as wait
    from towline.job j left join towline.queue q on q.name = j.queue
    where j.id = any($1::bigint[]) and j.state = 'ready' and j.run_at <= statement_timestamp()
      and (j.kind <> all($2::text[]) or q.paused_at is not null)
      and coalesce(j.rung_at, '-infinity') <= clock_timestamp()
    for update of j skip locked
), marked as (
    update towline.job j
    set rung_at = clock_timestamp() + make_interval(secs => case when u.paused then 0 else u.wait end)
    from unclaimed u where j.id = u.id
    returning j.id, j.queue, j.lane, j.rung_at
)
insert into towline.outbox (job_id, queue, lane, due) select id, queue, lane, rung_at from marked
returning job_id;

-- name: outbox_lag
-- $1 queues
select count(*) as waiting,
       coalesce(extract(epoch from clock_timestamp() - min(
           case when o.due = '-infinity' then j.created_at else o.due end)), 0)::float8 as oldest_seconds
from towline.outbox o left join towline.job j on j.id = o.job_id
where o.due <= statement_timestamp() and o.queue = any($1::text[]);

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

-- name: status
-- Each queue that has a row or a job that waits, runs or is dead.
with job as (
    select queue,
           count(*) filter (where state = 'ready' and run_at <= clock_timestamp()) as ready,
           count(*) filter (where state = 'ready' and run_at > clock_timestamp()) as later,
           count(*) filter (where state = 'running') as running,
           coalesce(extract(epoch from clock_timestamp() - min(run_at) filter (where state = 'ready')), 0)::float8 as oldest
    from towline.job where state in ('ready', 'running') group by queue
), dead as (
    select queue, count(*) as dead from towline.job where state = 'dead' group by queue
), rung as (
    select queue, count(*) as outbox from towline.outbox where due <= clock_timestamp() group by queue
)
select queue, coalesce(doorbell, 'unknown') as doorbell, paused_at is not null as paused,
       coalesce(ready, 0) as ready, coalesce(later, 0) as later, coalesce(running, 0) as running,
       coalesce(dead, 0) as dead, greatest(coalesce(oldest, 0), 0) as oldest_seconds, coalesce(outbox, 0) as outbox
from (select name as queue, doorbell, paused_at from towline.queue) known
full join job using (queue) full join dead using (queue) full join rung using (queue)
order by queue;

-- name: leases
select name, owner, greatest(extract(epoch from expires_at - clock_timestamp()), 0)::float8 as seconds_left
from towline.lease where expires_at > clock_timestamp() order by name;

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

-- name: session_create
-- $1 digest, $2 account, $3 JSON, $4 seconds
insert into towline.session (digest, account, data, expires_at)
values ($1, $2, $3::jsonb, clock_timestamp() + make_interval(secs => $4));

-- name: session_get
-- $1 digest
select account, data, created_at, expires_at from towline.session where digest = $1 and expires_at > clock_timestamp();

-- name: session_update
-- $1 digest, $2 JSON
update towline.session set data = $2::jsonb where digest = $1 and expires_at > clock_timestamp() returning true;

-- name: session_touch
-- $1 digest, $2 seconds
update towline.session set expires_at = clock_timestamp() + make_interval(secs => $2)
where digest = $1 and expires_at > clock_timestamp() returning true;

-- name: session_destroy
-- $1 digest
delete from towline.session where digest = $1;

-- name: session_destroy_all
-- $1 account
delete from towline.session where account = $1 returning expires_at > clock_timestamp() as alive;

-- name: session_sweep
-- Sessions that ran out. $1 most
delete from towline.session where digest in (
    select digest from towline.session where expires_at <= clock_timestamp()
    order by expires_at limit $1
    for update skip locked
)
returning true;

-- name: rate_hit
-- $1 client, $2 most, $3 seconds
select allowed, remaining, retry_after from towline.rate_hit($1, $2, $3);

-- name: rate_sweep
-- Counters that count nothing any more. $1 most
delete from towline.rate where client in (
    select client from towline.rate where started_at < clock_timestamp() - make_interval(secs => 2 * seconds)
    order by started_at limit $1
    for update skip locked
)
returning true;

-- name: figures
-- Jobs by queue and state with the age of the oldest; dead ones too, but not those that are done.
select queue, state::text, count(*) as jobs,
       coalesce(extract(epoch from clock_timestamp() - min(
           case when state = 'ready' then run_at else started_at end)), 0)::float8 as oldest_seconds
from towline.job
where state = 'running' or (state = 'ready' and run_at <= clock_timestamp())
group by queue, state
union all
select queue, 'delayed', count(*), 0 from towline.job where state = 'ready' and run_at > clock_timestamp() group by queue
union all
select queue, 'dead', count(*), 0 from towline.job where state = 'dead' group by queue;

-- name: outbox_figures
-- Rows that are due, by queue, and how long the oldest has waited.
select o.queue, count(*) as waiting,
       coalesce(extract(epoch from clock_timestamp() - min(
           case when o.due = '-infinity' then j.created_at else o.due end)), 0)::float8 as oldest_seconds
from towline.outbox o left join towline.job j on j.id = o.job_id
where o.due <= clock_timestamp()
group by o.queue;

-- name: leases_held
select name, owner from towline.lease where expires_at > clock_timestamp() order by name;
