# Answers on one connection: takes a program and its input, runs it, says how it ended and what it printed.
# A request is a line `ID HOW SECONDS SIZE INPUT`, then SIZE bytes of program, then INPUT bytes of its input.
# An answer is, for HOW = lines, each line of stdout after a `+`; then a line `=ID STATUS OUT ERR`, and that many bytes
# of stdout and stderr. STATUS is -1 when time ran out.
umask 077
PATH=${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin
LC_ALL=C
export PATH LC_ALL
d=$(mktemp -d /run/towline.XXXXXXXX 2>/dev/null || mktemp -d) || exit 73
trap 'rm -rf "$d"' EXIT
trap 'exit 129' HUP TERM

# keep FILE: what comes after the limit is read and dropped, since a program is not to die of a full pipe.
keep() {
  head -c "$most" >"$1"
  [ ! -s "$1" ] || cat >/dev/null
}
# The status lies in a file, since time may run out: then there is none. `timeout` leads the group of the program, and
# ends once its child has: what is left of the group then would hold on to our pipes.
bounded() {
  timeout -k 2 "$within" sh -c '
    trap "exit 124" TERM
    echo "$PPID" >"$0/group"
    sh "$0/program"
    echo "$?" >"$0/status"' "$d" 3>&-
  [ -s "$d/status" ] || kill -s KILL -- "-$(cat "$d/group")" 2>/dev/null
}
called() { { bounded 2>&3 | keep "$d/out"; } 3>&1 | keep "$d/err"; }

# sshd goes when its connection does. Nobody reads then, and a program that prints nothing would not notice.
login=$PPID
[ "$(cat "/proc/$login/comm")" != sudo ] || login=$(sed 's/.*) //' "/proc/$login/stat" | cut -d ' ' -f 2)
watched() {
  while sleep 5; do [ -d "/proc/$login" ] || kill -s KILL -- "-$(cat "$d/group")"; done
}
streamed() {
  watched </dev/null >/dev/null 2>&1 3>&- 4>&- &
  watcher=$!
  { bounded 2>&3 4>&- | sed -u 's/^/+/' >&4; } 3>&1 | keep "$d/err"
  kill "$watcher"
}

serve() { if [ "$how" = lines ]; then streamed; else called; fi; }
# size FILE: sets size.
size() {
  size=0
  [ ! -s "$1" ] || size=$(stat -c %s "$1")
}

printf '\ntowline-ready %s %s\n' "$nonce" "$d"
while read -r id how within size input; do
  : >"$d/status" >"$d/out" >"$d/err"
  head -c "$size" >"$d/program"
  if [ "$input" -eq 0 ]; then
    serve 4>&1 </dev/null
  else
    # What a program leaves of its input is not the next request.
    head -c "$input" | { serve; cat >/dev/null; } 4>&1
  fi
  status=-1
  [ ! -s "$d/status" ] || read -r status <"$d/status"
  size "$d/out"
  out=$size
  size "$d/err"
  printf '\n=%s %s %s %s\n' "$id" "$status" "$out" "$size"
  [ "$((out + size))" -eq 0 ] || cat "$d/out" "$d/err"
done
