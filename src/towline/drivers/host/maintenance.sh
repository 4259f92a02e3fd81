# The maintenance page of a front door: a file beside its slots, which it looks for at each request from outside.

page=$home/door/maintenance

is_open() {
  [ ! -e "$page" ] || exit 1
  echo 'requests go through'
}

reopen() {
  rm -f "$page" || fail 'the maintenance page cannot be taken away' 'df -h'
  sync "$home/door"
  echo 'requests go through'
}

# shows_page DIGEST SECONDS
shows_page() {
  cmp -s "$home/stash/$1" "$page" && [ "$(cat "$page.retry" 2>/dev/null)" = "$2" ] || exit 1
  echo 'the page is shown'
}

# for_caddy FILE: what stdin holds, readable by the front door, wholly or not at all.
for_caddy() { cat >"$home/door/.new" && chmod 644 "$home/door/.new" && mv -f "$home/door/.new" "$1"; }

# show_page DIGEST SECONDS: the page comes last, as it is what the front door looks for.
show_page() {
  grep -qs /maintenance "$home/caddy/$(readlink "${home%/*/*}/.door/apps${home#"${home%/*/*}"}/now")/caddy.json" ||
    fail 'the front door that runs knows of no maintenance yet: it was deployed by an earlier version' 'towline deploy TARGET'
  [ -e "$home/stash/$1" ] || fail 'the page was never sent to this host' 'towline maintenance on TARGET'
  printf '%s' "$2" | for_caddy "$page.retry" && for_caddy "$page" <"$home/stash/$1" || fail 'the page cannot be written' 'df -h'
  sync "$home/door"
  echo 'the page is shown'
}
