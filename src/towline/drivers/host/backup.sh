# Backups of the databases of a target: $home/backups/NAME.STORE.dump, with what is known of each beside it in .json and
# .catalogue. One without its .json is none.

megabytes() { echo "$((($1 + 1048575) / 1048576)) MB"; }
digest_of() { sha256sum "$1" | cut -d ' ' -f 1; }

# server_of STORE: sets id to its running container.
server_of() {
  id=$(id_of "$1")
  [ -n "$id" ] && [ "$(state "$id")" = running ] || fail "$1 does not run" 'towline status'
}

# is_whole NAME STORE: whether that backup is as it was made.
is_whole() {
  file=$home/backups/$1.$2
  [ -s "$file.json" ] && [ -s "$file.dump" ] || return 1
  case $(cat "$file.json") in *"\"sha256\":\"$(digest_of "$file.dump")\""*) ;; *) return 1 ;; esac
}
is_there() {
  is_whole "$1" "$2" || exit 1
  echo 'it is there, and as it was made'
}

# free_in FOLDER: sets free (bytes) and disk (which file system).
free_in() {
  found=$(df -P -B 1 "$1" | awk 'END { print $4, $1 }') || fail "the room in $1 cannot be told"
  free=${found%% *} disk=${found#* }
}

# or_no_room STORE BYTES COPY: a dump is no larger than the database; a copy has its log of changes besides.
or_no_room() {
  free_in "$home/backups"
  here=$disk
  [ "$free" -gt "$2" ] || fail "a backup of $1 takes up to $(megabytes "$2"), and $(megabytes "$free") are free" 'df -h'
  [ -n "$3" ] || return 0
  copy=$(($2 + $2 / 5 + 268435456)) left=$((free - $2))
  free_in "$(docker info -f '{{.DockerRootDir}}')"
  [ "$disk" = "$here" ] || left=$free
  [ "$left" -gt "$copy" ] ||
    fail "a restored copy of $1 takes up to $(megabytes "$copy"), and $(megabytes "$left") are free beside its backup" 'df -h'
}

# back_up STORE USER DATABASE NAME KEEP COPY
back_up() {
  server_of "$1"
  folder=$home/backups file=$home/backups/$4.$1
  mkdir -p "$folder" && rm -f "$file".* || fail "$folder cannot be written to" 'df -h'
  size=$(echo 'select pg_database_size(current_database())' | sql "$id" "$2" "$3") || fail "$1 does not answer" "towline logs $1"
  or_no_room "$1" "$size" "$6"
  catalogue "$id" "$2" "$3" "$file.catalogue"
  limited 21600 exec "$id" pg_dump -Fc --lock-wait-timeout=60s -U "$2" -d "$3" >"$file.part" || fail "$1 cannot be dumped" "towline logs $1"
  # Its list is at the front: only who reads all of it sees that the end is missing.
  limited 21600 exec -i "$id" pg_restore -f /dev/null <"$file.part" || fail "the dump of $1 cannot be read to its end" 'df -h'
  tables=$(limited 600 exec -i "$id" pg_restore --list <"$file.part" | grep -c ' TABLE DATA ')
  told_of "$1" "$2" "$3" "$4" "$5"
}

# told_of STORE USER DATABASE NAME KEEP: the dump `$file.part` becomes a backup; its record, which makes it one, is last.
told_of() {
  bytes=$(($(wc -c <"$file.part")))
  sync "$file.part" && mv -f "$file.part" "$file.dump" || fail "the dump of $1 cannot be kept" 'df -h'
  why=release
  [ "$5" -gt 0 ] || why=asked
  printf '{"name":"%s","store":"%s","user":%s,"database":%s,"at":"%s","bytes":%s,"tables":%s,"sha256":"%s","head":"%s","why":"%s"}\n' \
    "$4" "$1" "$(printf '%s\n' "$2" | told strings)" "$(printf '%s\n' "$3" | told strings)" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
    "$bytes" "$tables" "$(digest_of "$file.dump")" "$(head_of "$file.catalogue")" "$why" | replace "$file.json" ||
    fail "the dump of $1 cannot be kept" 'df -h'
  [ "$5" -eq 0 ] || forget_old "$1" "$5"
  echo "$(megabytes "$bytes") of $(megabytes "$size"), data of $tables tables, head $(head_of "$file.catalogue")"
}

# forget_old STORE KEEP: of the backups made for releases the newest stay; nobody deletes one that a person asked for.
forget_old() {
  for one in "$home/backups"/*."$1".json; do
    if grep -q '"why":"release"' "$one"; then basename "$one" ".$1.json"; fi
  done | sort -rn | tail -n "+$(($2 + 1))" | while read -r old; do
    rm -f "$home/backups/$old.$1".* "$home/backups/$old.rehearsal"
  done
}

# backups: lines `backup JSON`, and `restored NAME STORE TIME` for one that was ever read into a server again.
backups() {
  for one in "$home"/backups/*.json; do
    [ -s "$one" ] || continue
    echo "backup $(cat "$one")"
    stem=${one%.json}
    [ ! -s "$stem.restored" ] || { stem=${stem##*/}; echo "restored ${stem%%.*} ${stem#*.} $(cat "$home/backups/$stem.restored")"; }
  done
}

