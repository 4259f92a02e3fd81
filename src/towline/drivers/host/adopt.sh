# Containers that Towline did not start, and what they keep.

# bytes_in FOLDER [SECONDS]: nothing where that is too short to count them.
bytes_in() { [ ! -e "$1" ] || ${2:+timeout "$2"} du -sB1 "$1" 2>/dev/null | awk '{ print $1 }'; }

# others: lines `other JSON` and `size BYTES FOLDER`. Every container of a target has the label towline.home. Folders are
# counted side by side, and not to their end where that takes long: somebody waits.
others() {
  command -v docker >/dev/null 2>&1 || return 0
  for id in $(docker ps -aq --no-trunc); do
    [ -z "$(docker inspect -f '{{index .Config.Labels "towline.home"}}{{index .Config.Labels "towline.machine-door"}}' "$id")" ] || continue
    docker inspect -f 'other {"name":{{json .Name}},"labels":{{json .Config.Labels}},"image":{{json .Config.Image}},"state":{{json .State.Status}},"mounts":{{json .Mounts}},"ports":{{json .HostConfig.PortBindings}},"environment":{{json .Config.Env}}}' "$id"
    docker inspect -f '{{range .Mounts}}{{.Source}}
{{end}}' "$id" | {
      while read -r folder; do
        [ -z "$folder" ] || [ ! -d "$folder" ] || echo "size $(bytes_in "$folder" "${patience:-30}") $folder" &
      done
      wait
    }
  done
}

policy_of() {
  docker inspect -f '{{with .HostConfig.RestartPolicy}}{{.Name}}{{if .MaximumRetryCount}}:{{.MaximumRetryCount}}{{end}}{{end}}' "$1"
}

# others_ran NAME ...: those that run, with their restart policies, for the journal.
others_ran() {
  comma=
  printf '{"running":['
  for name; do
    [ "$(state "$name")" = running ] || continue
    printf '%s["%s","%s"]' "$comma" "$name" "$(policy_of "$name")"
    comma=,
  done
  printf ']}'
}

# stop_others NAME ...
stop_others() {
  for name; do
    docker inspect "$name" >/dev/null 2>&1 || continue
    docker update --restart no "$name" >/dev/null || fail "$name cannot be told to stay stopped" 'journalctl -u docker'
    docker stop -t 60 "$name" >/dev/null || fail "$name cannot be stopped" 'journalctl -u docker'
  done
  echo "$# containers are stopped, and kept"
}

# start_others NAME POLICY ...: the copies of their data are of no use any more, nor what was done to them.
start_others() {
  rm -rf "$home/taken" "$home/tasks"
  while [ "$#" -gt 0 ]; do
    docker update --restart "${2:-no}" "$1" >/dev/null || fail "$1 is not there any more" 'docker ps -a'
    docker start "$1" >/dev/null || fail "$1 cannot be started" "docker logs $1"
    shift 2
  done
  echo 'they run again'
}

was_taken() {
  [ "$(cat "$home/taken/$2" 2>/dev/null)" = "$1" ] && docker volume inspect "$2" >/dev/null 2>&1 || exit 1
  echo 'it is copied'
}

# free_bytes FOLDER
free_bytes() { df -P -B 1 "$1" | awk 'END { print $4 }'; }

# room_for FOLDER VOLUME: its mount point in `to`, empty.
room_for() {
  [ -z "$(docker ps -q --filter "volume=$2")" ] || fail "the volume $2 is in use" "docker ps --filter volume=$2"
  [ "$(docker volume inspect -f '{{index .Labels "towline.taken"}}' "$2")" = yes ] ||
    fail "the volume $2 has data of its own, which is not touched" 'towline destroy, or another target'
  to=$(docker volume inspect -f '{{.Mountpoint}}' "$2")
  find "$to" -mindepth 1 -delete || fail "the volume $2 cannot be emptied" "ls -l $to"
  size=$(bytes_in "$1")
  [ "$(free_bytes "$to")" -gt "$((size + size / 10))" ] ||
    fail "the copy takes $((size / 1048576)) MiB, and $(($(free_bytes "$to") / 1048576)) MiB are free" 'df -h'
}

# take_data FOLDER VOLUME STORE KIND MAJOR: all of it, or the mark is not set and it begins anew.
take_data() {
  [ -d "$1" ] || fail "there is no folder $1 any more" 'docker volume ls'
  if ! docker volume inspect "$2" >/dev/null 2>&1; then
    set -- "$1" "$2" "$3" "$4" "$5" --label "towline.home=$home" --label towline.taken=yes
    [ -z "$3" ] || set -- "$@" --label "towline.store=$3" --label "towline.kind=$4" --label "towline.major=$5"
    from=$1 volume=$2
    shift 5
    docker volume create "$@" "$volume" >/dev/null || fail "the volume $volume cannot be made" 'df -h'
    set -- "$from" "$volume"
  fi
  end_writer "$2"
  room_for "$1" "$2"
  cp -a --reflink=auto "$1/." "$to/" && sync -f "$to" || fail "$1 cannot be copied" 'df -h'
}

# What writes a volume again, and may go on when whoever asked for it is gone.
end_writer() { docker rm -f "$1.once" >/dev/null 2>&1; }

# write_again VOLUME IMAGE SERVER: a redis that is to keep an append-only file looks at nothing else when it starts.
write_again() {
  [ ! -e "$to/appendonlydir" ] && [ -s "$to/dump.rdb" ] || return 0
  user=${3%-server}
  timeout 3600 "$engine" -H unix:///var/run/docker.sock run --rm --name "$1.once" --label "towline.home=$home" --network none --user "$user" --entrypoint sh --mount "type=volume,source=$1,target=/data" "$2" -c "
    $3 --dir /data --port 0 --unixsocket /tmp/once --save '' --appendonly no &
    ask() { $user-cli -s /tmp/once \"\$@\"; }
    until [ \"\$(ask ping 2>/dev/null)\" = PONG ]; do kill -0 \$! || exit 1; sleep 0.1; done
    ask config set appendonly yes
    until ask info persistence | grep -q 'aof_rewrite_in_progress:0' &&
      ask info persistence | grep -q 'aof_last_bgrewrite_status:ok' && [ -e /data/appendonlydir ]; do sleep 0.1; done
    ask shutdown nosave
    wait" >"$work/written" 2>&1 || { end_writer "$1"; cat "$work/written"; fail 'the copy cannot be written as an append-only file' 'df -h'; }
}

taken() {
  mkdir -p "$home/taken" && printf '%s\n' "$1" | replace "$home/taken/$2" || fail 'its mark cannot be kept' 'df -h'
  echo "$(($(bytes_in "$to") / 1024)) KiB are in the volume $2"
}
