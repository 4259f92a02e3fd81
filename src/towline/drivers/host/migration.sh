# The release command on the databases themselves. It works once at a time for all who ask for the same advisory lock,
# and one that waits for a lock of others longer than it may is cancelled, whatever it is written in.

# was_migrated BACKUP STORE USER DATABASE ...: what is there before, for the journal.
was_migrated() {
  backup=$1
  shift
  heads=
  while [ "$#" -gt 0 ]; do
    server_of "$1"
    catalogue "$id" "$2" "$3" "$work/$1.was"
    heads="$heads${heads:+,}\"$1\":\"$(head_of "$work/$1.was")\""
    shift 3
  done
  destructive=
  [ ! -s "$home/backups/$backup.rehearsal" ] || destructive=$(sed 1d "$home/backups/$backup.rehearsal" | told strings)
  [ -z "$backup" ] && backup=null || backup="\"$backup\""
  printf '{"head":{%s},"destructive":[%s],"backup":%s}' "$heads" "$destructive" "$backup"
}

# addresses CONTAINER: of a container, as the servers see it.
addresses() {
  docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.GlobalIPv6Address}} {{end}}' "$1" 2>/dev/null |
    tr -s ' ' '\n' | grep -E '^[0-9a-f.:]+$' | tr '\n' ',' | sed 's/,$//'
}

# ended_for_good CONTAINER STORE USER DATABASE ...: it and what it asked of the servers, which go on with a statement when
# whoever asked is gone, and with all that came with it, a commit too.
ended_for_good() {
  known=$(addresses "$1")
  docker rm -f "$1" >/dev/null 2>&1
  shift
  while [ "$#" -gt 0 ]; do
    id=$(id_of "$1")
    [ -z "$known" ] || [ -z "$id" ] || echo "select pg_terminate_backend(pid) from pg_stat_activity where client_addr = any('{$known}'::inet[])" |
      sql "$id" "$2" "$3" >/dev/null 2>&1
    shift 3
  done
}

# alone USER DATABASE SECONDS: takes the advisory lock in a session that is asked through descriptor 7, and that ends
# when this shell does.
alone() {
  rm -f "$work/asks" && mkfifo "$work/asks" && : >"$work/answers" || fail 'there is no room for temporary files'
  limited 86400 exec -i "$id" psql -XqAt -U "$1" -d "$2" <"$work/asks" >"$work/answers" 2>&1 &
  session=$!
  exec 7>"$work/asks"
  printf "set lock_timeout = '%ss';\nselect 'alone' from pg_advisory_lock(hashtext('towline migration'));\n" "$3" >&7
  until grep -q '^alone' "$work/answers"; do
    if grep -q ERROR "$work/answers" || ! kill -0 "$session" 2>/dev/null; then
      cat "$work/answers"
      fail "somebody else migrates $store: the lock was not free within $3 s" "towline status -t ${home##*/}"
    fi
    sleep 0.1
  done
}

# ask WORDS: of that session; a server that is gone must not end this shell.
ask() { (printf '%s\n' "$1" >&7) 2>/dev/null || :; }

# waits_too_long SECONDS: who holds the command back is written down, and in the end it is cancelled. `waitstart` is there
# since PostgreSQL 14; before, a tool has only the limit that it was told.
waits_too_long() {
  of="from pg_locks l join pg_stat_activity a on a.pid = l.pid and a.client_addr = any('{$from}'::inet[])"
  ask "select distinct format('held back by session %s (%s, %s), in a transaction since %s UTC', b.pid, coalesce(host(b.client_addr), 'this server'),
      b.application_name, to_char(b.xact_start at time zone 'UTC', 'HH24:MI:SS'))
    $of join pg_stat_activity b on b.pid = any(pg_blocking_pids(l.pid)) where not l.granted and l.waitstart < clock_timestamp() - interval '$1 s' / 2;
    select pg_cancel_backend(l.pid) $of where not l.granted and l.waitstart < clock_timestamp() - interval '$1 s';"
}

# ended_within SECONDS LOCK_SECONDS CONTAINER: sets code, empty when time ran out.
ended_within() {
  from=$(addresses "$3") turns=0
  rm -f "$work/waited"
  { limited "$1" wait "$3" >"$work/code" 2>/dev/null; : >"$work/waited"; } 7>&- &
  until [ -e "$work/waited" ]; do
    turns=$((turns + 1))
    [ "$((turns % 5))" -ne 0 ] || waits_too_long "$2"
    sleep 0.1
  done
  code=$(cat "$work/code")
}

# migrated CONTAINER SECONDS LOCK_SECONDS BACKUP: the command was started. `store`, `user`, `database`, `id` are of the
# database that is locked; `$work/STORE.was` is its catalogue of before.
migrated() {
  ended_within "$2" "$3" "$1"
  mkdir -p "$home/logs"
  docker logs "$1" 2>&1 | masked | tee -a "$home/logs/$1.log" | tail -c 65536
  [ "$code" = 0 ] || grep '^held back' "$work/answers" | sort -u | head -n 5
  ended_for_good "$1" "$store" "$user" "$database"
  exec 7>&-
  catalogue "$id" "$user" "$database" "$work/now"
  [ "$code" = 0 ] || way_out "$1" "$2" "$4"
}

# way_out CONTAINER SECONDS BACKUP
way_out() {
  how="ended with status $code" target=${home##*/}
  [ -n "$code" ] || how="was not done within $2 s"
  if cmp -s "$work/$store.was" "$work/now"; then
    fail "the release command $how; it left $store as it was, and the version before goes on" "towline deploy $target"
  fi
  diff "$work/$store.was" "$work/now" | grep '^[<>]' | head -n 8
  if [ -z "$3" ]; then
    fail "the release command $how, and it left $store changed (head $(head_of "$work/$store.was") before, $(head_of "$work/now") now); there is no backup of before" "towline logs $store -t $target"
  fi
  echo "the backup of before is $home/backups/$3.$store.dump on this host"
  fail "the release command $how, and it left $store changed (head $(head_of "$work/$store.was") before, $(head_of "$work/now") now); the version before goes on" \
    "towline restore $target $3"
}

# told_heads STORE USER DATABASE FILE ...: marks the head of each database.
told_heads() {
  all=
  while [ "$#" -gt 0 ]; do
    server_of "$1"
    catalogue "$id" "$2" "$3" "$work/now"
    mark "$4" "{\"name\":\"head:$1\",\"marker\":\"$(head_of "$work/now")\"}"
    all="$all, head of $1 $(head_of "$work/now")"
    shift 4
  done
  echo "it ended with status 0$all"
}

end_migration() {
  only_one
  ended_for_good "$@"
  end_rehearsal
  echo 'nothing of it is left'
}
