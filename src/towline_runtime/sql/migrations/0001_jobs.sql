-- Jobs, the outbox of the doorbell, and the leases of single roles.
-- Every time in these tables is the database's own clock.

create type towline.job_state as enum ('ready', 'running', 'done', 'dead', 'cancelled');

create table towline.job (
    id              bigint generated always as identity primary key,
    kind            text not null,
    version         integer not null default 1,
    queue           text not null default 'default',
    priority        smallint not null default 0 check (priority between -1 and 1),
    state           towline.job_state not null default 'ready',
    attempt         integer not null default 0,
    max_attempts    integer not null default 5 check (max_attempts > 0),
    -- Grows by one with each claim: what an attempt writes must carry the number it was given.
    token           bigint not null default 0,
    run_at          timestamptz not null default now(),
    lease_until     timestamptz,
    worker          text,
    key             text,
    lane            text,
    correlation_id  text,
    payload         jsonb not null default '{}',
    progress        jsonb,
    remembered      jsonb,
    result          jsonb,
    error           text,
    cancel_asked    boolean not null default false,
    rung_at         timestamptz,
    created_at      timestamptz not null default now(),
    started_at      timestamptz,
    finished_at     timestamptz
) with (
    -- Room in each page, so that heartbeats and progress stay on it; and a vacuum that keeps up with a busy queue.
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
);

create index job_ready on towline.job (queue, priority, run_at, id) where state = 'ready';
create index job_running on towline.job (id) where state = 'running';
create index job_finished on towline.job (finished_at) where state in ('done', 'dead', 'cancelled');
create unique index job_key on towline.job (kind, key) where key is not null;

create table towline.outbox (
    id      bigint generated always as identity primary key,
    job_id  bigint not null,
    queue   text not null,
    lane    text,
    -- '-infinity' for work that is due at once: its order then is the order of id, whatever clocks do.
    due     timestamptz not null default '-infinity',
    -- 'ring' wakes a worker; 'dead' tells a dead-letter queue.
    topic   text not null default 'ring'
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

create index outbox_due on towline.outbox (queue, due, id);

-- A queue without a row here gets outbox rows: a doorbell that needs none has them swept.
create table towline.queue (
    name       text primary key,
    doorbell   text not null,
    paused_at  timestamptz
);

create table towline.lease (
    name        text primary key,
    owner       text not null,
    token       bigint not null default 1,
    expires_at  timestamptz not null
);
