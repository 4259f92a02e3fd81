# Backups of a MariaDB or MySQL, by the programs of its own image: all databases that are not the server's own, in one
# dump, which counts once it was read into a throwaway server of the same image. `backup.sh` comes before. `names` are
# the databases.

# What runs in the container: the words that the image was told at its first start open it. A password goes by the
# environment, so that no list of processes shows it.
# shellcheck disable=SC2016  # another shell reads it
in_container='
told() {
  for name in "MARIADB_$1" "MYSQL_$1"; do
    eval "value=\${$name-} file=\${${name}_FILE-}"
    if [ -n "$value" ]; then printf %s "$value"; return; fi
    if [ -n "$file" ]; then cat "$file"; return; fi
  done
}
user=root MYSQL_PWD=$(told ROOT_PASSWORD)
[ -n "$MYSQL_PWD$(told ALLOW_EMPTY_ROOT_PASSWORD)$(told ALLOW_EMPTY_PASSWORD)" ] || user=$(told USER) MYSQL_PWD=$(told PASSWORD)
export MYSQL_PWD
case $1 in
  ask) program=$(command -v mariadb || command -v mysql) ;;
  *) program=$(command -v mariadb-dump || command -v mysqldump) ;;
esac
[ -n "$program" ] || { echo "the image has no client" >&2; exit 127; }
shift
# Else a restored server would take another one for its own past.
if "$program" --help 2>/dev/null | grep -q -e --set-gtid-purged; then set -- --set-gtid-purged=OFF "$@"; fi
exec "$program" --user="$user" --default-character-set=utf8mb4 "$@"'

# inside CONTAINER ask|dump ARGUMENTS ...
inside() {
  place=$1
  shift
  limited 21600 exec -i "$place" sh -c "$in_container" sh "$@"
}
asked() { inside "$1" ask --batch --skip-column-names; }
asked_raw() { inside "$1" ask --batch --skip-column-names --raw; }

# listed NAMES SUFFIX: as SQL has a list of texts.
listed() {
  all=
  for one in $1; do all="$all${all:+, }'$one$2'"; done
  printf '%s' "${all:-''}"
}

# plain_names: of the names on stdin one that could be read as anything else ends the step.
plain_names() {
  LC_ALL=C awk '/[^0-9A-Za-z_$.-]/ { print; bad = 1 } { kept = kept (kept == "" ? "" : " ") $0 } END { if (bad) exit 1; print kept }' ||
    fail "$store has a database or a view whose name holds more than letters, digits, _, \$, . and -: it cannot be backed up" "towline exec $store sh"
}

# serving SERVICE: sets id to its running container.
serving() {
  id=$(docker ps -q --no-trunc --filter "label=towline.home=$home" --filter "label=towline.service=$1" | head -n 1)
  [ -n "$id" ] || fail "$1 does not run" 'towline status'
}

# named_in CONTAINER: sets names. What a restore has set aside is no database of the app any more.
named_in() {
  echo "select schema_name from information_schema.schemata
    where schema_name not in ('information_schema', 'performance_schema', 'mysql', 'sys') and schema_name not in
      (select table_schema from information_schema.tables where table_name = 'towline_restored') order by 1;" |
    asked_raw "$1" >"$work/names" || fail "$store lets its own programs in no more: is the password in its environment the one that it has?" "towline logs $store"
  names=$(plain_names <"$work/names") || exit 1
  [ -n "$names" ] || fail "$store holds no database"
}

# views_in CONTAINER: lines `DATABASE VIEW`, into a file.
views_in() {
  echo "select concat(table_schema, '.', table_name) from information_schema.views where table_schema in ($(listed "$names")) order by 1;" |
    asked_raw "$1" >"$work/views" && plain_names <"$work/views" >/dev/null || exit 1
}

# size_of CONTAINER: bytes of data and indexes.
size_of() {
  echo "select coalesce(sum(data_length + index_length), 0) from information_schema.tables where table_schema in ($(listed "$names"));" | asked "$1"
}

