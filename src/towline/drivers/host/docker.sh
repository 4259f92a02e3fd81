# Containers of a target. Each has the label towline.home=$home, so that nobody else's is ever touched.

# The variables of the app may be called as Docker's own: its socket is named, and the client found before they are set.
engine=$(command -v docker) || fail 'there is no docker on this host' 'towline provision HOST'
docker() { "$engine" -H unix:///var/run/docker.sock "$@"; }

label() { docker inspect -f "{{index .Config.Labels \"towline.$2\"}}" "$1" 2>/dev/null; }
state() { docker inspect -f '{{.State.Status}}' "$1" 2>/dev/null; }

# of_instance INSTANCE FORMAT: its container, running or not, as the engine shows it in that format, in one call; not one
# that is leaving, which has a name of its own by then.
of_instance() {
  docker ps -a --no-trunc --format "{{.Names}} $2" --filter "label=towline.home=$home" --filter "label=towline.instance=$1" |
    sed -n '/^[^ ]*[.]leaving[.]/!{s/^[^ ]* //p;q;}'
}
id_of() { of_instance "$1" '{{.ID}}'; }

# was INSTANCE: what ran under that name, for the journal; the engine is not asked again when `runs_as` just did.
was() {
  if [ -e "$work/asked" ]; then
    found=$(cat "$work/asked")
    rm -f "$work/asked"
  else
    found=$(of_instance "$1" '{{.State}} {{.Label "towline.is"}}')
  fi
  case $found in '' | 'exited '*) found=null ;; *) found=${found#* } ;; esac
  printf '{"instance":%s}' "${found:-null}"
}

# needs_networks: lines `NAME INTERNAL`; each is made once.
make_networks() {
  wanted=$(cat)
  [ -n "$wanted" ] || return 0
  # shellcheck disable=SC2046  # names, split on purpose
  homes=$(docker network inspect -f '{{index .Labels "towline.home"}}' $(printf '%s\n' "$wanted" | cut -d ' ' -f 1) 2>/dev/null) &&
    [ "$(printf '%s\n' "$homes" | sort -u)" = "$home" ] && return
  # Docker would make two of one name for two that ask at once.
  exec 7>>"$home/.networks"
  flock -w 60 7 || fail 'the networks cannot be made: somebody else is at it' 'journalctl -u docker'
  printf '%s\n' "$wanted" | while read -r network internal; do
    if docker network inspect "$network" >/dev/null 2>&1; then is_ours network "$network"; else
      docker network create $internal --label "towline.home=$home" "$network" >/dev/null ||
      fail "the network $network cannot be made"
    fi
  done || exit 1
}

# with_env DIGEST COMMAND ...: the command, with the names of the stashed environment as `-e NAME` in place of the first
# `@env`. Its variables may be called as ours: they are set last.
with_env() {
  env=$1
  shift
  names=
  if [ -n "$env" ]; then
    [ -e "$home/stash/.env/$env" ] || fail 'an environment was never sent to this host' 'towline deploy'
    names=$(sed -n 's/^export \([A-Za-z_][A-Za-z0-9_]*\)=.*/-e \1/p' "$home/stash/.env/$env")
  fi
  (
    placed=
    for word; do
      shift
      # shellcheck disable=SC2086  # names of variables, split on purpose
      if [ -z "$placed" ] && [ "$word" = @env ]; then placed=1 && set -- "$@" $names; else set -- "$@" "$word"; fi
    done
    set -- "$engine" -H unix:///var/run/docker.sock "$@"
    [ -z "$env" ] || . "$home/stash/.env/$env"
    exec "$@"
  )
}

