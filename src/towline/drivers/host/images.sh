# Images of this host: made of what was sent, fetched, and cleared away. `docker.sh` comes before.

# is_made NAME LAYERS: the image with exactly these layers is here. Layers as JSON.
is_made() { [ "$(docker image inspect -f '{{json .RootFS.Layers}}' "$1" 2>/dev/null)" = "$2" ]; }
made_before() {
  is_made "$1" "$2" || exit 1
  echo 'it is there'
}

in_containerd() { docker info -f '{{.DriverStatus}}' 2>/dev/null | grep -q 'io.containerd.snapshotter'; }

# completed FOLDER LAYER ...: an image store that takes whole images only is given the layers that it has itself.
completed() {
  folder=$1
  shift
  for id in $(docker image ls -q --no-trunc | sort -u); do
    lacks=
    for layer; do [ -e "$folder/${layer#sha256:}" ] || lacks="$lacks $layer"; done
    [ -n "$lacks" ] || return 0
    has=$(docker image inspect -f '{{range .RootFS.Layers}}{{.}} {{end}}' "$id" 2>/dev/null) || continue
    useful=
    for layer in $lacks; do case " $has" in *" $layer "*) useful=1 ;; esac; done
    [ -n "$useful" ] || continue
    docker save -o "$folder/.saved" "$id" || continue
    members=$(tar -xOf "$folder/.saved" manifest.json | tr -d '\n' | sed 's/.*"Layers": *\[\([^]]*\)\].*/\1/; s/[",]/ /g')
    take_out "$has" "$members"
    rm -f "$folder/.saved"
  done
}

# take_out LAYERS MEMBERS: of the saved image those that are lacked; both lists are in the same order.
take_out() {
  # shellcheck disable=SC2086  # words, split on purpose
  set -- $1 -- $2
  count=0
  for word; do [ "$word" != -- ] || break; count=$((count + 1)); done
  place=0
  for layer; do
    [ "$layer" != -- ] || break
    place=$((place + 1))
    case " $lacks " in *" $layer "*) ;; *) continue ;; esac
    eval "member=\${$((count + 1 + place))}"
    tar -xOf "$folder/.saved" "$member" >"$folder/${layer#sha256:}.new" && mv "$folder/${layer#sha256:}.new" "$folder/${layer#sha256:}"
  done
}

# load NAME CONTENT LAYERS LAYER ...: an archive of the parts that were sent; layers that are here need not be in it.
load() {
  name=$1 config=$home/incoming/$2.json layers=$3 folder=$home/incoming/.load
  shift 3
  [ -s "$config" ] || fail "the parts of $name were never sent to this host" 'towline deploy TARGET'
  rm -rf "$folder"
  mkdir -p "$folder" && ln "$config" "$folder/config.json" || fail 'there is no room for the image' 'df -h'
  list=
  for layer; do
    list="$list${list:+,}\"${layer#sha256:}\""
    [ ! -e "$home/incoming/${layer#sha256:}" ] || ln "$home/incoming/${layer#sha256:}" "$folder/${layer#sha256:}"
  done
  printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":[%s]}]' "$name" "$list" >"$folder/manifest.json"
  if in_containerd; then completed "$folder" "$@"; fi
  # shellcheck disable=SC2046  # names of files, split on purpose
  said=$(tar -C "$folder" -cf - $(ls "$folder") | docker load 2>&1) || { printf '%s\n' "$said"; not_loaded "$name"; }
  rm -rf "$folder"
  is_made "$name" "$layers" || { printf '%s\n' "$said"; not_loaded "$name"; }
  echo "image $(docker image inspect -f '{{.Id}}' "$name" | cut -c 8-19)"
}
not_loaded() {
  rm -rf "$home/incoming"
  fail "the engine did not take the image $1" 'towline deploy TARGET (it is sent anew)'
}

# has_image NAME
has_image() {
  docker image inspect -f '{{.Id}}' "$1" >/dev/null 2>&1 || exit 1
  echo 'it is there'
}

# fetch NAME SECONDS
fetch() {
  said=$(timeout "$2" "$engine" -H unix:///var/run/docker.sock pull -q "$1" 2>&1) || {
    printf '%s\n' "$said"
    fail "$1 could not be fetched: $(printf '%s\n' "$said" | last_line)" "docker pull $1, on the host"
  }
  case ${1##*/} in *:*@*) docker tag "$1" "${1%@*}" || fail "$1 cannot be given its name" ;; esac
  echo 'fetched'
}

# needed_by_others IMAGE: whether another target on this machine keeps it for its releases.
needed_by_others() {
  for list in "${home%/*/*}"/*/*/images; do
    [ "$list" = "$home/images" ] || [ ! -f "$list" ] || ! grep -qxF -e "$1" "$list" || return 0
  done
  return 1
}

# forget_last_words IMAGE: of the target's own containers those that have ended, and ran exactly that image.
forget_last_words() {
  id=$(docker image inspect -f '{{.ID}}' "$1" 2>/dev/null) || return 0
  for ended in $(docker ps -aq --filter "label=towline.home=$home" --filter status=exited); do
    [ "$(docker inspect -f '{{.Image}}' "$ended")" != "$id" ] || docker rm "$ended" >/dev/null
  done
}

# clear_images KEPT GONE: lists, one a line. An image that a container has is refused by the engine, and stays.
clear_images() {
  printf '%s\n' "$1" | replace "$home/images" || return 0
  printf '%s\n' "$2" | while read -r image; do
    [ -n "$image" ] && ! needed_by_others "$image" || continue
    forget_last_words "$image"
    docker image rm "$image" >/dev/null 2>&1 && echo "$image"
  done
}

# clear_contents KEPT: contents that no kept release has, each with its words and its environment.
clear_contents() {
  for file in "$home"/stash/*; do
    digest=${file##*/}
    [ -f "$file" ] && ! printf '%s\n' "$1" | grep -qxF -e "$digest" || continue
    rm -f "$file" "$home/stash/.env/$digest" "$home/stash/.words/$digest" "$home/stash/.content/$digest" \
      "$home/files/$digest" && echo "$digest"
  done
  rm -rf "$home"/folders/.[0-9a-f]*
  for folder in "$home"/folders/*; do
    [ -d "$folder" ] && ! printf '%s\n' "$1" | grep -qxF -e "folders/${folder##*/}" || continue
    rm -rf "$folder" && echo "$folder"
  done
}

# shorten: of each log the end.
shorten() {
  for log in "$home"/logs/*.log; do
    [ -f "$log" ] && [ "$(stat -c %s "$log")" -gt 1048576 ] || continue
    tail -c 524288 "$log" >"$log.new" && mv -f "$log.new" "$log"
  done
}

# clear_away IMAGES CONTENTS GONE: whatever cannot be removed now is tried again by the next release.
clear_away() {
  images=$(clear_images "$1" "$3" | wc -l)
  contents=$(clear_contents "$2" | wc -l)
  shorten
  rm -rf "$home/incoming"
  echo "removed $((images)) images and $((contents)) environments"
}
