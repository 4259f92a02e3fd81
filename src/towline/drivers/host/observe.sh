# What is there now: lines `WORD REST`, then a line `journal`, then what is new of the journal.

salt() {
  if [ ! -s "$home/salt" ]; then
    guarded || exit 74
    [ -s "$home/salt" ] || head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' | replace "$home/salt" || exit 74
    unguarded
  fi
  echo "salt $(cat "$home/salt")"
}

# What an engine runs of the target, and where its front door sends requests. A silent engine is no empty one.
containers() {
  command -v docker >/dev/null 2>&1 || return 0
  # Before them: one that has finished by the time it is looked at is still known as one that leaves.
  show_leaving
  of="label=towline.home=$home"
  ids=$(timeout 10 docker ps -aq --no-trunc --filter "$of") || { echo 'Docker does not answer' >&2; exit 75; }
  [ -z "$ids" ] || docker inspect -f 'container {"id":{{json .ID}},"labels":{{json .Config.Labels}},"status":{{json .State.Status}},"health":{{if .State.Health}}{{json .State.Health.Status}}{{else}}null{{end}}}' $ids
  images=$(docker image ls -q --no-trunc | sort -u)
  [ -z "$images" ] || docker image inspect -f 'image {"id":{{json .ID}},"names":{{json .RepoTags}},"digests":{{json .RepoDigests}},"labels":{{if .Config}}{{json .Config.Labels}}{{else}}null{{end}},"size":{{.Size}}}' $images 2>/dev/null
  volumes=$(docker volume ls -q --filter "$of")
  [ -z "$volumes" ] || docker volume inspect -f 'volume {{json .Labels}}' $volumes
  for file in "$home"/ready/*; do
    [ ! -f "$file" ] || echo "ready ${file##*/}"
  done
  for file in "$home"/door/*.[0-9]*; do
    [ ! -f "$file" ] || { name=${file##*/}; echo "slot ${name%.*} $(cat "$file")"; }
  done
}

observe() {
  salt
  echo "machine $(uname -m)"
  echo "disk $(($(df -P -B 1 "$home" | awk 'END { print $4 }')))"
  awk '$1 == "MemAvailable:" { print "memory " $2 }' /proc/meminfo
  awk '$4 == "0A" { print "listens " $2 }' /proc/net/tcp /proc/net/tcp6 2>/dev/null
  for mark in "$home"/tasks/*; do
    [ ! -f "$mark" ] || echo "task $(cat "$mark")"
  done
  for content in "$home"/stash/*; do
    [ ! -f "$content" ] || echo "stashed ${content##*/}"
  done
}
