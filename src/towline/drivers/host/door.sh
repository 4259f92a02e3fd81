# The slot files of the front door, each change a rename, and what can be seen through it.

upstreams() {
  for file in "$home/door/$1".[0-9]*; do
    [ ! -e "$file" ] || cat "$file"
    echo
  done | grep -v -e '^$' -e "^$hold\$" | sort -u
}

was_sent() {
  list=
  for one in $(upstreams "$1"); do list="$list${list:+,}\"$one\""; done
  printf '{"upstreams":[%s]}' "$list"
}

# is_sent SERVICE ADDRESS ...
is_sent() {
  service=$1
  shift
  [ -e "$home/door/$service.$slots" ] || exit 1
  [ "$(upstreams "$service")" = "$(for one; do echo "$one"; done | sort -u)" ] || exit 1
  echo 'it goes there already'
}

# send SERVICE ADDRESS ...: no slot is left on an address that refuses while another one lives.
send() {
  service=$1
  shift
  [ "$#" -gt 0 ] || set -- "$hold"
  [ "$#" -le "$slots" ] || fail "$service has $# copies, and the front door has room for $slots"
  mkdir -p "$home/door" && chmod 755 "$home/door" || fail 'the files of the front door cannot be written' 'df -h'
  number=1
  while [ "$number" -le "$slots" ]; do
    next=$1
    shift
    printf '%s' "$next" >"$home/door/.new" && chmod 644 "$home/door/.new" && mv -f "$home/door/.new" "$home/door/$service.$number" ||
      fail 'the files of the front door cannot be written' 'df -h'
    set -- "$@" "$next"
    number=$((number + 1))
  done
  echo 'sent'
}

# The front door that came last: while it is replaced there are two.
door_id() { docker ps -q --no-trunc --filter "label=towline.home=$home" --filter label=towline.runs=door | head -n 1; }

# through SERVICE PORT: the address that answers, asked inside the own network of the door, the process `$door_pid`.
through() {
  [ "${door_pid:-0}" -gt 0 ] || return 1
  timeout 5 nsenter -t "$door_pid" -n bash -c '
    exec 3<>"/dev/tcp/127.0.0.1/$2" || exit 1
    printf "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" "$1" >&3
    while IFS= read -r line <&3; do
      line=${line%$'\''\r'\''}
      [ -n "$line" ] || exit 1
      case $line in [Xx]-[Tt]owline-[Uu]pstream:*) echo "${line#*: }"; exit 0 ;; esac
    done' bash "$1" "$2" 2>/dev/null
}

# confirmed SERVICE SECONDS ADDRESS ...: each of them has answered, and nobody else.
confirmed() {
  service=$1 until=$(($(up_now) + $2))
  shift 2
  wanted=$(for one; do echo "$one"; done | sort -u) count=$#
  while :; do
    door_pid=$(docker inspect -f '{{.State.Pid}}' "$(door_id)" 2>/dev/null)
    seen=$(asked=0; while [ "$asked" -lt "$((count * 2))" ]; do through "$service" "${1##*:}"; asked=$((asked + 1)); done | sort -u)
    [ "$seen" != "$wanted" ] || break
    [ "$(up_now)" -lt "$until" ] || fail "$service does not answer from $wanted${seen:+, but from $seen}" "towline logs $service"
    sleep 0.25
  done
  echo 'they answered, and nobody else'
}

# give_routes REVISION DIGEST: what a front door begins with; the first one has the names. Those of the last ones stay,
# for whoever goes back to them.
give_routes() {
  [ -e "$home/stash/$2" ] || fail 'the routes were never sent to this host' 'towline deploy'
  sockets=${home%/*/*}/.door/apps${home#"${home%/*/*}"} settings=$home/caddy/$1
  mkdir -p "$home/door" "$settings" "$sockets/$1" && chmod 755 "$home/door" "$home/caddy" "$settings" &&
    replace "$settings/caddy.json" <"$home/stash/$2" && chmod 644 "$settings/caddy.json" ||
    fail 'the routes of the front door cannot be written' 'df -h'
  # One of the same revision that is still leaving would take the socket away when it ends.
  for id in $(docker ps -q --filter "label=towline.home=$home" --filter label=towline.runs=door --filter "label=towline.revision=$1"); do
    docker stop -t 35 "$id" >/dev/null
  done
  [ -L "$sockets/now" ] || ln -s "$1" "$sockets/now"
  for old in $(ls -t "$home/caddy" | tail -n +9); do rm -rf "${settings%/*}/$old" "${sockets:?}/$old"; done
}
