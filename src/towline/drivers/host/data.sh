# Whether what an image keeps is kept.

# keeps_data IMAGE TARGET ...: a volume of the app is where the image says that its data is.
keeps_data() {
  image=$1
  shift
  declared=$(docker image inspect -f '{{range $path, $_ := .Config.Volumes}}{{$path}} {{end}}' "$image" 2>/dev/null)
  [ -n "$declared" ] || return 0
  for path in $declared; do
    for target; do [ "$path" != "$target" ] || return 0; done
  done
  fail "the image $image keeps its data in ${declared% }, where no volume is: it would be gone with the container" "mount the volume there, in the Compose file"
}
