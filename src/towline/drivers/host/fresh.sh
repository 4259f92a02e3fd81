# A container that is made for one command, with the terminal or the pipes of whoever asks. `docker.sh` comes before.

# asker: the process of the connection that this came by, which ends with it; nothing where there is none.
asker() {
  one=$$
  while [ "${one:-0}" -gt 1 ]; do
    case $(cat "/proc/$one/comm") in sshd*) echo "$one"; return ;; esac
    one=$(sed 's/.*) //' "/proc/$one/stat" | cut -d ' ' -f 2)
  done
}

# end_with PID: nobody tells this shell that the connection is gone, unless it has a terminal.
end_with() {
  while kill -0 "$1"; do sleep 2; done
  kill -s HUP "$$"
}

# fresh NAME ENV NETWORKS MORE ARGUMENTS ...: as `started`; its status is the command's. It goes with whoever asked.
fresh() {
  name=$1 env=$2 networks=$3 more=$4 watcher=
  shift 4
  files_at_hand "$@"
  printf '%s\n' "$networks" | make_networks || exit 125
  trap '{ docker rm -fv "$name"; [ -z "$watcher" ] || kill "$watcher"; } >/dev/null 2>&1' EXIT
  trap 'exit 129' HUP TERM
  with_env "$env" create --name "$name" "$@" >/dev/null || exit 125
  [ -z "$more" ] || printf '%s\n' "$more" | while read -r network aliases; do
    # shellcheck disable=SC2086  # words, split on purpose
    docker network connect $aliases "$network" "$name" || exit 1
  done || fail "$name cannot join its networks"
  asker=$(asker)
  [ -z "$asker" ] || { end_with "$asker" >/dev/null 2>&1 & watcher=$!; }
  # A shell hears of a hang-up while it waits, and not while a program of its own is before it.
  exec 3<&0
  docker start -ai "$name" <&3 3<&- &
  wait "$!"
}
