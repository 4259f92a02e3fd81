# The end of what is kept of a target.

# forget FENCE STORE ...: volumes stay, they are no files of ours; backups stay but of these stores, whose data has gone.
# Whoever gives back the lock finds that there is none.
forget() {
  [ -d "$home" ] || return 0
  guarded || exit 74
  or_taken_over "$1"
  shift
  for store; do rm -f "$home/backups"/*."$store".* || exit 74; done
  find "$home" -mindepth 1 -maxdepth 1 ! -name backups -exec rm -rf {} + || exit 74
  rmdir "$home/backups" "$home" "${home%/*}" 2>/dev/null || :
}
