# Copies that finish by themselves. Each has a mark leaving/CONTAINER with a line `PID BORN UNTIL`, and a name of its own:
# so a new copy may have the old one's name at once.

# When a process began, in clock ticks: a pid is given away again.
born() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

# Lines `CONTAINER UNTIL`, of those whose farewell is at work.
leaving() {
  for mark in "$home"/leaving/*; do
    [ -s "$mark" ] && read -r pid began until <"$mark" || continue
    [ -z "$began" ] || [ "$(born "$pid")" != "$began" ] || echo "${mark##*/} $until"
  done
}

show_leaving() { leaving | sed 's/^/leaving /'; }
