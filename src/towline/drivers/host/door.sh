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

# through SERVICE PORT: the address that answers, asked inside the door's own network.
through() {
  pid=$(docker inspect -f '{{.State.Pid}}' "$(id_of caddy)" 2>/dev/null)
  [ "${pid:-0}" -gt 0 ] || return 1
  timeout 5 nsenter -t "$pid" -n bash -c '
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
  service=$1 within=$2 waited=0
  shift 2
  wanted=$(for one; do echo "$one"; done | sort -u) count=$#
  while :; do
    seen=$(asked=0; while [ "$asked" -lt "$((count * 2))" ]; do through "$service" "${1##*:}"; asked=$((asked + 1)); done | sort -u)
    [ "$seen" != "$wanted" ] || break
    [ "$waited" -lt "$((within * 4))" ] || fail "$service does not answer from $wanted${seen:+, but from $seen}" "towline logs $service"
    waited=$((waited + 1))
    sleep 0.25
  done
  echo 'they answered, and nobody else'
}

# configured DIGEST
configured() {
  [ "$(cat "$home/caddy/.routes" 2>/dev/null)" = "$1" ] || exit 1
  echo 'it has these routes'
}
was_configured() {
  kept=$(cat "$home/caddy/.routes" 2>/dev/null)
  if [ -n "$kept" ]; then printf '{"routes":"%s"}' "$kept"; else printf '{"routes":null}'; fi
}
configure() {
  [ -e "$home/stash/$1" ] || fail 'the routes were never sent to this host' 'towline deploy'
  mkdir -p "$home/caddy" && replace "$home/caddy/caddy.json" <"$home/stash/$1" || fail 'the routes cannot be written' 'df -h'
  chmod 755 "$home/caddy" && chmod 644 "$home/caddy/caddy.json"
  told=$(docker exec "$(id_of caddy)" caddy reload --config /etc/towline/caddy.json --address unix//run/caddy-admin.sock 2>&1) ||
    { printf '%s\n' "$told"; fail 'the front door does not take these routes'; }
  printf '%s\n' "$1" | replace "$home/caddy/.routes" || fail 'the routes cannot be noted' 'df -h'
  echo 'it has taken them'
}

# What a door is started with before it is told its routes: nothing but the way to tell it.
first_config() {
  mkdir -p "$home/door" "$home/caddy" && chmod 755 "$home/door" "$home/caddy" || fail 'there is no room for the front door' 'df -h'
  [ -s "$home/caddy/caddy.json" ] ||
    printf '{"admin":{"listen":"unix//run/caddy-admin.sock|0600","config":{"persist":false}}}\n' >"$home/caddy/caddy.json"
  chmod 644 "$home/caddy/caddy.json"
}
