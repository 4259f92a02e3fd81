# The journal, read and written from afar.

# new_of_journal KNOWN MOST: how long it is, and of what comes after its first KNOWN bytes at most MOST.
new_of_journal() {
  [ -e "$home/journal" ] || { echo 0; return; }
  size=$(($(wc -c <"$home/journal")))
  echo "$size"
  [ "$size" -le "$1" ] || tail -c "+$(($1 + 1))" "$home/journal" | head -c "$2"
}

# record FENCE SIZE: append the line on stdin, when all of it has come.
record() {
  new_line=$(cat)
  [ "${#new_line}" -eq "$2" ] || exit 74
  guarded || exit 74
  or_taken_over "$1"
  append "$new_line"
}
