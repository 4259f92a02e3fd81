# The farewell of an old copy: a process of its own on the host, which nobody has to watch.

# see_off INSTANCE DRAIN WITHIN: `$script` is what the process runs; it goes on when this batch has ended.
see_off() {
  id=$(id_of "$1")
  [ -n "$id" ] || { echo 'it is on its way, or gone'; return; }
  mkdir -p "$home/leaving" || fail 'there is no room for its farewell' 'df -h'
  own=$home/leaving/.$id
  printf '%s' "$place" >"$own.place" && { settings_of "$1" "$2" "$3"; printf '%s' "$script"; } >"$own.sh" ||
    fail 'there is no room for its farewell' 'df -h'
  rm -f "$own.why" "$own.left"
  launch "$own.sh" "$1" "$(($2 + $3 + 300))" || fail "the farewell of $1 cannot be started" 'systemctl status'
  tries=0
  until [ -e "$own.left" ]; do
    [ ! -s "$own.why" ] || fail "$1 cannot leave: $(last_line <"$own.why")" 'journalctl -u docker'
    [ "$tries" -lt 1500 ] || fail "the farewell of $1 does not begin" 'systemctl status'
    tries=$((tries + 1))
    sleep 0.02
  done
  rm -f "$own.left"
  echo "it ends by itself, at $(date -u -d "@$(($(date +%s) + $2 + $3))" +%H:%M) UTC at the latest"
}
settings_of() {
  printf "home='%s' id=%s instance='%s' drain=%s within=%s\n" "$home" "$id" "$1" "$2" "$3"
}

# launch FILE INSTANCE SECONDS: as a unit, where units are, since those outlive the session that began them.
launch() {
  if [ -d /run/systemd/system ] && command -v systemd-run >/dev/null; then
    systemd-run --quiet --collect --property="RuntimeMaxSec=$3" \
      --unit "towline-$(printf '%s' "${home#/var/lib/towline/}-$2-$$" | tr -c 'A-Za-z0-9.-' -)" sh "$1" 2>&1
  else
    setsid sh "$1" </dev/null >/dev/null 2>&1 &
  fi
}

# leave: the whole farewell of `$id`, in the process of its own.
leave() {
  own=$home/leaving/.$id mark=$home/leaving/$id
  place=$(cat "$own.place") || exit 74
  trap 'rm -rf "$work"; rm -f "$mark" "$own.place" "$own.sh"' EXIT
  until=$(($(date +%s) + drain + within))
  printf '%s %s %s\n' "$$" "$(born "$$")" "$until" >"$mark.new" && mv -f "$mark.new" "$mark" || exit 74
  # What leaves does not come back after a reboot, and its name is free for another. A container that waits for its
  # next start cannot be renamed, and has nothing to finish: its engine is told not to start it again.
  tries=0
  until is_renamed >"$work/why" 2>&1; do
    [ "$tries" -lt 20 ] || { cp "$work/why" "$own.why"; sleep 20; exit 1; }
    tries=$((tries + 1))
    sleep 0.25
  done
  : >"$own.left"
  came=$(date +%s)
  drained_of "$drain"
  stopped_of "$within"
  rm -f "$home/ready/$id"
  clear_older
  tell_end
}

is_renamed() {
  seen=$(docker inspect -f '{{.State.Status}} {{.Name}}' "$id") || return 1
  name=${seen#* /}
  [ "${seen%% *}" != restarting ] || docker stop -t 1 "$id" || return 1
  docker update --restart=no "$id" || return 1
  case $name in *.leaving.*) ;; *) docker rename "$id" "$name.leaving.$(printf '%.12s' "$id")" ;; esac
}

# drained_of SECONDS: sets open, the connections that are left. The engine is asked once, and the kernel all the time.
drained_of() {
  waited=0 open=0
  [ "$1" -gt 0 ] || return 0
  pid=$(docker inspect -f '{{.State.Pid}}' "$id") port=$(label "$id" port)
  [ "$(label "$id" runs)" != door ] || port=0
  [ "${pid:-0}" -gt 0 ] && [ -n "$port" ] || return 0
  port=$(printf '%04X' "$port")
  while open=$(connected "$pid" "$port") && [ "$open" -gt 0 ] && [ "$waited" -lt "$(($1 * 4))" ]; do
    waited=$((waited + 1))
    sleep 0.25
  done
}
# connected PID PORT: how many clients it has; a front door has a socket and the port 0000.
connected() {
  if [ "$2" = 0000 ]; then
    at_socket "$1"
    return
  fi
  cat "/proc/$1/net/tcp" "/proc/$1/net/tcp6" 2>/dev/null |
    awk -v port=":$2" '$4 == "01" && index($2, port) { n++ } END { print n + 0 }'
}

# stopped_of SECONDS: an engine that is silent for a moment is asked again; a container that is gone is stopped.
stopped_of() {
  asked=$(date +%s) tries=0
  until docker stop -t "$1" "$id" >/dev/null 2>&1 || [ -z "$(docker ps -aq --no-trunc --filter "id=$id" 2>/dev/null || echo silent)" ]; do
    [ "$tries" -lt 150 ] || break
    tries=$((tries + 1))
    sleep 2
  done
  took=$(($(date +%s) - asked))
}

# Those of its service that ended before it go: one is kept for its last words.
clear_older() {
  for old in $(docker ps -aq --no-trunc --filter "label=towline.home=$home" --filter "label=towline.service=$(label "$id" service)" --filter status=exited); do
    [ "$old" = "$id" ] || docker rm "$old" >/dev/null 2>&1
  done
}

tell_end() {
  code=$(docker inspect -f '{{.State.ExitCode}}' "$id" 2>/dev/null)
  saw="$instance finished and ended with exit code ${code:-unknown} after $(($(date +%s) - came)) s"
  [ "${code:-0}" -ne 137 ] || [ "$took" -lt "$within" ] ||
    saw="$instance was still at work after $within s and was ended: what it had in hand goes back to where it came from"
  [ "$open" -eq 0 ] || saw="$saw; $open connections were still open after $drain s"
  [ -d "$home" ] || return 0
  line="{\"at\":\"$(date -u +%Y-%m-%dT%H:%M:%S.%3N)+00:00\",\"event\":\"done\",$place,\"already\":false,\"saw\":$(printf '%s\n' "$saw" | told last),\"seconds\":$(($(date +%s) - came))}"
  guarded && append "$line"
  unguarded
}

# awaited SERVICE SECONDS
awaited() {
  waited=0
  while ids=$(leaving_of "$1") && [ -n "$ids" ]; do
    if [ "$waited" -ge "$(($2 * 2))" ]; then
      for id in $ids; do docker kill "$id" >/dev/null 2>&1; done
      echo 'they were ended: what they had in hand goes back to where it came from'
      return
    fi
    waited=$((waited + 1))
    sleep 0.5
  done
  echo 'none is left'
}
leaving_of() { leaving | while read -r id _; do [ "$(label "$id" service)" != "$1" ] || echo "$id"; done; }

none_leaves() {
  [ -z "$(leaving_of "$1")" ] || exit 1
  echo 'none is left'
}
