# Contents under their digests, each with its words to be masked, and of an environment what a shell reads.

# missing FENCE DIGEST ...: those that are not here.
missing() {
  or_taken_over "$1"
  shift
  for digest; do [ -e "$home/stash/$digest" ] || echo "$digest"; done
}

stash_under() {
  guarded || exit 74
  or_taken_over "$1"
  mkdir -p "$home/stash/.content" "$home/stash/.words" "$home/stash/.env" || exit 74
}

# part KIND DIGEST SIZE: the next SIZE bytes of stdin.
part() { keep "$home/stash/.$1/$2" "$3" || exit 74; }

# stashed DIGEST ...: a content appears when all that belongs to it is there.
stashed() {
  sync "$home/stash/.words" "$home/stash/.env" || exit 74
  for digest; do mv -f "$home/stash/.content/$digest" "$home/stash/$digest" || exit 74; done
  sync "$home/stash"
}
