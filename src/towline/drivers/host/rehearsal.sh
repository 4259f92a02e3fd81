# A release command against restored copies, in a network of its own. `rehearsal` names that network, and the command's
# container; everything else of it has the label towline.rehearsal.

# In hundredths of a second, by the machine's own clock.
clock() {
  read -r up _ </proc/uptime
  echo "${up%.*}${up#*.}"
}
seconds() { echo "$(($1 / 100)).$(($1 / 10 % 10)) s"; }

end_rehearsal() {
  for one in $(docker ps -aq --filter "label=towline.home=$home" --filter label=towline.rehearsal); do docker rm -fv "$one"; done
  for one in $(docker volume ls -q --filter "label=towline.home=$home" --filter label=towline.rehearsal); do docker volume rm "$one"; done
  if docker network inspect "$rehearsal"; then docker network rm "$rehearsal"; fi
} >/dev/null 2>&1

# rehearsed_before NAME DIGEST
rehearsed_before() {
  [ "$(head -n 1 "$home/backups/$1.rehearsal" 2>/dev/null)" = "$2" ] || exit 1
  echo 'it was rehearsed, and it went well'
}

# place_for VOLUME: for the data of a copy.
place_for() {
  docker volume create --label "towline.home=$home" --label towline.rehearsal=yes "$1" >/dev/null || fail "the volume $1 cannot be made" 'df -h'
}

# answers CONTAINER TEST: waits until a copy takes questions.
answers() {
  tries=0
  until timeout 10 "$engine" -H unix:///var/run/docker.sock exec "$1" /bin/sh -c "$2" >"$work/test" 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 240 ] && [ "$(state "$1")" = running ] || { docker logs --tail 15 "$1" 2>&1; fail "the copy $1 does not start" 'df -h'; }
    sleep 0.25
  done
}

# copied CONTAINER STORE USER DATABASE NAME: the backup of a store into its copy. What a copy loses in a power cut is no
# loss, so that it need not wait for the disk until the command runs.
copied() {
  file=$home/backups/$5.$2
  is_whole "$5" "$2" || fail "there is no whole backup $5 of $2"
  printf "alter system set fsync = off;\nalter system set autovacuum = off;\nselect pg_reload_conf();\n" | sql "$1" "$3" "$4" >/dev/null || fail "the copy of $2 does not answer"
  server_of "$2"
  # Rights and owners of the dump are those of roles: names alone, no passwords. Some are there already.
  limited 60 exec "$id" pg_dumpall --roles-only --no-role-passwords -U "$3" >"$work/roles" || fail "the roles of $2 cannot be read"
  limited 60 exec -i "$1" psql -Xq -U "$3" -d "$4" <"$work/roles" >/dev/null 2>&1
  filled "$1" "$3" "$4" "$file.dump" || fail "the backup of $2 cannot be read into a copy" "towline logs $2"
  catalogue "$1" "$3" "$4" "$work/$2.before"
  if ! same_tables "$work/$2.before" "$file.catalogue"; then
    diff "$file.catalogue" "$work/$2.before" | head -n 10
    fail "what came out of the backup of $2 is not what went in: it cannot be relied on"
  fi
  date -u +%Y-%m-%dT%H:%M:%SZ | replace "$file.restored"
  # A commit takes a little longer than the one who looks at the locks: no lock that blocks others goes unseen.
  printf "alter system set fsync = on;\nalter system set commit_siblings = 0;\nalter system set commit_delay = 80000;\nselect pg_reload_conf();\n" | sql "$1" "$3" "$4" >/dev/null
}

# watched CONTAINER STORE USER DATABASE: writes down which locks that block others are held, until the copy goes.
watched() {
  : >"$work/$2.locks" || fail 'there is no room for temporary files'
  printf '%s\n' "select 'watching';" "select n.nspname || '.' || c.relname, l.mode from pg_locks l
    join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace
    where l.granted and l.pid <> pg_backend_pid() and c.relkind in ('r', 'p', 'm') and n.nspname !~ '^(pg_.*|information_schema)\$'
      and l.database = (select oid from pg_database where datname = current_database())
      and l.mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
    \\watch 0.02" | limited 86400 exec -i "$1" psql -XqAt -F "$tab" -U "$3" -d "$4" >"$work/$2.locks" 2>/dev/null &
  tries=0
  until [ -s "$work/$2.locks" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || fail "the locks of the copy of $2 cannot be watched"
    sleep 0.1
  done
}

# locks STORE: what was held, the longest first: a table was seen every 20 ms.
locks() {
  LC_ALL=C awk -F '\t' 'NF == 2 { sub(/^public\./, "", $1); sub(/Lock$/, "", $2); seen[$1 " " $2]++ }
    END { for (one in seen) printf "%d\t%s %s\n", seen[one], one, (seen[one] < 10 ? "briefly" : "for about " int(seen[one] / 5) / 10 " s") }' "$work/$1.locks" |
    sort -rn | cut -f 2 | head -n 8 | sed 's/$/;/' | tr '\n' ' ' | sed 's/; $//'
}

# rehearsed SECONDS: waits for the command, which was started; sets took.
rehearsed() {
  from=$(clock)
  code=$(limited "$1" wait "$rehearsal")
  took=$(($(clock) - from))
  docker logs --tail 40 "$rehearsal" 2>&1 | masked
  [ -n "$code" ] || fail "in its rehearsal the release command was not done within $1 s; nothing was changed" 'towline plan'
  [ "$code" -eq 0 ] || fail "in its rehearsal the release command ended with status $code; nothing was changed" "towline deploy ${home##*/}"
}

# judged CONTAINER STORE USER DATABASE PREFIX: what the command took away. `allowed` are lines of what it may.
judged() {
  catalogue "$1" "$3" "$4" "$work/$2.after"
  taken_away "$work/$2.before" "$work/$2.after" | sed "s/^\([^ ]*\) /\1 $5/" >>"$work/findings"
  count=$(added "$work/$2.before" "$work/$2.after")
  news="$news, $2: $count new or changed"
  held=$(locks "$2")
  [ -z "$held" ] || news="$news, locks: $held"
}

# or_too_much: ends unless all that is taken away is allowed.
or_too_much() {
  : >"$work/refused"
  asked=
  while IFS="$tab" read -r change words; do
    printf '%s\n' "$allowed" | grep -qxF -e "$change" && continue
    printf '%s: %s\n' "$change" "$words" >>"$work/refused"
    asked="$asked --allow '$change'"
  done <"$work/findings"
  [ -s "$work/refused" ] || return 0
  echo 'The version that runs now still serves while the new one starts, and after a rollback. It may use these:'
  cat "$work/refused"
  echo 'Deploy a version first that no longer uses them; then this one. Or allow them, if nothing uses them any more.'
  fail "the release command takes away what the running version may use: $(sed 's/: .*//' "$work/refused" | tr '\n' ',' | sed 's/,$//; s/,/, /g'); nothing was changed" \
    "towline deploy ${home##*/}$asked"
}

# went_well NAME DIGEST: keeps what was seen for those who come after.
went_well() {
  { echo "$2"; cut -f 1 "$work/findings"; } | replace "$home/backups/$1.rehearsal" || fail 'the outcome of the rehearsal cannot be kept' 'df -h'
  gone=$(wc -l <"$work/findings" | tr -d ' ')
  [ "$gone" -gt 0 ] && gone="takes away $(cut -f 1 "$work/findings" | tr '\n' ',' | sed 's/,$//; s/,/, /g'), as allowed" || gone='takes nothing away'
  echo "it took $(seconds "$took") and $gone$news"
}
