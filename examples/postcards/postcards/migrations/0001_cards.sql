create table cards (
    id          uuid primary key,
    greeting    text not null,
    state       text not null check (state in ('queued', 'working', 'done', 'failed')),
    photo_key   text not null,
    card_key    text,
    error       text,
    request_id  text not null,
    attempts    integer not null default 0,
    -- Until then nobody else touches the card; after it the card is put back on the queue.
    lease_until timestamptz not null,
    created_at  timestamptz not null default now(),
    finished_at timestamptz,
    check ((state = 'done') = (card_key is not null)),
    check ((state = 'failed') = (error is not null))
);
