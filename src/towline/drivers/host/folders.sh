# Folders of the project that containers mount, each under the digits of what is in it. It never changes once it is there.

# is_placed DIGITS
is_placed() {
  [ -d "$home/folders/$1" ] || exit 1
  echo 'it is there'
}

# place_folder DIGITS: of what was sent; it appears under its name whole or not at all, also after a loss of power.
place_folder() {
  sent=$home/incoming/$1 half=$home/folders/.$1
  [ -s "$sent" ] || fail 'these files were never sent to this host' 'towline deploy TARGET (they are sent anew)'
  rm -rf "$half"
  mkdir -p "$half" && tar -xzpf "$sent" -C "$half" --no-same-owner && chmod 555 "$half" && sync -f "$half" &&
    mv "$half" "$home/folders/$1" && sync "$home/folders" || fail 'there is no room for them' 'df -h'
  echo "$(find "$home/folders/$1" -type f | wc -l) files"
}