# runs_as INSTANCE DIGEST
runs_as() {
  found=$(of_instance "$1" '{{.State}} {{.Label "towline.digest"}} {{.Label "towline.is"}}')
  state=${found%% *} found=${found#* }
  printf '%s %s' "$state" "${found#* }" >"$work/asked"
  [ "$state ${found%% *}" = "running $2" ] || exit 1
  echo "it runs, as it should"
}

# file_at_hand DIGEST: a content as a file that a container may read; the folder around it is root's alone.
file_at_hand() {
  stashed=$home/stash/$1
  [ -e "$stashed" ] || fail 'a file was never sent to this host' 'towline deploy'
  mkdir -p "$home/files" &&
    if [ "$(head -c 7 "$stashed")" = base64: ]; then tail -c +8 "$stashed" | base64 -d; else cat "$stashed"; fi >"$home/files/.$$.$1" &&
    chmod 444 "$home/files/.$$.$1" && sync "$home/files/.$$.$1" && mv -f "$home/files/.$$.$1" "$home/files/$1" ||
    fail 'its files cannot be written' 'df -h'
}
files_at_hand() {
  for word; do
    case $word in
      type=bind,source="$home"/files/*) word=${word#*/files/} && file_at_hand "${word%%,*}" ;;
    esac
  done
}

# is_ours WHAT NAME: two apps may have names that make one: what has it belongs to somebody else, and is left alone.
# A volume that nobody has signed may have been brought here for this app.
is_ours() {
  at='.Labels' && [ "$1" != container ] || at='.Config.Labels'
  whose=$(docker "$1" inspect -f "{{index $at \"towline.home\"}}" "$2" 2>/dev/null) || return 0
  [ "$1" != volume ] || [ -n "$whose" ] || return 0
  [ "$whose" = "$home" ] || fail "the $1 $2 is of ${whose:-somebody else}" 'choose another name for the app or the target'
}

# started NAME ENV NETWORKS MORE ARGUMENTS ...: made anew, joined to MORE networks (lines `NETWORK ALIAS...`), started.
started() {
  name=$1 env=$2 networks=$3 more=$4
  shift 4
  files_at_hand "$@"
  printf '%s\n' "$networks" | make_networks || exit 1
  how=create
  [ -n "$more" ] || how='run -d'
  # shellcheck disable=SC2086  # words, split on purpose
  id=$(with_env "$env" $how --name "$name" "$@" 2>&1) || {
    # What an earlier try has left under its name goes, unless it is somebody else's.
    case $id in *'already in use by container'*) is_ours container "$name" && docker rm -f "$name" >/dev/null 2>&1 && id=$(with_env "$env" $how --name "$name" "$@" 2>&1) ;; *) false ;; esac
  } || { printf '%s\n' "$id"; refused "$id"; }
  id=$(printf '%s\n' "$id" | tail -n 1)
  if [ "$how" != create ]; then
    echo "container $(printf '%.12s' "$id")"
    return
  fi
  [ -z "$more" ] || printf '%s\n' "$more" | while read -r network aliases; do
    # shellcheck disable=SC2086  # words, split on purpose
    docker network connect $aliases "$network" "$id" || exit 1
  done || fail "$name cannot join its networks"
  why=$(docker start "$id" 2>&1) || { printf '%s\n' "$why"; refused "$why"; }
  echo "container $(printf '%.12s' "$id")"
}

# refused WHAT: the engine's own words, with a hint where there is one.
refused() {
  why=$(printf '%s\n' "$1" | grep -v -e '--help' -e '^$' | tail -n 1)
  why=${why#docker: }
  case $1 in
    *'No such image'* | *'pull access denied'* | *'not found'*) fail "the engine has no such image: $why" 'docker pull IMAGE, on the host' ;;
    *'already allocated'* | *'address already in use'*) fail "a port is taken: $why" 'ss -ltnp' ;;
    *) fail "the engine refused: $why" 'journalctl -u docker' ;;
  esac
}

# The last words of a container, how it ended, and what its health test said.
evidence() {
  docker logs --tail 20 "$1" 2>&1
  docker inspect -f '{{range .State.Health.Log}}{{.Output}}{{end}}' "$1" 2>/dev/null | tail -n 5
  docker inspect -f 'exit code {{.State.ExitCode}}, out of memory: {{.State.OOMKilled}}, restarts: {{.RestartCount}}' "$1"
}

