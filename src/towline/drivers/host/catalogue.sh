# What a database consists of, as lines that can be compared, and what a change of it takes away.

tab='	'

# limited SECONDS ARGUMENTS ...: the engine, with a limit.
limited() {
  limit=$1
  shift
  timeout "$limit" "$engine" -H unix:///var/run/docker.sock "$@"
}

# When a process began, in clock ticks: a pid is given away again.
born() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

# Ends an earlier try that has outlived its batch, before anything else is done.
only_one() {
  note=$home/.migration
  if [ -s "$note" ]; then
    read -r pid began <"$note"
    [ -z "$began" ] || [ "$(born "$pid")" != "$began" ] || kill -s KILL "$pid"
  fi
  echo "$$ $(born "$$")" >"$note" || fail 'there is no room for a note' 'df -h'
}

# sql CONTAINER USER DATABASE: what stdin says, over the server's own socket, whose users it trusts.
sql() { limited 120 exec -i "$1" psql -XqAt -F "$tab" -v ON_ERROR_STOP=1 -U "$2" -d "$3"; }

# catalogue CONTAINER USER DATABASE FILE: lines `KIND NAME ...`, in an order that is the same everywhere. What belongs to
# an extension is the extension's affair. The tools' own tables tell which migrations were applied.
catalogue() {
  own="(select c.oid, c.relkind, case n.nspname when 'public' then '' else n.nspname || '.' end || c.relname as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname !~ '^(pg_.*|information_schema)\$'
      and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')) own"
  sql "$1" "$2" "$3" >"$4.new" <<END || fail "the catalogue of database $3 cannot be read"
select 'table', name from $own where relkind in ('r', 'p', 'f');
select 'view', name from $own where relkind in ('v', 'm');
select 'column', own.name || '.' || a.attname, format_type(a.atttypid, a.atttypmod),
    case when a.attnotnull then 'required' else 'optional' end,
    case when a.atthasdef or a.attidentity <> '' then 'default' else '' end, own.name
  from $own join pg_attribute a on a.attrelid = own.oid
  where own.relkind in ('r', 'p', 'f') and a.attnum > 0 and not a.attisdropped;
select 'default', own.name || '.' || a.attname, pg_get_expr(d.adbin, d.adrelid)
  from $own join pg_attrdef d on d.adrelid = own.oid join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum;
select 'index', name, pg_get_indexdef(oid) from $own where relkind in ('i', 'I');
select 'constraint', own.name || '.' || k.conname, pg_get_constraintdef(k.oid)
  from $own join pg_constraint k on k.conrelid = own.oid where k.contype <> 'n';
select 'trigger', own.name || '.' || t.tgname, pg_get_triggerdef(t.oid)
  from $own join pg_trigger t on t.tgrelid = own.oid where not t.tgisinternal;
select 'value', format_type(e.enumtypid, null) || '.' || e.enumlabel
  from pg_enum e
  where not exists (select from pg_depend d
                    where d.classid = 'pg_type'::regclass and d.objid = e.enumtypid and d.deptype = 'e');
select case p.prorettype when 'trigger'::regtype then 'handler' else 'function' end, p.oid::regprocedure::text, md5(p.prosrc)
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where n.nspname !~ '^(pg_.*|information_schema)\$'
    and not exists (select from pg_depend d
                    where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e');
select 'extension', extname from pg_extension;
select format('select ''applied'', %L, %s from %s', c.relname || ' ' || c.relnamespace::regnamespace::text, known.told, c.oid::regclass)
  from pg_class c
  join (values ('alembic_version', 'version_num', 'version_num'), ('_prisma_migrations', 'migration_name', 'migration_name'),
               ('schema_migrations', 'version', 'version'), ('django_migrations', 'name', 'app || ''.'' || name'),
               ('knex_migrations', 'name', 'name'), ('pgmigrations', 'name', 'name'),
               ('flyway_schema_history', 'script', 'script'), ('goose_db_version', 'version_id', 'version_id'),
               ('__drizzle_migrations', 'hash', 'hash'), ('__EFMigrationsHistory', 'MigrationId', '"MigrationId"'))
    as known (relation, has, told) on known.relation = c.relname
  join pg_attribute a on a.attrelid = c.oid and a.attname = known.has
  where c.relkind in ('r', 'p')
\gexec
END
  LC_ALL=C sort "$4.new" >"$4" && rm -f "$4.new"
}

# head_of FILE: a digest of a catalogue.
head_of() { sha256sum <"$1" | cut -c 1-16; }

# taken_away BEFORE AFTER: lines `CHANGE WORDS` for what the version that runs may still use; CHANGE holds a space, so a
# tab stands between the two.
taken_away() {
  LC_ALL=C awk -F '\t' -v first="$1" '
    function said(change, words) { print change "\t" words }
    function short(column, table) { return substr(column, length(table) + 2) }
    function size(type) { sub(/^[^(]*\(/, "", type); sub(/\).*/, "", type); return type + 0 }
    # More of the same kind of text: whoever wrote the shorter one is not hurt.
    function wider(old, new) {
      if (old !~ /^character varying/) return 0
      return new == "text" || new == "character varying" || (new ~ /^character varying\(/ && old ~ /\(/ && size(new) >= size(old))
    }
    # The only new column of a table that has the type of one that is gone is most likely that one with another name.
    function column_instead(table, type,   name, found, count) {
      for (name in now_type) if (now_table[name] == table && now_type[name] == type && !(name in was_type)) { found = name; count++ }
      return count == 1 ? found : ""
    }
    function table_instead(table,   name, found, count) {
      for (name in is_table) if (!(name in was_table_) && now_shape[name] == was_shape[table]) { found = name; count++ }
      return count == 1 ? found : ""
    }
    FILENAME == first && $1 == "table" { was_table_[$2] = 1; next }
    FILENAME == first && $1 == "column" {
      was_type[$2] = $3; was_need[$2] = $4; was_default[$2] = $5; was_table[$2] = $6
      was_shape[$6] = was_shape[$6] "," short($2, $6) " " $3
      next
    }
    FILENAME == first { if ($1 ~ /^(view|value|function|extension)$/) was[$1 "\t" $2] = 1; next }
    $1 == "table" { is_table[$2] = 1 }
    $1 == "column" {
      now_type[$2] = $3; now_need[$2] = $4; now_default[$2] = $5; now_table[$2] = $6
      now_shape[$6] = now_shape[$6] "," short($2, $6) " " $3
    }
    { now[$1 "\t" $2] = 1 }
    END {
      for (table in was_table_) if (!(table in is_table)) {
        instead = table_instead(table)
        said("drop-table " table, "table " table " is gone" (instead == "" ? "" : ", or is called " instead " now"))
      }
      for (column in was_type) {
        table = was_table[column]; name = short(column, table)
        if (!(table in is_table)) continue
        if (!(column in now_type)) {
          instead = column_instead(table, was_type[column])
          if (instead != "") new_name[instead] = 1
          said("drop-column " column, "column " name " of " table " is gone" (instead == "" ? "" : ", or is called " short(instead, table) " now"))
          continue
        }
        if (was_type[column] != now_type[column] && !wider(was_type[column], now_type[column]))
          said("change-type " column, "column " name " of " table " was " was_type[column] " and is " now_type[column])
        if (now_need[column] == "required" && now_default[column] == "" && was_need[column] == "optional")
          said("require-column " column, "column " name " of " table " may not be empty any more, and has no default")
        if (now_need[column] == "required" && was_need[column] == "required" && was_default[column] != "" && now_default[column] == "")
          said("drop-default " column, "column " name " of " table " may not be empty, and has lost its default")
      }
      for (column in now_type) {
        table = now_table[column]
        if ((column in was_type) || !(table in was_table_) || (column in new_name)) continue
        if (now_need[column] == "required" && now_default[column] == "")
          said("require-column " column, "column " short(column, table) " of " table " is new, may not be empty and has no default")
      }
      for (one in was) if (!(one in now)) {
        split(one, part, "\t")
        said("drop-" part[1] " " part[2], part[1] " " part[2] " is gone")
      }
    }' "$1" "$2" | LC_ALL=C sort
}

# added BEFORE AFTER: how many lines are new.
added() { LC_ALL=C comm -13 "$1" "$2" | wc -l | tr -d ' '; }
