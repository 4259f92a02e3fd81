"""The shell programs that deploy through a panel on one's own server: set each image, trigger, wait."""

from __future__ import annotations

_HEAD = r"""
set -euo pipefail
shopt -s inherit_errexit
pause="${PAUSE:-10}"
deadline=$((SECONDS + ${WITHIN:-1800}))

wait_a_bit() { # WHAT
  if [ "$SECONDS" -ge "$deadline" ]; then
    echo "::error::$1 after ${WITHIN:-1800} s" >&2
    return 1
  fi
  sleep "$pause"
}

image_of() { # SERVICE
  jq --raw-output --arg of "$1" '.images[$of] // ""' <<< "$RELEASE"
}
"""

_TAIL = r"""
started=()
while read -r name application; do
  if [ -z "$name" ]; then continue; fi
  if [ -z "$application" ]; then
    echo "::error::which application $name is in the panel is not known: set its variable" >&2
    exit 1
  fi
  deployment=$(start "$name" "$application")
  if [ -z "$deployment" ]; then
    echo "::error::the panel started no deployment of $name" >&2
    exit 1
  fi
  started+=("$name $application $deployment")
done <<< "$APPLICATIONS"

printf '| service | deployment | end |\n|---|---|---|\n' >> "$GITHUB_STEP_SUMMARY"
for one in "${started[@]}"; do
  read -r name application deployment <<< "$one"
  while true; do
    status=$(status_of "$application" "$deployment")
    case "$status" in
      finished | done) break ;;
      failed | error | cancelled | cancelled-by-user)
        echo "::error::$name: $status, and the version before it goes on running" >&2
        exit 1 ;;
    esac
    wait_a_bit "$name: $status"
  done
  echo "| $name | $deployment | $status |" >> "$GITHUB_STEP_SUMMARY"
done
"""

COOLIFY = (
    _HEAD
    + r"""
api() { # METHOD PATH [JSON]; the token comes through a pipe: arguments can be seen by every process
  local arguments=(--silent --show-error --fail-with-body --max-time 60 --request "$1")
  if [ $# -gt 2 ]; then arguments+=(--header 'Content-Type: application/json' --data "$3"); fi
  printf 'header = "Authorization: Bearer %s"\n' "$COOLIFY_TOKEN" |
    curl --config - "${arguments[@]}" "${COOLIFY_URL%/}/api/v1$2"
}

start() { # SERVICE APPLICATION: writes the number of the deployment
  local image
  image=$(image_of "$1")
  if [ -n "$image" ]; then
    # An application takes a tag and no digest: the one that only this commit's image of this target has.
    api PATCH "/applications/$2" "$(jq --null-input --compact-output --arg name "${image%@*}" --arg tag "$TAG" \
      '{docker_registry_image_name: $name, docker_registry_image_tag: $tag}')" > /dev/null
  fi
  api POST "/deploy?uuid=$2&force=false" | jq --raw-output '.deployments[0].deployment_uuid // ""'
}

status_of() { # APPLICATION DEPLOYMENT
  api GET "/deployments/$2" | jq --raw-output .status
}
"""
    + _TAIL
).lstrip()

DOKPLOY = (
    _HEAD
    + r"""
api() { # METHOD PATH [JSON]; the key comes through a pipe: arguments can be seen by every process
  local arguments=(--silent --show-error --fail-with-body --max-time 60 --request "$1")
  if [ $# -gt 2 ]; then arguments+=(--header 'Content-Type: application/json' --data "$3"); fi
  printf 'header = "x-api-key: %s"\n' "$DOKPLOY_TOKEN" |
    curl --config - "${arguments[@]}" "${DOKPLOY_URL%/}/api$2"
}

start() { # SERVICE APPLICATION: writes the title by which its deployment is known, since the answer has no number
  local image title="$COMMIT-$GITHUB_RUN_ID-${GITHUB_RUN_ATTEMPT:-1}"
  image=$(image_of "$1")
  if [ -n "$image" ]; then
    api POST /application.update "$(jq --null-input --compact-output --arg id "$2" --arg image "$image" \
      '{applicationId: $id, dockerImage: $image}')" > /dev/null
  fi
  api POST /application.deploy "$(jq --null-input --compact-output --arg id "$2" --arg title "$title" \
    '{applicationId: $id, title: $title}')" > /dev/null
  echo "$title"
}

status_of() { # APPLICATION TITLE
  api GET "/deployment.all?applicationId=$1" |
    jq --raw-output --arg title "$2" '[.[] | select(.title == $title)][0].status // "waiting"'
}
"""
    + _TAIL
).lstrip()
