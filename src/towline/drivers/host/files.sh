# Files of a target that survive a crash. `home` is where they lie, 0700 for root alone.

at_home() { [ -d "$home" ] || { mkdir -p "$home/stash" && chmod 700 "$home" && sync "$home"; }; }

# One at a time changes the lock or appends to the journal.
guarded() { at_home && exec 8>>"$home/.guard" && flock -w 10 8; }
unguarded() { exec 8>&-; }

# replace FILE: what stdin holds becomes its content, wholly or not at all.
replace() { cat >"$1.new" && sync "$1.new" && mv -f "$1.new" "$1" && sync "${1%/*}"; }

# keep FILE SIZE: the next SIZE bytes of stdin become its content, wholly or not at all.
keep() {
  head -c "$2" >"$1.new" && [ "$(($(wc -c <"$1.new")))" -eq "$2" ] && sync "$1.new" && mv -f "$1.new" "$1"
}

# append LINE: add it to the journal and wait until it is on the disk. A line torn by a crash is ended first; one that
# does not fit is taken back.
append() {
  journal=$home/journal had=0 torn='' new=''
  if [ -s "$journal" ]; then
    had=$(stat -c %s "$journal")
    [ "$(tail -c 1 "$journal"; echo .)" = "$end_of_line." ] || torn=$end_of_line
  elif [ ! -e "$journal" ]; then
    new=1
  fi
  if add_line "$1" 2>/dev/null || { truncate -s "$had" "$journal" && add_line_aloud "$1"; }; then
    [ -z "$new" ] || sync "$home"
  else
    truncate -s "$had" "$journal"
    return 1
  fi
}
end_of_line='
'
add_line() { printf '%s%s\n' "$torn" "$1" >>"$journal" && sync "$journal"; }
# `cat` says why it cannot write; the shell itself only says that it cannot.
add_line_aloud() { printf '%s%s\n' "$torn" "$1" | cat >>"$journal" && sync "$journal"; }
