"""The shell programs that reach a server over SSH: send the files, bring a release up or take it back, run, dump."""

from __future__ import annotations

REACH = r"""
set -euo pipefail
shopt -s inherit_errexit
umask 077
keys="$RUNNER_TEMP/ssh"
mkdir -p "$keys"
printf '%s\n' "$SSH_KEY" > "$keys/key"
printf '%s\n' "$SSH_KNOWN_HOSTS" > "$keys/known_hosts"

registry="ghcr.io/${OWNER,,}"

on_server() { # COMMAND
  ssh -i "$keys/key" -o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes \
    -o UserKnownHostsFile="$keys/known_hosts" -o ConnectTimeout=20 -o ServerAliveInterval=15 \
    "ssh://$SSH_ADDRESS" "$@"
}
"""

SEND = (
    REACH
    + r"""
# The release by its digests: a tag could have been moved since it was scanned.
umask 022
mkdir -p release
jq --arg here "$HERE" --arg migrates "$MIGRATES" '($here | split(" ")) as $names |
  (.images | with_entries(select(.key | IN($names[])))) as $images |
  ($images + (if $images[$migrates] then {release: $images[$migrates]} else {} end)) |
  {services: map_values({image: .})}' <<< "$RELEASE" > release/images.next.json
for file in $FILES; do cp "$FOLDER/$file" release/; done
tar --create --directory release . | on_server "mkdir -p '$PLACE' && tar --extract --no-same-owner --directory '$PLACE'"
printf '%s' "$GITHUB_TOKEN" | on_server "docker login ghcr.io --username '$ACTOR' --password-stdin"
on_server "cd '$PLACE' && export REGISTRY='$registry' VERSION='$COMMIT' &&
  docker compose --file '$COMPOSE' --file images.next.json pull --quiet"
"""
).lstrip()

UP = (
    REACH
    + r"""
status=0
on_server "export PLACE='$PLACE' COMPOSE='$COMPOSE' REGISTRY='$registry' VERSION='$COMMIT' &&
  PATIENCE='$PATIENCE' SERVICES='$SERVICES' bash -s" << 'REMOTE' || status=$?
set -euo pipefail
cd "$PLACE"
up() { # IMAGES
  # Only what goes on running is waited for: a service that has done its work has ended, and that is right.
  # shellcheck disable=SC2086 # a list of names
  docker compose --file "$COMPOSE" --file "$1" up --detach --remove-orphans &&
    docker compose --file "$COMPOSE" --file "$1" up --detach --no-recreate --no-deps --wait \
      --wait-timeout "$PATIENCE" $SERVICES
}
if up images.next.json; then
  if [ -f images.json ]; then mv images.json images.previous.json; fi
  mv images.next.json images.json
  # What is typed here by hand from now on means this release too.
  touch .env
  sed -i '/^REGISTRY=/d; /^VERSION=/d' .env
  printf 'REGISTRY=%s\nVERSION=%s\n' "$REGISTRY" "$VERSION" >> .env
  exit 0
fi
docker compose --file "$COMPOSE" --file images.next.json logs --tail 40 || true
if [ -f images.json ]; then
  echo "going back to the release before"
  up images.json
fi
exit 1
REMOTE
on_server "docker logout ghcr.io" > /dev/null
if [ "$status" -ne 0 ]; then
  echo "::error::the new release did not become healthy, and the one before it runs" >&2
  exit 1
fi
"""
).lstrip()

RUN = (
    REACH
    + r"""
status=0
on_server "cd '$PLACE' && export REGISTRY='$registry' VERSION='$COMMIT' &&
  docker compose --file '$COMPOSE' --file images.next.json run --rm -T release" \
  < /dev/null 2>&1 | tee migration.log || status=$?
{ echo '```'; tail --lines 100 migration.log; echo '```'; } >> "$GITHUB_STEP_SUMMARY"
if [ "$status" -ne 0 ]; then
  echo "::error::the migration failed; nothing was deployed, and the version before goes on running" >&2
  exit "$status"
fi
"""
).lstrip()

DUMP = (
    REACH
    + r"""
if ! on_server "[ -f '$PLACE/images.json' ]"; then
  echo "nothing runs there yet, and there is nothing to keep"
  echo "none=true" >> "$GITHUB_OUTPUT"
  exit 0
fi
# Within the container: nothing of the database is open to the outside.
on_server "cd '$PLACE' && export REGISTRY='$registry' VERSION=any &&
  docker compose --file '$COMPOSE' exec -T '$SERVICE' \
  pg_dump --username '$ROLE' --dbname '$NAME' --format=custom --no-owner --no-privileges" > dump
"""
).lstrip()
