create index cards_latest on cards (created_at desc);
create index cards_unfinished on cards (lease_until) where state in ('queued', 'working');
