# The lock of a target: one JSON line, replaced under the guard; the fence only grows. Time is that of the machine, in
# hundredths of a second since its boot, so that no clock that is set wrong shortens or lengthens a lease.

# Sets ticks.
set_ticks() {
  read -r up _ </proc/uptime
  up_hundredths=1${up#*.}
  ticks=$((${up%.*} * 100 + up_hundredths - 100))
}

boot_now() { cat /proc/sys/kernel/random/boot_id; }

# Sets fence, ends, boot and owner (JSON, null for nobody).
read_lock() {
  fence=0 ends=0 boot='' owner=null
  [ -s "$home/lock" ] || return 0
  read -r held <"$home/lock"
  fence=${held#'{"fence":'} fence=${fence%%,*}
  ends=${held#*'"until":'} ends=${ends%%,*}
  boot=${held#*'"boot":"'} boot=${boot%%'"'*}
  owner=${held#*'"owner":'} owner=${owner%'}'}
}

write_lock() {
  printf '{"fence":%s,"until":%s,"boot":"%s","owner":%s}\n' "$1" "$2" "$3" "$4" | replace "$home/lock"
}

# permitted FENCE: false once somebody has taken over.
permitted() {
  read_lock
  [ "$fence" -le "$1" ]
}

# or_taken_over FENCE: say who it is, and end.
or_taken_over() {
  permitted "$1" || { printf '!fenced %s %s\n' "$fence" "$owner"; exit 0; }
}

# acquire OWNER HUNDREDTHS PATIENCE: a batch of somebody else ends at its next step, once the fence has grown; until
# then nothing that is read here would last.
acquire() {
  guarded || exit 74
  read_lock
  this=$(boot_now) left=0
  set_ticks
  [ "$boot" != "$this" ] || left=$((ends - ticks))
  if [ "$owner" != null ] && [ "$owner" != "$1" ] && [ "$left" -gt 0 ]; then
    printf '!held %s %s\n' "$left" "$owner"
    exit 0
  fi
  mine=$((fence + 1))
  write_lock "$mine" "$((ticks + $2))" "$this" "$1" || exit 74
  unguarded
  exec 9>>"$home/.batch"
  if flock -w "$3" 9; then
    echo "lease $mine"
  else
    give_back "$mine"
    echo '!busy'
    exit 0
  fi
}

# or_give_back STATUS: what was asked under a lock that was just taken did not go well; nobody is left who holds it.
or_give_back() {
  [ "$1" -eq 0 ] || { give_back "$mine"; exit "$1"; }
}

renew() {
  guarded || exit 74
  or_taken_over "$1"
  set_ticks
  write_lock "$1" "$((ticks + $2))" "$(boot_now)" "$3"
}

give_back() {
  [ -d "$home" ] || return 0
  guarded || exit 74
  read_lock
  [ "$fence" -ne "$1" ] || write_lock "$fence" 0 "$boot" null
}
