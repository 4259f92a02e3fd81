# An image that this host builds itself, with less right to its processors than what serves. `images.sh` comes before.

# build NAME PART ENV MEMORY SECONDS ARGUMENTS ...
build() {
  name=$1 sent=$home/incoming/$2 env=$3 memory=$4 within=$5 folder=$home/incoming/.context
  shift 5
  [ -s "$sent" ] || fail "what $name is built from was never sent to this host" 'towline deploy TARGET'
  rm -rf "$folder"
  mkdir -p "$folder" && tar -xzf "$sent" -C "$folder" && mkdir -p "$folder/context" || fail 'there is no room for it' 'df -h'
  names=
  [ -z "$env" ] || names=$(sed -n 's/^export \([A-Za-z_][A-Za-z0-9_]*\)=.*/--build-arg \1/p' "$home/stash/.env/$env")
  # BuildKit's command takes no limits; the builder inside the engine does.
  if docker buildx version >/dev/null 2>&1; then how='buildx build --load'; else
    how="build --memory $memory --memory-swap $memory --cpu-shares 128"
    export DOCKER_BUILDKIT=0
  fi
  # The arguments may be called as anything here is: they come last, when the words of the command are made.
  # shellcheck disable=SC2086  # words, split on purpose
  set -- "$(command -v nice)" -n 10 "$(command -v timeout)" "$within" "$engine" -H unix:///var/run/docker.sock \
    $how --tag "$name" --file "$folder/Dockerfile" "$@" $names "$folder/context"
  if (
    [ -z "$env" ] || . "$home/stash/.env/$env"
    exec "$@"
  ) >"$work/build" 2>&1 </dev/null; then
    rm -rf "$folder"
    echo "built $name"
  else
    rm -rf "$folder"
    masked <"$work/build" | tail -n 20
    fail "the build of $name failed on this host" 'docker build, in the folder of the service'
  fi
}