# to_be_ready INSTANCE: sets id, settle and test; the question and the program of a step ask the engine once for both.
to_be_ready() {
  if [ -e "$work/to_be_ready" ]; then
    found=$(cat "$work/to_be_ready")
    rm -f "$work/to_be_ready"
  else
    # A test may have several lines.
    found=$(of_instance "$1" '{{.ID}} {{.Label "towline.settle"}} {{join (split (.Label "towline.test") (printf "%c" 10)) (printf "%c" 1)}}' | tr '\001' '\n')
  fi
  id=${found%% *} test=${found#* }
  settle=${test%% *} test=${test#* }
}

# is_ready: asks the container's own test at once, since the engine asks only after its interval; without a test it must
# have lived for SETTLE seconds. Sets is, what it does, and restarts, unless it is ready.
is_ready() {
  # Only what runs can be asked.
  if [ -n "$test" ] && timeout 10 "$engine" -H unix:///var/run/docker.sock exec "$id" /bin/sh -c "$test" >"$work/test" 2>&1; then
    return
  fi
  read -r is restarts began <<EOF
$(docker inspect -f '{{.State.Status}} {{.RestartCount}} {{.State.StartedAt}}' "$id" 2>/dev/null)
EOF
  [ "$is" = running ] && [ -z "$test" ] || return 1
  began=$(date -d "$began" +%s)
  [ "$(($(date +%s) - began))" -gt "$settle" ]
}

# The engine asks its test only after the first interval: until then this is how others know.
noted_ready() {
  mkdir -p "$home/ready" && : >"$home/ready/$id"
  echo 'it answers'
}

ready_now() {
  to_be_ready "$1"
  [ -n "$id" ] || exit 1
  is_ready || { printf '%s' "$found" >"$work/to_be_ready"; exit 1; }
  noted_ready
}

# way_out: what to type, by the last words of the container: an ordinary image may want to write, or begin as root.
way_out() {
  service=$(label "$id" service)
  if docker logs --tail 50 "$id" 2>&1 | grep -qiE 'read-only file system|erofs|operation not permitted'; then
    name=$(printf %s "$service" | tr a-z A-Z | tr -c A-Z0-9 _)
    echo "printf false | towline secrets set ${name}_READ_ONLY -t ${home##*/}, and deploy again"
  else
    echo "towline logs $service -t ${home##*/}"
  fi
}

# up_now: seconds since the machine began, which no clock that is set changes.
up_now() { cut -d . -f 1 /proc/uptime; }

# ready INSTANCE SECONDS: asked often at first, since most are quick, and less often when one takes its time.
ready() {
  to_be_ready "$1"
  pause=10 until=$(($(up_now) + $2))
  [ -n "$id" ] || fail "$1 is not there"
  until is_ready; do
    if [ "$is" = exited ] || [ "${restarts:-0}" -ge 3 ]; then
      evidence "$id"
      fail "$1 ends as soon as it is started" "$(way_out)"
    fi
    if [ "$(up_now)" -ge "$until" ]; then
      evidence "$id"
      cat "$work/test" 2>/dev/null
      fail "$1 was not ready within $2 s" "$(way_out)"
    fi
    [ "$(up_now)" -lt "$((until - $2 + 2))" ] || pause=50
    sleep "0.$pause"
  done
  noted_ready
}

# at_socket PID: how many requests a front door has. What it accepts belongs to the network of whoever connects, which is
# the machine's own, and there all front doors have one path: so by the numbers of its sockets.
at_socket() {
  readlink "/proc/$1/fd"/* 2>/dev/null | sed -n 's/^socket:\[\(.*\)\]$/\1/p' |
    awk 'NR == FNR { own[$1]; next } $6 == "03" && $8 ~ /\/door[.]sock$/ && ($7 in own) { n++ } END { print n + 0 }' - /proc/net/unix
}

# connections INSTANCE: how many clients its port has, or the socket of a front door, read from its first process.
connections() {
  pid=$(docker inspect -f '{{.State.Pid}}' "$id") port=$(label "$id" port)
  if [ "$(label "$id" runs)" = door ] && [ "${pid:-0}" -gt 0 ]; then
    at_socket "$pid"
    return
  fi
  [ "${pid:-0}" -gt 0 ] && [ -n "$port" ] || { echo 0; return; }
  port=$(printf '%04X' "$port")
  cat "/proc/$pid/net/tcp" "/proc/$pid/net/tcp6" 2>/dev/null | awk -v port=":$port" '$4 == "01" && index($2, port) { n++ } END { print n + 0 }'
}

# drained INSTANCE SECONDS
drained() {
  id=$(id_of "$1") waited=0
  [ -n "$id" ] && [ "$(state "$id")" = running ] || { echo 'it does not run'; return; }
  while open=$(connections) && [ "$open" -gt 0 ]; do
    [ "$waited" -lt "$(($2 * 4))" ] || { echo "$open connections were still open after $2 s"; return; }
    waited=$((waited + 1))
    sleep 0.25
  done
  echo 'no connection is open'
}

# ended INSTANCE SECONDS: stopped and kept for those who look for its last words; those before it go.
ended() {
  id=$(id_of "$1")
  [ -n "$id" ] || { echo 'it was not there'; return; }
  before=$(docker ps -aq --no-trunc --filter "label=towline.home=$home" --filter "label=towline.service=$(label "$id" service)" --filter status=exited)
  docker stop -t "$2" "$id" >/dev/null || fail "$1 cannot be stopped" 'journalctl -u docker'
  rm -f "$home/ready/$id"
  for old in $before; do [ "$old" = "$id" ] || docker rm "$old" >/dev/null; done
  echo "ended with exit code $(docker inspect -f '{{.State.ExitCode}}' "$id")"
}

has_ended() {
  id=$(id_of "$1")
  [ -z "$id" ] || [ "$(state "$id")" = exited ] || [ "$(state "$id")" = created ] || fail "$1 still runs"
  echo 'no process of it is left'
}

# volume NAME STORE KIND MAJOR
volume_is_there() {
  [ -z "$1" ] || docker volume inspect "$1" >/dev/null 2>&1 || exit 1
  [ -z "$1" ] || is_ours volume "$1"
  echo 'its data is there'
}
make_volume() {
  docker volume create --label "towline.home=$home" --label "towline.store=$2" --label "towline.kind=$3" --label "towline.major=$4" "$1" >/dev/null ||
    fail "the volume $1 cannot be made" 'df -h'
  echo "volume $1"
}

# mark NAME MARKER: what a task was last done with.
marked_with() {
  [ -n "$2" ] && [ "$(cat "$home/tasks/$1" 2>/dev/null)" = "$2" ] || exit 1
  echo 'done before, and nothing it depends on has changed'
}
mark() {
  [ -z "$2" ] || { mkdir -p "$home/tasks" && printf '%s\n' "$2" | replace "$home/tasks/$1"; } || fail 'its mark cannot be kept'
}

# ran NAME SECONDS ENV NETWORKS MORE ARGUMENTS ...: a container to its end; its output is the evidence.
ran() {
  name=$1 within=$2 env=$3 networks=$4 more=$5
  shift 5
  started "$name" "$env" "$networks" "$more" "$@"
  code=$(timeout "$within" "$engine" -H unix:///var/run/docker.sock wait "$name")
  mkdir -p "$home/logs"
  docker logs "$name" 2>&1 | masked | tee -a "$home/logs/$name.log" | tail -c 65536
  docker rm -f "$name" >/dev/null
  [ -n "$code" ] || fail "$name was not done within $within s"
  [ "$code" -eq 0 ] || fail "$name ended with status $code"
  echo 'it ended with status 0'
}