# shape CONTAINER SUFFIX FILE: what the databases consist of, as lines that can be compared. SUFFIX is what their names
# have more than those of the app.
shape() {
  of="in ($(listed "$names" "$2")) and"
  base="left(%s, char_length(%s) - ${#2})"
  name() { printf "concat($base, '.', %s)" "$1" "$1" "$2"; }
  mine="exists (select 1 from information_schema.tables t where t.table_schema = c.table_schema and t.table_name = c.table_name and t.table_type <> 'VIEW') and c.table_name <> 'towline_restored'"
  asked "$1" >"$3.new" <<END || fail "what $store consists of cannot be read" "towline logs $store"
select 'table', $(name c.table_schema c.table_name) from information_schema.tables c where c.table_schema $of $mine;
select 'column', $(name c.table_schema "c.table_name, '.', c.column_name"), c.column_type, c.is_nullable,
    coalesce(quote(c.column_default), ''), c.extra, coalesce(c.collation_name, '')
  from information_schema.columns c where c.table_schema $of $mine;
select 'index', $(name c.table_schema "c.table_name, '.', c.index_name"), c.non_unique, c.seq_in_index, coalesce(c.column_name, '')
  from information_schema.statistics c where c.table_schema $of $mine;
select 'key', $(name c.constraint_schema "c.table_name, '.', c.constraint_name"), c.referenced_table_name, c.update_rule, c.delete_rule
  from information_schema.referential_constraints c where c.constraint_schema $of 1 = 1;
select 'view', $(name c.table_schema c.table_name) from information_schema.views c where c.table_schema $of 1 = 1;
select 'trigger', $(name c.trigger_schema c.trigger_name), c.event_object_table, c.action_timing, c.event_manipulation, md5(c.action_statement)
  from information_schema.triggers c where c.trigger_schema $of 1 = 1;
select lower(c.routine_type), $(name c.routine_schema c.routine_name), md5(c.routine_definition)
  from information_schema.routines c where c.routine_schema $of 1 = 1;
select 'event', $(name c.event_schema c.event_name), md5(c.event_definition)
  from information_schema.events c where c.event_schema $of 1 = 1;
END
  LC_ALL=C sort "$3.new" >"$3" && rm -f "$3.new"
}

# rows CONTAINER SUFFIX FILE: lines `rows TABLE COUNT`. Every row is read for it.
rows() {
  echo "select concat('select ''rows'', ', quote(concat(left(table_schema, char_length(table_schema) - ${#2}), '.', table_name)), ', count(*) from \`', table_schema, '\`.\`', replace(table_name, '\`', '\`\`'), '\`;')
    from information_schema.tables where table_schema in ($(listed "$names" "$2")) and table_type <> 'VIEW' and table_name <> 'towline_restored';" |
    asked_raw "$1" >"$work/count" && asked "$1" <"$work/count" >"$3.new" || fail "the rows of $store cannot be counted" "towline logs $store"
  LC_ALL=C sort "$3.new" >"$3" && rm -f "$3.new"
}

programs_follow='-- towline: what runs in the server follows'

# dumped CONTAINER FILE: the tables, then what runs in the server: a restore lets tables change names, which nothing else
# of a database can.
dumped() {
  views_in "$1"
  for one in $(cat "$work/views"); do set -- "$@" --ignore-table="$one"; done
  container=$1 file_of_dump=$2
  shift 2
  echo "-- towline: $names" >"$file_of_dump" || return 1
  # shellcheck disable=SC2086  # names, split on purpose
  inside "$container" dump --single-transaction --skip-triggers --hex-blob --no-tablespaces "$@" --databases $names >>"$file_of_dump" &&
    tail -n 3 "$file_of_dump" | grep -q '^-- Dump completed' && echo "$programs_follow" >>"$file_of_dump" && programs "$container" >>"$file_of_dump"
}

# programs CONTAINER: routines, events, triggers and views, as statements that can be said twice.
programs() {
  views_in "$1"
  for one in $names; do
    printf 'USE `%s`;\n' "$one"
    inside "$1" dump --single-transaction --no-create-info --no-data --no-tablespaces --routines --events --triggers --add-drop-trigger "$one" || return 1
    seen=$(sed -n "s/^${one}[.]//p" "$work/views")
    # shellcheck disable=SC2086  # names, split on purpose
    [ -z "$seen" ] || inside "$1" dump --single-transaction --no-data --no-tablespaces --skip-triggers "$one" $seen || return 1
  done
}

# with_suffix SUFFIX: statements of a dump, for databases that are called otherwise.
with_suffix() { LC_ALL=C sed "s/^\(CREATE DATABASE [^\`]*\`[^\`]*\)\`/\1$1\`/; s/^USE \`\([^\`]*\)\`;\$/USE \`\1$1\`;/"; }
tables_of() { LC_ALL=C sed "/^$programs_follow\$/q" "$1"; }
programs_of() { LC_ALL=C sed "1,/^$programs_follow\$/d" "$1"; }

