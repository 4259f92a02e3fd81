# The door that all targets of a machine share, in a folder beside theirs: `clear` and `secure` hold a file for each name
# with the home of its owner, `to` a link of that name to the owner's `now`, `apps` for each target the folders of its
# front doors' sockets and the link `now` to one of them, `lanes` a link to each of these folders, `data` the certificates.
machine=${home%/*/*}/.door
own_folder=apps${home#"${home%/*/*}"}

# One target at a time changes names or the door itself.
at_the_door() {
  mkdir -p "$machine/clear" "$machine/secure" "$machine/to" "$machine/apps" "$machine/lanes" "$machine/data" ||
    fail "the names of this machine cannot be kept in $machine" 'df -h'
  exec 7>>"$machine/.guard" && flock -w 60 7 || fail 'another app is at the door of this machine' 'try again'
}

# names KIND: those of this target, sorted.
names() {
  for file in "$machine/$1"/*; do
    [ ! -f "$file" ] || [ "$(cat "$file")" != "$home" ] || printf '%s\n' "${file##*/}"
  done | sort
}

# has_names CLEAR SECURE, each a list of lines
has_names() {
  [ "$(names clear)" = "$(printf '%s\n' "$1" | sort)" ] && [ "$(names secure)" = "$(printf '%s\n' "$2" | sort)" ] || exit 1
  echo 'it has these names'
}

had_names() {
  printf '{"clear":[%s],"secure":[%s],"door":' "$(names clear | json_strings)" "$(names secure | json_strings)"
  docker inspect -f '{"form":{{json (index .Config.Labels "towline.form")}},"image":{{json .Config.Image}},"certificates":{{json (index .Config.Labels "towline.certificates")}}}' towline-door 2>/dev/null ||
    echo null
  echo '}'
}

