# What a person wants to know of the containers of a target, and what they printed.

# bytes_of PID: what the container of that process takes, by its control group.
bytes_of() {
  [ "${1:-0}" -gt 0 ] || { echo 0; return; }
  group=$(awk -F: '$2 == "" { print $3 }' "/proc/$1/cgroup") old=$(awk -F: '$2 == "memory" { print $3 }' "/proc/$1/cgroup")
  cat "/sys/fs/cgroup$group/memory.current" 2>/dev/null ||
    cat "/sys/fs/cgroup/memory$old/memory.usage_in_bytes" 2>/dev/null || echo 0
}

status() {
  date +'now %s'
  [ ! -e "$home/door/maintenance" ] || echo maintenance
  for id in $(docker ps -aq --no-trunc --filter "label=towline.home=$home" --filter label=towline.instance); do
    printf 'memory %s %s\n' "$id" "$(bytes_of "$(docker inspect -f '{{.State.Pid}}' "$id")")"
    began=$(docker inspect -f '{{.State.StartedAt}}' "$id")
    printf 'began %s %s\n' "$id" "$(date -d "$began" +%s)"
    printf 'exit %s %s\n' "$id" "$(docker inspect -f '{{.State.Pid}} {{.RestartCount}} {{.State.ExitCode}} {{.State.OOMKilled}}' "$id")"
  done
  containers
}

# logs LINES FOLLOW SERVICE ...: each line with its instance, service and time before it.
logs() {
  lines=$1 follow=$2
  shift 2
  for id in $(docker ps -aq --no-trunc --filter "label=towline.home=$home" --filter label=towline.instance); do
    service=$(docker inspect -f '{{index .Config.Labels "towline.service"}}' "$id")
    [ "$#" -eq 0 ] || { found=; for one; do [ "$one" != "$service" ] || found=yes; done; [ -n "$found" ] || continue; }
    instance=$(docker inspect -f '{{index .Config.Labels "towline.instance"}}' "$id")
    {
      { docker logs -t --tail "$lines" $follow "$id" 2>&1 1>&3 | sed -u "s/^/$instance $service stderr /"; } 3>&1 1>&4 |
        sed -u "s/^/$instance $service stdout /"
    } 4>&1 &
  done
  wait
}
