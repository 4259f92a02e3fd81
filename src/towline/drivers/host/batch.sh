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
  since
  tell_failed "$@"
  exit 0
}
tell_failed() {
  [ -s "$work/sentence" ] || printf '%s ended with status %s\n' "$2" "$1" >"$work/sentence"
  evidence=$({ tail -c 65536 "$work/out"; tail -c 65536 "$work/err"; } | tail -n 20 | cut -b 1-2000 | tr -d '\000' | told strings "$work/words")
  hint=$(last_of "$work/hint")
  under_guard write failed ",\"sentence\":$(last_of "$work/sentence"),\"hint\":${hint:-\"\"},\"evidence\":[$evidence],\"seconds\":$spent"
}

what_before='the question what was there before' what_apply='the program of this step'
nothing='{}'
is_answer() { case $1 in '' | '{'*'}') ;; *) return 1 ;; esac; }

# step PLACE HOLDS BEFORE APPLY
step() {
  place=$1 already=false before='' saw=''
  set_ticks
  began=$ticks
  permitted "$lease" || taken_over
  if [ "$2" != false ] && asked "$2"; then
    already=true
    saw=$(last_of "$work/out")
  fi
  if [ -n "$3" ]; then
    asked "$3" || failed "$?" "$what_before"
    before=$(tr -d '\000\n' <"$work/out")
    is_answer "$before" || failed 0 "$what_before, without an answer,"
  fi
  under_guard write_begun ",\"before\":${before:-"$nothing"}"
  if ! "$already"; then
    permitted "$lease" || taken_over
    asked "$4" || failed "$?" "$what_apply"
    saw=$(last_of "$work/out")
  fi
  since
  under_guard write 'done' ",\"already\":$already,\"saw\":${saw:-\"\"},\"seconds\":$spent"
}

# Steps that go side by side, each with a folder of its own: all are asked what there is, all are written down, all are
# carried out, and then it is told how each ended, failures last. Only this process writes the journal.

# aside PLACE HOLDS BEFORE APPLY: the next one of them; it is asked at once.
aside() {
  asides=$((asides + 1))
  work=$base/$asides
  mkdir "$work" && ln "$base/words" "$work/words" && printf '%s' "$1" >"$work/place" && printf '%s' "$4" >"$work/apply" ||
    stop '!journal there is no room for temporary files'
  (
    set_ticks
    echo "$ticks" >"$work/began"
    place=$1
    if [ "$2" != false ] && asked "$2"; then last_of "$work/out" >"$work/already"; fi
    if [ -n "$3" ]; then
      asked "$3" || { echo "$?" >"$work/refused"; exit; }
      tr -d '\000\n' <"$work/out" >"$work/before"
      is_answer "$(cat "$work/before")" || echo 0 >"$work/refused"
    fi
  ) &
  work=$base
}

# together: carries out those that were named since the last time.
together() {
  wait
  permitted "$lease" || taken_over
  for_each write_begun_aside
  permitted "$lease" || taken_over
  for_each apply_aside
  wait
  for_each tell_done_aside
  bad=
  for_each tell_failed_aside
  [ -z "$bad" ] || exit 0
  rm -rf "$base"/[0-9]*
  asides=0
}
for_each() {
  number=0
  while [ "$number" -lt "$asides" ]; do
    number=$((number + 1))
    work=$base/$number place=$(cat "$base/$number/place") began=$(cat "$base/$number/began")
    "$1"
  done
  work=$base
}
write_begun_aside() {
  [ ! -e "$work/refused" ] || return 0
  before=$(cat "$work/before" 2>/dev/null)
  under_guard write_begun ",\"before\":${before:-"$nothing"}"
}
apply_aside() {
  [ ! -e "$work/refused" ] && [ ! -e "$work/already" ] || return 0
  (
    asked "$(cat "$work/apply")"
    echo "$?" >"$work/status"
    since
    echo "$spent" >"$work/spent"
  ) &
}
# Sets spent, of one whose program has ended.
spent_aside() { if [ -s "$work/spent" ]; then spent=$(cat "$work/spent"); else since; fi; }
tell_done_aside() {
  [ ! -e "$work/refused" ] || return 0
  already=false
  if [ -e "$work/already" ]; then
    already=true
    saw=$(cat "$work/already")
  elif [ "$(cat "$work/status" 2>/dev/null)" = 0 ]; then
    saw=$(last_of "$work/out")
  else
    return 0
  fi
  spent_aside
  under_guard write 'done' ",\"already\":$already,\"saw\":${saw:-\"\"},\"seconds\":$spent"
}
tell_failed_aside() {
  what=$what_before status=$(cat "$work/refused" 2>/dev/null)
  if [ -z "$status" ]; then
    [ ! -e "$work/already" ] && [ "$(cat "$work/status" 2>/dev/null)" != 0 ] || return 0
    what=$what_apply status=$(cat "$work/status" 2>/dev/null)
  fi
  bad=1
  spent_aside
  tell_failed "${status:-unknown}" "$what"
}

# open_batch PATIENCE: one batch of a target at a time.
open_batch() {
  work=$(mktemp -d /run/towline.XXXXXXXX 2>/dev/null || mktemp -d) || stop '!journal there is no room for temporary files'
  base=$work asides=0
  trap 'rm -rf "$base"' EXIT
  export home work place
  at_home && exec 9>>"$home/.batch"
  flock -w "$1" 9 || stop '!busy'
  learn_words
}