# refuse_taken NAME: a name is one target's, with or without https.
refuse_taken() {
  for kind in clear secure; do
    [ -e "$machine/$kind/$1" ] || continue
    owner=$(cat "$machine/$kind/$1") target=${owner##*/} app=${owner%/*}
    [ "$owner" = "$home" ] || fail "${app##*/} on $target has the name $1 on this machine" 'towline plan'
  done
}

# link PLACE NAME
link() { ln -sfn "$1" "$machine/to/.new" && mv -fT "$machine/to/.new" "$machine/to/$2"; }

# put KIND NAME: the link first, so that a name that is known leads somewhere.
put() {
  link "../$own_folder/now$tail" "$2" && printf '%s' "$home" >"$machine/.new" && mv -f "$machine/.new" "$machine/$1/$2" ||
    fail "the name $2 cannot be kept" 'df -h'
}

# Sets tail: a door of a form before lanes, until it is replaced, wants links to the sockets themselves.
look_for_older() {
  runs=$(door_label form) tail=
  [ "${runs:-2}" -ge 2 ] 2>/dev/null || tail=/door.sock
}

# drop KIND NAME
drop() {
  other=secure
  [ "$1" = clear ] || other=clear
  rm -f "$machine/$1/$2"
  [ -e "$machine/$other/$2" ] || rm -f "$machine/to/$2"
}

# claim CLEAR SECURE: lists of lines; all the names that the target has from now on. Names have no blanks in them.
claim() {
  at_the_door
  for name in $1 $2; do refuse_taken "$name"; done
  look_for_older
  for name in $2; do put secure "$name"; done
  for name in $1; do put clear "$name"; done
  for name in $(names secure); do printf '%s\n' "$2" | grep -qxF -- "$name" || drop secure "$name"; done
  for name in $(names clear); do printf '%s\n' "$1" | grep -qxF -- "$name" || drop clear "$name"; done
  sync "$machine/clear" "$machine/secure" "$machine/to"
  [ -n "$(ls "$machine/clear" "$machine/secure" | grep -v ':$')" ] || close_door
  echo 'it has these names'
}

# open_lane FOLDER: the name under which connections to the front door of this folder are kept, and no others: a file in
# it tells the name, and a link of that name leads back.
open_lane() {
  ! has_lane "$1" || return 0
  ln -sfn "../$1" "$machine/lanes/$lane" && : >"$machine/$1/$lane"
}
has_lane() {
  lane=$(printf '%s' "$1" | sha256sum | cut -b 1-20).lane
  [ -e "$machine/$1/$lane" ] && [ "$(readlink "$machine/lanes/$lane")" = "../$1" ]
}
# Those whose folder is gone.
clear_lanes() { [ ! -d "$machine/lanes" ] || find "$machine/lanes" -xtype l -delete; }

# leads_to REVISION: `now` is a link to the folder of the front door that has the requests.
leads_to() {
  [ "$(readlink "$machine/$own_folder/now")" = "$1" ] && [ -S "$machine/$own_folder/$1/door.sock" ] &&
    has_lane "$own_folder/$1" || exit 1
  echo 'they lead there'
}
led_to() {
  last=$(readlink "$machine/$own_folder/now")
  if [ -n "$last" ]; then printf '{"revision":"%s"}' "$last"; else printf '{"revision":null}'; fi
}
lead_to() {
  at_the_door
  waited=0
  until [ -S "$machine/$own_folder/$1/door.sock" ]; do
    [ "$waited" -lt 40 ] || fail "the front door $1 does not answer" 'towline logs caddy'
    waited=$((waited + 1))
    sleep 0.25
  done
  open_lane "$own_folder/$1" && ln -sfn "$1" "$machine/$own_folder/.new" && mv -fT "$machine/$own_folder/.new" "$machine/$own_folder/now" &&
    sync "$machine/$own_folder" "$machine/lanes" || fail 'the link of the front door cannot be written' 'df -h'
  clear_lanes
  echo 'they lead there'
}

# leave_door: the target has no name and no socket any more.
leave_door() {
  [ ! -d "$machine" ] || claim '' '' >/dev/null
  rm -rf "${machine:?}/$own_folder"
  clear_lanes
}
has_left() { [ -z "$(names clear)$(names secure)" ] && [ ! -e "$machine/$own_folder" ] || exit 1; }

door_label() { docker inspect -f "{{index .Config.Labels \"towline.$1\"}}" towline-door 2>/dev/null; }

# serves: whether the first process of the container towline-door itself listens at both ports.
serves() {
  pid=$(docker inspect -f '{{.State.Pid}}' towline-door 2>/dev/null)
  [ "${pid:-0}" -gt 0 ] || return 1
  readlink "/proc/$pid/fd"/* 2>/dev/null | sed -n 's/^socket:\[\(.*\)\]$/\1/p' >"$work/sockets"
  for port in 0050 01BB; do
    awk -v port=":$port" '$4 == "0A" && substr($2, length($2) - 4) == port { print $10 }' /proc/net/tcp /proc/net/tcp6 |
      grep -qxF -f "$work/sockets" || return 1
  done
}

# one_door: an earlier try may have left an older one beside the newer, or alone under the name it was put aside with.
one_door() {
  docker inspect towline-door-before >/dev/null 2>&1 || return 0
  if serves; then
    stop_older
  else
    docker rm -f towline-door >/dev/null 2>&1
    docker rename towline-door-before towline-door
  fi
}
stop_older() { docker stop -t "$grace" towline-door-before >/dev/null 2>&1 && docker rm towline-door-before >/dev/null; }

is_as_wanted() {
  [ "$(door_label form)" -ge "$form" ] 2>/dev/null && serves || return 1
  [ -n "$any" ] || [ "$(door_label certificates)" = "$certificates" ]
}
is_open() {
  ! docker inspect towline-door-before >/dev/null 2>&1 && is_as_wanted || exit 1
  echo 'it is open'
}

# open_door: beside an older one, which finishes its requests then. Both listen at the same ports meanwhile: that is what
# the network of the machine itself is for, and no connection is refused.
open_door() {
  at_the_door
  one_door
  if is_as_wanted; then
    echo 'it is open'
    return
  fi
  [ -z "$any" ] || certificates=$(door_label certificates | grep . || echo "$certificates")
  told=$machine/caddy-$form-$certificates.json
  printf '%s\n' "$config" | replace "$told" || fail 'the settings of the door cannot be written' 'df -h'
  if serves; then
    docker rename towline-door towline-door-before || fail 'the older door of this machine cannot be put aside' 'docker ps'
  else
    docker rm -f towline-door >/dev/null 2>&1
    refuse_holder
  fi
  made=$(door_container) || { printf '%s\n' "$made"; put_back; refused "$made"; }
  why=$(docker start towline-door 2>&1) || { printf '%s\n' "$why"; put_back; refused "$why"; }
  waited=0
  until serves; do
    [ "$waited" -lt 60 ] || door_failed
    waited=$((waited + 1))
    sleep 0.25
  done
  hand_over
  renew_links
  echo 'it is open'
}

# renew_links: those of a version before lanes, of all targets. Each works as it is until it is renewed.
renew_links() {
  for now in "$machine"/apps/*/*/now; do
    folder=${now%/now}
    folder=${folder#"$machine/"}/$(readlink "$now") && [ -d "$machine/$folder" ] && open_lane "$folder"
  done
  for file in "$machine"/to/*; do
    leads=$(readlink "$file") || continue
    [ "$leads" = "${leads%/door.sock}" ] || link "${leads%/door.sock}" "${file##*/}"
  done
}

# hand_over: connections that nobody has taken yet go to the newer one, where the kernel can do that (5.14 and later).
hand_over() {
  migrates=/proc/sys/net/ipv4/tcp_migrate_req
  before=$(cat "$migrates" 2>/dev/null)
  [ "$before" != 0 ] || echo 1 >"$migrates"
  stop_older
  [ "$before" != 0 ] || echo 0 >"$migrates"
}

# refuse_holder: another program at one of the ports would get some of the connections, or all.
refuse_holder() {
  for port in 80 443; do
    awk -v port="$(printf ':%04X' "$port")" '$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 } END { exit !found }' \
      /proc/net/tcp /proc/net/tcp6 || continue
    holder=$(ss -Hltnp "( sport = :$port )" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)".*/\1/p' | head -n 1)
    fail "port $port of this machine is held by ${holder:-another program}" 'ss -ltnp'
  done
}

door_container() {
  docker create --name towline-door --label towline.machine-door=yes --label "towline.form=$form" \
    --label "towline.certificates=$certificates" --network host --restart unless-stopped --stop-timeout "$grace" \
    --cap-drop ALL --cap-add NET_BIND_SERVICE --security-opt no-new-privileges --read-only --pids-limit 512 \
    --memory 256m --memory-swap 256m --log-driver json-file --log-opt max-size=10m --log-opt max-file=5 \
    --tmpfs /tmp --tmpfs /run --tmpfs /config --mount "type=bind,source=$machine,target=/door,readonly" \
    --mount "type=bind,source=$machine/data,target=/data" \
    "$image" caddy run --config "/door/${told##*/}" 2>&1
}

put_back() {
  docker rm -f towline-door >/dev/null 2>&1
  docker rename towline-door-before towline-door >/dev/null 2>&1
}

door_failed() {
  docker logs --tail 20 towline-door 2>&1
  put_back
  fail 'the door of this machine does not open' 'ss -ltnp'
}

close_door() {
  docker stop -t "${grace:-35}" towline-door >/dev/null 2>&1
  docker rm -f towline-door towline-door-before >/dev/null 2>&1
  rm -f "$machine"/caddy-*.json
}

# For whoever asks what is there.
look_at_door() {
  for file in "$machine"/clear/* "$machine"/secure/*; do
    [ -f "$file" ] || continue
    kind=${file%/*} owner=$(cat "$file")
    if [ "$owner" = "$home" ]; then
      echo "own ${kind##*/} ${file##*/}"
    else
      echo "taken ${kind##*/} ${file##*/} $owner"
    fi
  done
  ! last=$(readlink "$machine/$own_folder/now") || echo "leads $last"
  [ ! -d "$machine" ] || docker inspect -f '{{if .State.Running}}machine-door {{json .Config.Labels}}{{end}}' towline-door 2>/dev/null
}
