"""The shell programs of every target: name images, find a release, look at addresses, tell people, try a dump."""

from __future__ import annotations

NAME_IMAGE = r"""
set -euo pipefail
shopt -s inherit_errexit
# Names of images are written small, and names of owners may not be.
echo "image=ghcr.io/${OWNER,,}/$NAME" >> "$GITHUB_OUTPUT"
"""

KEEP_DIGEST = r"""
set -euo pipefail
shopt -s inherit_errexit
mkdir -p digests
jq --null-input --arg service "$SERVICE" --arg image "$IMAGE@$DIGEST" '{($service): $image}' > "digests/$SERVICE.json"
echo "$SERVICE: \`$IMAGE@$DIGEST\`" >> "$GITHUB_STEP_SUMMARY"
"""

RELEASE = r"""
set -euo pipefail
shopt -s inherit_errexit
mkdir -p digests
find digests -name '*.json' -exec cat {} + |
  jq --slurp --compact-output --arg commit "$COMMIT" '{commit: $commit, images: (add // {})}' > release.json
echo "release=$(cat release.json)" >> "$GITHUB_OUTPUT"
"""

WHICH = r"""
set -euo pipefail
shopt -s inherit_errexit
runs() { # FILTER
  printf 'header = "Authorization: Bearer %s"\n' "$GITHUB_TOKEN" |
    curl --config - --silent --show-error --fail --retry 5 \
      "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/actions/workflows/$WORKFLOW/runs?status=success&per_page=100$1"
}
back=false
if [ -n "$BUILT" ]; then
  build="$BUILT"
elif [ -n "$ASKED" ]; then
  if [[ ! "$ASKED" =~ ^[0-9a-f]{7,40}$ ]]; then
    echo "::error::$ASKED is no commit: give at least 7 of its letters" >&2
    exit 1
  fi
  build=$(runs "" | jq --raw-output --arg asked "$ASKED" \
    '[.workflow_runs[] | select(.head_sha | startswith($asked)) | .id][0] // ""')
  back=true
else
  build=$(runs "&branch=main" | jq --raw-output '.workflow_runs[0].id // ""')
fi
if [ -z "$build" ]; then
  echo "::error::no successful build of ${ASKED:-main} is known" >&2
  exit 1
fi
{ echo "build=$build"; echo "back=$back"; } >> "$GITHUB_OUTPUT"
"""

READ_RELEASE = r"""
set -euo pipefail
shopt -s inherit_errexit
{
  echo "release=$(jq --compact-output . release.json)"
  echo "commit=$(jq --raw-output .commit release.json)"
} >> "$GITHUB_OUTPUT"
"""

LOOK = r"""
set -euo pipefail
shopt -s inherit_errexit
deadline=$((SECONDS + ${WITHIN:-300}))
failed=0
printf '| service | address | answer |\n|---|---|---|\n' >> "$GITHUB_STEP_SUMMARY"
while read -r name address; do
  if [ -z "$name" ]; then continue; fi
  if [[ "$address" != http* ]]; then
    echo "::error::$name has no address: give it a domain in towline.yaml, or set its variable" >&2
    failed=1
    continue
  fi
  while true; do
    status=$(curl --silent --location --output /dev/null --max-time 10 --write-out '%{http_code}' "$address" || true)
    if [[ "$status" == 2?? ]]; then break; fi
    if [ "$SECONDS" -ge "$deadline" ]; then
      echo "::error::$address answers $status, not 2xx" >&2
      failed=1
      break
    fi
    sleep "${PAUSE:-5}"
  done
  echo "| $name | $address | $status |" >> "$GITHUB_STEP_SUMMARY"
done <<< "$ADDRESSES"
exit "$failed"
"""

TELL = r"""
set -euo pipefail
shopt -s inherit_errexit
if [ -z "$NOTIFY_WEBHOOK" ]; then
  echo "::warning::nobody is told: set the secret NOTIFY_WEBHOOK to the address of a webhook (Slack, Discord)"
  exit 0
fi
text="$SUBJECT: $VERDICT. $WHERE
$GITHUB_SERVER_URL/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID"
# Slack reads `text`, Discord reads `content`. The address is a secret, so that it comes through a pipe.
jq --null-input --arg text "$text" '{text: $text, content: $text}' > message.json
printf 'url = "%s"\n' "$NOTIFY_WEBHOOK" |
  curl --config - --silent --show-error --fail --retry 3 --max-time 30 --output /dev/null \
    --header 'Content-Type: application/json' --data @message.json
"""