# server_like ID: a throwaway server like that one, which nobody can reach, and where nothing happens by itself. Sets copy.
server_like() {
  copy=towline-check-$(printf '%.12s' "$1")
  docker rm -fv "$copy" >/dev/null 2>&1
  docker inspect -f '{{range .Config.Cmd}}{{println .}}{{end}}' "$1" | sed '$d' >"$work/command"
  set -- "$1"
  while IFS= read -r word; do set -- "$@" "$word"; done <"$work/command"
  of=$1
  shift
  docker run -d --rm --name "$copy" --network none --label "towline.home=$home" --label towline.rehearsal=yes \
    --memory "$(docker inspect -f '{{.HostConfig.Memory}}' "$of")" -e MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=1 -e MYSQL_ALLOW_EMPTY_PASSWORD=1 \
    "$(docker inspect -f '{{.Image}}' "$of")" "$@" --event-scheduler=OFF >/dev/null || fail "no copy of $store can be started" 'df -h'
  tries=0
  # At its first start it is reached by its socket alone.
  until echo 'select 1;' | inside "$copy" ask --protocol=tcp --host=127.0.0.1 >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 400 ] && [ "$(state "$copy")" = running ] || { docker logs --tail 15 "$copy" 2>&1 | masked; fail "the copy of $store does not start" "towline logs $store"; }
    sleep 0.25
  done
}
no_server_like() { docker rm -fv "${copy:-none}" >/dev/null 2>&1 || :; }

# steady FILE FILE: the rows of tables that had as many before and after: of those the copy has to have as many.
steady() { LC_ALL=C comm -12 "$1" "$2"; }

# comes_out_of FILE: the dump in a copy is what went in. Sets the counts of its rows down beside it.
comes_out_of() {
  server_like "$id"
  { tables_of "$1.part" && programs_of "$1.part"; } | inside "$copy" ask || fail "the dump of $store cannot be read into a copy" "towline logs $store"
  shape "$copy" '' "$work/copy"
  rows "$copy" '' "$1.rows"
  no_server_like
  if ! cmp -s "$1.catalogue" "$work/copy"; then
    diff "$1.catalogue" "$work/copy" | grep '^[<>]' | head -n 10
    fail "what came out of the dump of $store is not what went in: it cannot be relied on"
  fi
  steady "$work/rows.before" "$work/rows.after" | LC_ALL=C comm -23 - "$1.rows" >"$work/missing"
  [ ! -s "$work/missing" ] || { head -n 10 "$work/missing"; fail "rows are missing in the dump of $store: it cannot be relied on"; }
}

# back_up_mysql STORE NAME KEEP
back_up_mysql() {
  store=$1
  serving "$1"
  file=$home/backups/$2.$1
  mkdir -p "$home/backups" && rm -f "$file".* || fail "$home/backups cannot be written to" 'df -h'
  named_in "$id"
  size=$(size_of "$id") || fail "$1 does not answer" "towline logs $1"
  or_no_room "$1" "$size" copy
  trap no_server_like EXIT
  shape "$id" '' "$file.catalogue"
  rows "$id" '' "$work/rows.before"
  dumped "$id" "$file.part" || fail "$1 cannot be dumped" "towline logs $1"
  rows "$id" '' "$work/rows.after"
  shape "$id" '' "$work/after"
  cmp -s "$file.catalogue" "$work/after" || fail "somebody changed the tables of $1 meanwhile" "towline backup ${home##*/}"
  comes_out_of "$file"
  date -u +%Y-%m-%dT%H:%M:%SZ | replace "$file.restored"
  tables=$(grep -c '^table' "$file.catalogue")
  told_of "$1" '' "$names" "$2" "$3"
  trap - EXIT
}

# restore_mysql STORE NAME RUN HEAD_FILE TASK_FILE ...
restore_mysql() {
  store=$1 name=$2 run=$3 head_file=$4
  shift 4
  serving "$store"
  is_whole "$name" "$store" || fail "there is no whole backup $name of $store" "towline backup ${home##*/} --list"
  file=$home/backups/$name.$store was=$home/backups/$run.$store.programs
  names=$(sed -n '1s/^-- towline: //p' "$file.dump")
  beside=_new_$run aside=_before_$run
  for one in $names; do [ "${#one}" -le 48 ] || fail "the name of database $one is too long to be kept as $one$aside"; done
  there=$(echo "select count(*) from information_schema.tables where table_name = 'towline_restored' and table_schema in ($(listed "$names" "$aside"));" | asked "$id") ||
    fail "$store lets its own programs in no more: is the password in its environment the one that it has?" "towline logs $store"
  [ "$there" -gt 0 ] || beside_the_others
  programs_of "$file.dump" | asked "$id" || fail "the tables of backup $name are in place, and its views, triggers and routines are not" "towline logs $store"
  { with_suffix "$aside" <"$was" | asked "$id" && quiet_aside; } || echo "the views, triggers and routines of before do not come back: they are in $was"
  none_beside || fail "$store does not answer"
  shape "$id" '' "$work/restored"
  date -u +%Y-%m-%dT%H:%M:%SZ | replace "$file.restored"
  mark "$head_file" "{\"name\":\"head:$store\",\"marker\":\"$(head_of "$work/restored")\"}"
  for task; do rm -f "$home/tasks/$task"; done
  kept=
  for one in $names; do kept="$kept${kept:+, }$one$aside"; done
  echo "backup $name is in place; what was there before is in $kept: drop it when it is of no more use"
}

