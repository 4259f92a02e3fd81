# The end of a target on this host.

# A host may be without an engine: then there is nothing to remove.
nothing_left() {
  ! command -v docker >/dev/null 2>&1 || [ -z "$(docker ps -aq --filter "label=towline.home=$home")" ] || exit 1
}

remove_all() {
  command -v docker >/dev/null 2>&1 || return 0
  for id in $(docker ps -aq --filter "label=towline.home=$home"); do docker rm -f "$id" >/dev/null; done
  for network in $(docker network ls -q --filter "label=towline.home=$home"); do
    # A container that somebody else removes just now is in it for a moment longer.
    tries=0
    until docker network rm "$network" >/dev/null 2>"$work/why" || ! docker network inspect "$network" >/dev/null 2>&1; do
      if [ "$tries" -ge 40 ]; then
        cat "$work/why"
        docker ps -a --filter "network=$network" --format '{{.Names}} {{.Status}}'
        fail 'a network of the app is still in use' "docker network inspect $network"
      fi
      [ "$tries" -ne 8 ] || let_go "$network"
      tries=$((tries + 1))
      sleep 0.25
    done
  done
  rm -rf "$home/door" "$home/caddy" "$home/ready"
}

# let_go NETWORK: an engine that was restarted may count containers that are gone, under the names that they began with.
let_go() {
  [ "$(docker network inspect -f '{{len .Containers}}' "$1" 2>/dev/null)" = 0 ] || return 0
  for name in $(grep -o '"container":{"name":"[^"]*"' "$home/journal" | cut -d '"' -f 6 | sort -u); do
    docker network disconnect -f "$1" "$name" >/dev/null 2>&1
  done
}

# purge STORE VOLUME ...: with an empty name all stores. What a task wrote is gone with them, so each is due again.
purge() {
  store=$1
  shift
  for volume in $(docker volume ls -q --filter "label=towline.home=$home" ${store:+--filter "label=towline.store=$store"}) "$@"; do
    docker volume inspect "$volume" >/dev/null 2>&1 || continue
    docker volume rm "$volume" >/dev/null || fail "the volume $volume is still in use" 'docker ps -a'
  done
  rm -f "$home"/tasks/*
  echo 'deleted'
}
