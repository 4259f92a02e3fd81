# What a store shows to its neighbours, which share its network.

# reached STORE: a line `reached`, then the ports that answer, of all at which anything in its container listens.
reached() {
  id=$(id_of "$1")
  [ -n "$id" ] || return 0
  of=$(docker inspect -f '{{.State.Pid}}' "$id")
  docker inspect -f '{{range $name, $one := .NetworkSettings.Networks}}{{$name}} {{$one.IPAddress}}{{"\n"}}{{end}}' "$id" |
    while read -r network address; do
      [ -n "$address" ] || continue
      for other in $(docker network inspect -f '{{range $id, $_ := .Containers}}{{$id}} {{end}}' "$network"); do
        [ "$other" != "$id" ] || continue
        pid=$(docker inspect -f '{{.State.Pid}}' "$other")
        [ "${pid:-0}" -gt 0 ] || continue
        echo reached
        for port in $(listened "$of"); do
          # shellcheck disable=SC2016  # for the shell inside
          nsenter -t "$pid" -n timeout 2 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$address" "$port" 2>/dev/null && echo "$port"
        done
        break
      done
    done
}

# listened PID: the ports at which somebody listens in the network of that process, at whatever address.
listened() {
  awk '$4 == "0A" { sub(/.*:/, "", $2); print $2 }' "/proc/$1/net/tcp" "/proc/$1/net/tcp6" 2>/dev/null | sort -u |
    while read -r port; do echo "$((0x$port))"; done
}