# The tables of the backup into databases of their own, and then all change names in one statement.
beside_the_others() {
  size=$(size_of "$id") && bytes=$(wc -c <"$file.dump") || fail "$store does not answer" "towline logs $store"
  free_in "$(docker info -f '{{.DockerRootDir}}')"
  [ "$free" -gt "$((size + size / 5 + 2 * bytes))" ] ||
    fail "the restored tables take up to $(megabytes "$((size + size / 5 + 2 * bytes))"), and $(megabytes "$free") are free" 'df -h'
  none_beside || fail "no new database can be made in $store, which takes the word of root in its environment; nothing was changed" "towline logs $store"
  if ! { tables_of "$file.dump" | with_suffix "$beside" | asked "$id" && all_came; }; then
    none_beside
    fail "backup $name cannot be read into $store as it was; nothing was changed" "towline logs $store"
  fi
  { made_ready | asked "$id"; } && set_down || fail "what is there now cannot be set aside; nothing was changed" "towline logs $store"
  for _ in 1 2 3 4 5; do
    others_gone
    if { gone_programs && all_names; } >"$work/exchange" && asked "$id" <"$work/exchange"; then return; fi
    sleep 1
  done
  asked "$id" <"$was"
  fail "the restored tables cannot take their place, since somebody uses the others again and again; nothing was changed" "towline logs $store"
}

# An earlier try may have taken them away already: what it wrote down first stays.
set_down() { [ -s "$was" ] || { programs "$id" >"$work/programs" && replace "$was" <"$work/programs"; }; }

# What was set aside stays as it was: no event works on it.
quiet_aside() {
  echo "select concat('alter event \`', event_schema, '\`.\`', event_name, '\` disable;') from information_schema.events where event_schema in ($(listed "$names" "$aside"));" |
    asked_raw "$id" | asked "$id"
}

none_beside() {
  for one in $names; do echo "drop database if exists \`$one$beside\`;"; done | asked "$id"
}

all_came() {
  shape "$id" "$beside" "$work/new" && rows "$id" "$beside" "$work/new.rows" && same_tables "$work/new" "$file.catalogue" && cmp -s "$work/new.rows" "$file.rows"
}

# The mark of the exchange goes with it: whoever finds it in what was set aside has nothing to exchange any more.
made_ready() {
  for one in $names; do
    printf 'create database if not exists `%s`;\n' "$one" "$one$aside"
    printf 'create table if not exists `%s`.towline_restored (run int);\n' "$one$beside"
  done
}

others_gone() {
  echo "select concat('kill ', id, ';') from information_schema.processlist
    where id <> connection_id() and user not in ('system user', 'event_scheduler') and db in ($(listed "$names"));" |
    asked_raw "$id" | inside "$id" ask --force >/dev/null 2>&1
}

# No trigger, view, routine or event can change databases.
gone_programs() {
  echo 'set lock_wait_timeout = 5;'
  asked_raw "$id" <<END
select concat('drop trigger if exists \`', trigger_schema, '\`.\`', trigger_name, '\`;') from information_schema.triggers where trigger_schema in ($(listed "$names"));
select concat('drop view if exists \`', table_schema, '\`.\`', table_name, '\`;') from information_schema.views where table_schema in ($(listed "$names"));
select concat('drop ', routine_type, ' if exists \`', routine_schema, '\`.\`', routine_name, '\`;') from information_schema.routines where routine_schema in ($(listed "$names"));
select concat('drop event if exists \`', event_schema, '\`.\`', event_name, '\`;') from information_schema.events where event_schema in ($(listed "$names"));
END
}

# all_names: one statement by which the tables of now step aside and the others come in.
all_names() {
  for one in $names; do
    moved "$one" "$one$aside"
    moved "$one$beside" "$one"
    printf '`%s`.`towline_restored` to `%s`.`towline_restored`\n' "$one$beside" "$one$aside"
  done >"$work/moves" || return 1
  awk '{ printf "%s%s", (NR > 1 ? ", " : "rename table "), $0 } END { print ";" }' "$work/moves"
}
moved() {
  echo "select concat('\`', table_schema, '\`.\`', replace(table_name, '\`', '\`\`'), '\` to \`$2\`.\`', replace(table_name, '\`', '\`\`'), '\`')
    from information_schema.tables where table_schema = '$1' and table_type <> 'VIEW' and table_name <> 'towline_restored';" | asked_raw "$id"
}
