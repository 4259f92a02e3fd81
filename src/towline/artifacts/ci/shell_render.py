"""The shell programs that speak to Render's API: deploy and wait, go back, fetch a dump of a database."""

from __future__ import annotations

API = r"""
set -euo pipefail
shopt -s inherit_errexit
base="${RENDER_API:-https://api.render.com/v1}"
pause="${PAUSE:-10}"
deadline=$((SECONDS + ${WITHIN:-3600}))

api() { # METHOD PATH [JSON]; the key comes through a pipe: arguments can be seen by every process
  local arguments=(--silent --show-error --fail-with-body --max-time 60 --request "$1")
  if [ "$1" = GET ]; then arguments+=(--retry 5 --retry-connrefused); fi
  if [ $# -gt 2 ]; then arguments+=(--header 'Content-Type: application/json' --data "$3"); fi
  printf 'header = "Authorization: Bearer %s"\n' "$RENDER_API_KEY" | curl --config - "${arguments[@]}" "$base$2"
}

only() { # KIND NAME IDS
  if [ "$(wc -w <<< "$3")" -ne 1 ]; then
    echo "::error::Render has not exactly one $1 of the name $2: ${3:-none}" >&2
    return 1
  fi
  echo "$3"
}

wait_a_bit() { # WHAT
  if [ "$SECONDS" -ge "$deadline" ]; then
    echo "::error::$1: not done within ${WITHIN:-3600} s" >&2
    return 1
  fi
  sleep "$pause"
}
"""

DEPLOY = (
    API
    + r"""
service_id() { # NAME
  local found
  found=$(api GET "/services?name=$1&limit=20" | jq --raw-output '.[].service.id')
  only service "$1" "$found"
}

newest() { # SERVICE_ID
  api GET "/services/$1/deploys?limit=1" | jq --raw-output '.[0].deploy.id // ""'
}

earlier() { # SERVICE_ID: the deploy of this commit that was live before
  api GET "/services/$1/deploys?limit=100" | jq --raw-output --arg commit "$COMMIT" \
    '[.[].deploy | select(.commit.id == $commit and (.status == "live" or .status == "deactivated")) | .id][0] // ""'
}

body() { # SERVICE IMAGE_OF: what is to be deployed, a commit or an image
  if [ "$2" = - ]; then
    jq --null-input --compact-output --arg commit "$COMMIT" '{commitId: $commit}'
  else
    jq --compact-output --arg of "$2" '.images[$of] | if . then {imageUrl: .} else {} end' <<< "$RELEASE"
  fi
}

start() { # NAME IMAGE_OF: writes the id of the service and of its deploy
  local id before answer deploy=""
  id=$(service_id "$1")
  before=$(newest "$id")
  if [ "$BACK" = true ]; then deploy=$(earlier "$id"); fi
  if [ -n "$deploy" ]; then
    answer=$(api POST "/services/$id/rollback" "$(jq --null-input --arg id "$deploy" '{deployId: $id}')")
  else
    answer=$(api POST "/services/$id/deploys" "$(body "$1" "$2")")
  fi
  deploy=$(jq --raw-output '.id // ""' <<< "$answer")
  # An answer without a body: another deploy is still running, and this one waits behind it.
  while [ -z "$deploy" ]; do
    wait_a_bit "$1"
    deploy=$(newest "$id")
    if [ "$deploy" = "$before" ]; then deploy=""; fi
  done
  echo "$id $deploy"
}

finish() { # NAME SERVICE_ID DEPLOY_ID
  local status
  while true; do
    status=$(api GET "/services/$2/deploys/$3" | jq --raw-output .status)
    case "$status" in
      live)
        echo "| $1 | $3 | live |" >> "$GITHUB_STEP_SUMMARY"
        return 0 ;;
      build_failed | update_failed | pre_deploy_failed | canceled | deactivated)
        echo "| $1 | $3 | $status |" >> "$GITHUB_STEP_SUMMARY"
        echo "::error::$1: $status, and the version before it goes on running" >&2
        return 1 ;;
    esac
    wait_a_bit "$1 ($status)"
  done
}

deploy() { # lines of NAME IMAGE_OF, all at once
  local name image ids started=()
  while read -r name image; do
    if [ -z "$name" ]; then continue; fi
    ids=$(start "$name" "$image")
    started+=("$name $ids")
  done <<< "$1"
  for ids in "${started[@]}"; do
    # shellcheck disable=SC2086 # three words: name, service, deploy
    finish $ids
  done
}

printf '| service | deploy | end |\n|---|---|---|\n' >> "$GITHUB_STEP_SUMMARY"
if [ -n "$FIRST" ]; then deploy "$FIRST"; fi
if [ -n "$REST" ]; then deploy "$REST"; fi

# Where browsers find them, for the check that follows.
{
  echo "addresses<<END"
  while read -r name path; do
    if [ -z "$name" ]; then continue; fi
    id=$(service_id "$name")
    echo "$name $(api GET "/services/$id" | jq --raw-output .serviceDetails.url)$path"
  done <<< "$ASK"
  echo END
} >> "$GITHUB_OUTPUT"
"""
).lstrip()

EXPORT = (
    API
    + r"""
id=$(only database "$DATABASE" "$(api GET "/postgres?name=$DATABASE&limit=20" | jq --raw-output '.[].postgres.id')")
known=$(api GET "/postgres/$id/export" | jq --compact-output '[.[].id]')
api POST "/postgres/$id/export"
while true; do
  url=$(api GET "/postgres/$id/export" |
    jq --raw-output --argjson known "$known" '[.[] | select(.url and (.id | IN($known[]) | not)) | .url][0] // ""')
  if [ -n "$url" ]; then break; fi
  wait_a_bit "the export of $DATABASE"
done
echo "::add-mask::$url"
curl --silent --show-error --fail --location --retry 5 --output export.tar.gz "$url"
mkdir -p export
tar --extract --gzip --file export.tar.gz --directory export
# The archive holds one folder, made by `pg_dump --format=directory`.
toc=$(find export -name toc.dat -print -quit)
if [ -z "$toc" ]; then
  echo "::error::the export of $DATABASE holds no dump" >&2
  exit 1
fi
tar --create --file dump.tar --directory "$(dirname "$toc")" .
"""
).lstrip()