POSTGRES = r"""
set -euo pipefail
shopt -s inherit_errexit
export PGPASSWORD="${TRY_PASSWORD:-}"
# The programs of the database's own major version: an older pg_dump refuses a newer server.
postgres() { docker run --rm --interactive --network host --env PGPASSWORD "postgres:$MAJOR" "$@"; }
"""

DUMP_ADDRESS = (
    POSTGRES
    + r"""
if [ -z "$DATABASE_URL" ]; then
  echo "::error::the secret $SECRET is not set: the address of $DATABASE, not that of its pool" >&2
  exit 1
fi
echo "::add-mask::$DATABASE_URL"
# By the environment and not by arguments, where every process could read it.
docker run --rm --network host --env DATABASE_URL "postgres:$MAJOR" \
  sh -c 'exec pg_dump --dbname "$DATABASE_URL" --format=custom --no-owner --no-privileges' > dump
"""
).lstrip()

RESTORE = (
    POSTGRES
    + r"""
try=(--host localhost --port "${TRY_PORT:-5432}" --username postgres)
if [ -f dump.tar ]; then
  # shellcheck disable=SC2016 # the shell in the container expands it
  postgres sh -c 'folder=$(mktemp --directory) && tar --extract --file - --directory "$folder" &&
    exec pg_restore "$@" --format=directory "$folder"' - \
    "${try[@]}" --dbname postgres --no-owner --no-privileges --exit-on-error < dump.tar
else
  postgres pg_restore "${try[@]}" --dbname postgres --no-owner --no-privileges --exit-on-error < dump
fi
"""
).lstrip()

_COUNT = "select count(*) from pg_catalog.pg_tables where schemaname not in ('pg_catalog', 'information_schema')"

TRY_DUMP = (
    RESTORE
    + f'count="{_COUNT}"\n'
    + r"""
tables=$(postgres psql "${try[@]}" --dbname postgres --no-align --tuples-only --command "$count" < /dev/null)
if [ "$tables" -eq 0 ] && [ "${EMPTY:-}" != allowed ]; then
  echo "::error::the dump restores to no table at all" >&2
  exit 1
fi
postgres psql "${try[@]}" --dbname postgres --no-align --tuples-only --command analyze < /dev/null
echo "The dump of $DATABASE was restored to an empty server: $tables tables." >> "$GITHUB_STEP_SUMMARY"
"""
)

SEAL = r"""
set -euo pipefail
shopt -s inherit_errexit
if [ -z "$BACKUP_PASSPHRASE" ]; then
  echo "::error::the secret BACKUP_PASSPHRASE is not set; make one with: openssl rand -hex 32" >&2
  exit 1
fi
file=dump
if [ -f dump.tar ]; then file=dump.tar; fi
gpg --batch --yes --quiet --pinentry-mode loopback --passphrase-fd 3 --symmetric --cipher-algo AES256 \
  --output "$DATABASE.$file.gpg" "$file" 3<<< "$BACKUP_PASSPHRASE"
sha256sum "$DATABASE.$file.gpg" >> "$GITHUB_STEP_SUMMARY"
rm -rf dump dump.tar export export.tar.gz
# Seven daily ones, four weekly ones, three monthly ones: each is kept as long as the day says.
today="${TODAY:-$(date --utc +%F)}"
days=7
if [ "$(date --utc --date "$today" +%u)" = 7 ]; then days=28; fi
if [ "$(date --utc --date "$today" +%d)" = 01 ]; then days=90; fi
echo "days=$days" >> "$GITHUB_OUTPUT"
"""

UNSEAL = r"""
set -euo pipefail
shopt -s inherit_errexit
for sealed in "$DATABASE".dump*.gpg; do
  file="${sealed#"$DATABASE".}"
  gpg --batch --yes --quiet --pinentry-mode loopback --passphrase-fd 3 --decrypt \
    --output "${file%.gpg}" "$sealed" 3<<< "$BACKUP_PASSPHRASE"
done
"""

REHEARSE_IMAGE = r"""
set -euo pipefail
shopt -s inherit_errexit
image=$(jq --raw-output --arg of "$IMAGE_OF" '.images[$of] // ""' <<< "$RELEASE")
image="${image:-$IMAGE}"
# Names only: docker takes the values from this step's own environment.
status=0
flags=()
for name in $VARIABLES; do flags+=(--env "$name"); done
docker run --rm --network host "${flags[@]}" --entrypoint /bin/sh "$image" -c "$LINE" 2>&1 | tee rehearsal.log ||
  status=$?
{ echo "On a copy, restored from the backup:"; echo '```'; tail --lines 100 rehearsal.log; echo '```'; } \
  >> "$GITHUB_STEP_SUMMARY"
exit "$status"
"""
