# What a host has for a deploy besides room: an engine that answers, a clock, and who listens where its door would.

# holder PORT: who listens there, unless it is one of Towline's containers.
holder() {
  seen=$(ss -Hltnp "sport = :$1" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 \2/p' | head -n 1)
  [ -n "$seen" ] || return 0
  program=${seen% *} pid=${seen##* }
  container=$(docker ps -q --no-trunc --filter "publish=$1" 2>/dev/null | head -n 1)
  [ -n "$container" ] || container=$(sed -n 's/.*\([0-9a-f]\{64\}\).*/\1/p' "/proc/$pid/cgroup" 2>/dev/null | head -n 1)
  if [ -n "$container" ] && labels=$(docker inspect -f '{{.Name}} {{json .Config.Labels}}' "$container" 2>/dev/null); then
    case $labels in
      *'"towline.'*) return 0 ;;
    esac
    labels=${labels%% *}
    echo "holds $1 the container ${labels#/}"
  else
    echo "holds $1 $program (pid $pid)"
  fi
}

look_at_ground() {
  date +'clock %s.%3N'
  command -v docker >/dev/null 2>&1 || return 0
  timeout 10 docker version --format 'engine {{.Server.Version}} {{.Server.APIVersion}}' 2>/dev/null
  holder 80
  holder 443
}
