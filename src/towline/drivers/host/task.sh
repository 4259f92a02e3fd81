# A program that runs to its end, with a mark of what it was last done with.

has_run() {
  [ -n "$marker" ] && [ "$(cat "$home/tasks/$task" 2>/dev/null)" = "$marker" ] || exit 1
  [ -z "$output" ] || [ -d "$home/static/$kept" ] || exit 1
  echo 'done before, and nothing it depends on has changed'
}

# When a process began, in clock ticks: a pid is given away again.
born() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

# Two migrations at once would be worse than one that starts anew.
end_left_behind() {
  [ -s "$note" ] || return 0
  read -r pid began <"$note"
  if [ -n "$began" ] && [ "$(born "$pid")" = "$began" ]; then
    kill -s TERM -- "-$pid" 2>/dev/null
    for _ in 1 2 3 4 5 6 7 8 9 10; do
      kill -s 0 -- "-$pid" 2>/dev/null || break
      sleep 0.5
    done
    kill -s KILL -- "-$pid" 2>/dev/null
  fi
  rm -f "$note"
}

nothing_runs() {
  for note in "$home"/tasks/.*.pid; do [ ! -e "$note" ] || exit 1; done
  echo 'nothing runs'
}

end_all() {
  for note in "$home"/tasks/.*.pid; do end_left_behind; done
  echo ended
}

# Its status lies in a file, since time may run out: then there is none. `timeout` leads the group that the note names.
started() {
  set -- timeout -k 5 "$within" env -i PATH="$PATH" HOME="${HOME:-/root}" sh -c '
    trap "exit 124" TERM
    status=$1 env=$2
    shift 2
    [ -z "$env" ] || . "$env"
    "$@"
    echo "$?" >"$status"' sh "$work/status" "${env:+$home/stash/.env/$env}" "$@"
  "$@" </dev/null 2>&1 &
  echo "$! $(born "$!")" >"$note"
  wait "$!"
  [ -s "$work/status" ] || kill -s KILL -- "-$!" 2>/dev/null
}

run() {
  mkdir -p "$home/tasks" "$home/logs" && cd "$folder" || fail "$title cannot start: $folder is no folder"
  [ -z "$env" ] || [ -e "$home/stash/.env/$env" ] || fail "the environment of $title was never sent to this host"
  note=$home/tasks/.$task.pid
  end_left_behind
  rm -f "$work/status"
  started "$@" | masked | tee -a "$home/logs/$task.log" | tail -c 65536
  rm -f "$note"
  [ -s "$work/status" ] || fail "$title was not done within $within_shown" "towline logs $service"
  read -r status <"$work/status"
  [ "$status" -eq 0 ] || fail "$title ended with status $status" "towline logs $service"
  [ -z "$output" ] || keep_files
  [ -z "$marker" ] || { printf '%s\n' "$marker" >"$home/tasks/.$task.new" && sync "$home/tasks/.$task.new" &&
    mv -f "$home/tasks/.$task.new" "$home/tasks/$task" && sync "$home/tasks"; } || fail 'its mark cannot be kept'
  echo 'it ended with status 0'
}

# What was built appears under its name whole or not at all.
keep_files() {
  [ -d "$folder/$output" ] || fail "$title left no folder $output" "ls $folder"
  half=$home/static/${kept%/*}/.new
  rm -rf "$half" && mkdir -p "$half" && cp -RL "$folder/$output/." "$half" || fail 'what it built cannot be kept'
  rm -rf "$home/static/$kept" && mv "$half" "$home/static/$kept" || fail 'what it built cannot be kept'
}