# filled CONTAINER USER DATABASE FILE: a dump into an empty database.
filled() {
  limited 21600 exec -i "$1" pg_restore --exit-on-error -U "$2" -d "$3" <"$4" || return 1
}

# same_tables FILE FILE: of two catalogues what data lies in. An extension may come in another version.
same_tables() {
  for one in "$1" "$2"; do grep -E '^(table|column|applied)	' "$one" >"$work/tables.${one##*/}"; done
  cmp -s "$work/tables.${1##*/}" "$work/tables.${2##*/}"
}

# restore STORE USER DATABASE NAME ASIDE HEAD_FILE TASK_FILE ...
restore() {
  store=$1 user=$2 database=$3 name=$4 aside=$5 head_file=$6
  shift 6
  server_of "$store"
  is_whole "$name" "$store" || fail "there is no whole backup $name of $store" "towline backup ${home##*/} --list"
  file=$home/backups/$name.$store
  was=$(echo "select datname from pg_database where datname = '$aside'" | sql "$id" "$user" template1) || fail "$store does not answer"
  [ -n "$was" ] || put_in_place
  catalogue "$id" "$user" "$database" "$work/restored"
  date -u +%Y-%m-%dT%H:%M:%SZ | replace "$file.restored"
  mark "$head_file" "{\"name\":\"head:$store\",\"marker\":\"$(head_of "$work/restored")\"}"
  for task; do rm -f "$home/tasks/$task"; done
  echo "backup $name is in place; what was there before is database $aside, which takes no connections: drop it when it is of no more use"
}

# Nobody can write to the old one once the two change names.
put_in_place() {
  # Asked from beside: one that broke off in the middle has left it closed to everybody.
  size=$(echo "select pg_database_size('$database')" | sql "$id" "$user" template1) || fail "$store does not answer"
  free_in "$(docker info -f '{{.DockerRootDir}}')"
  [ "$free" -gt "$((size + size / 5))" ] || fail "the restored database takes up to $(megabytes "$((size + size / 5))"), and $(megabytes "$free") are free" 'df -h'
  sql "$id" "$user" template1 <<END || fail "no new database can be made in $store" "towline logs $store"
drop database if exists "${aside}_new" with (force);
select format('create database %I template template0 owner %I encoding %L lc_collate %L lc_ctype %L',
    '${aside}_new', pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype)
  from pg_database where datname = '$database'
\\gexec
select format('alter database %I set %s to %L', '${aside}_new', split_part(one, '=', 1), substr(one, strpos(one, '=') + 1))
  from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase, unnest(s.setconfig) as one
  where d.datname = '$database' and s.setrole = 0
\\gexec
END
  if ! { filled "$id" "$user" "${aside}_new" "$file.dump" && comes_back; }; then
    echo "drop database \"${aside}_new\" with (force)" | sql "$id" "$user" template1
    fail "backup $name cannot be read into $store as it was; nothing was changed" "towline logs $store"
  fi
  for _ in 1 2 3 4 5; do
    if swapped; then return; fi
    sleep 1
  done
  echo "alter database \"$database\" allow_connections true" | sql "$id" "$user" template1
  fail "the restored database cannot take its place, since somebody is in it again and again; nothing was changed" "towline logs $store"
}

comes_back() {
  catalogue "$id" "$user" "${aside}_new" "$work/new"
  same_tables "$work/new" "$file.catalogue"
}

# Not at once where the server itself looks after one of the two: its helpers connect as well.
swapped() {
  sql "$id" "$user" template1 <<END
alter database "$database" allow_connections false;
select pg_terminate_backend(pid) from pg_stat_activity where datname in ('$database', '${aside}_new');
begin;
alter database "$database" rename to "$aside";
alter database "${aside}_new" rename to "$database";
commit;
END
}
