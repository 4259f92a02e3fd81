# Carries out the steps of a batch. Nobody need be there to read what it shows, and no hang-up ends it.

show() { (printf '%s\n' "$1") 2>/dev/null || :; }
stop() { show "$1"; exit 0; }
taken_over() { stop "!fenced $fence $owner"; }

# note REST: a line of the journal, shown once it is on the disk.
note() {
  line="{\"at\":\"$(date -u +%Y-%m-%dT%H:%M:%S.%3N)+00:00\",$1}"
  append "$line" 2>"$work/why" || stop "!journal $(last_line <"$work/why")"
}

# write EVENT REST: a line of the step at work.
write() { note "\"event\":\"$1\",$place$2"; }

# under_guard FUNCTION ...
under_guard() {
  guarded || stop '!journal the guard of the target cannot be had'
  "$@"
  unguarded
  show "$line"
}
write_begun() {
  permitted "$lease" || taken_over
  write began "$1"
}

# recorded REST: a line of whoever carries out the plan.
recorded() { under_guard write_recorded "$1"; }
write_recorded() {
  permitted "$lease" || taken_over
  note "$1"
}

# asked PROGRAM: its own shell, so that it may exit; what it said is in out and err.
asked() {
  : >"$work/sentence" >"$work/hint"
  sh -c "$words
$1" 8>&- 9>&- >"$work/out" 2>"$work/err" </dev/null
}

# last_of FILE: its last words, as a JSON string.
last_of() { if [ -s "$1" ]; then tail -c 65536 "$1" | tr -d '\000' | told last "$work/words"; fi; }

# Sets spent: seconds since the step began.
since() {
  set_ticks
  spent=$((ticks - began))
  fraction=$((spent % 100 + 100))
  spent=$((spent / 100)).${fraction#1}
}

# failed STATUS WHAT: ends the batch.
failed() {
  [ -s "$work/sentence" ] || printf '%s ended with status %s\n' "$2" "$1" >"$work/sentence"
  evidence=$({ tail -c 65536 "$work/out"; tail -c 65536 "$work/err"; } | tail -n 20 | cut -b 1-2000 | tr -d '\000' | told strings "$work/words")
  hint=$(last_of "$work/hint")
  since
  under_guard write failed ",\"sentence\":$(last_of "$work/sentence"),\"hint\":${hint:-\"\"},\"evidence\":[$evidence],\"seconds\":$spent"
  exit 0
}

# step PLACE HOLDS BEFORE APPLY
step() {
  place=$1 already=false before='{}' saw=''
  set_ticks
  began=$ticks
  permitted "$lease" || taken_over
  if [ "$2" != false ] && asked "$2"; then
    already=true
    saw=$(last_of "$work/out")
  fi
  if [ -n "$3" ]; then
    asked "$3" || failed "$?" 'the question what was there before'
    before=$(tr -d '\000\n' <"$work/out")
    case $before in
    '') before='{}' ;;
    '{'*'}') ;;
    *) failed 0 'the question what was there before, without an answer,' ;;
    esac
  fi
  under_guard write_begun ",\"before\":$before"
  if ! "$already"; then
    permitted "$lease" || taken_over
    asked "$4" || failed "$?" 'the program of this step'
    saw=$(last_of "$work/out")
  fi
  since
  under_guard write 'done' ",\"already\":$already,\"saw\":${saw:-\"\"},\"seconds\":$spent"
}

# open_batch PATIENCE: one batch of a target at a time.
open_batch() {
  work=$(mktemp -d /run/towline.XXXXXXXX 2>/dev/null || mktemp -d) || stop '!journal there is no room for temporary files'
  trap 'rm -rf "$work"' EXIT
  export home work place
  at_home && exec 9>>"$home/.batch"
  flock -w "$1" 9 || stop '!busy'
  learn_words
}
