#!/bin/sh
# Gives the server its data folder and an ordinary user, then becomes it: the interface of the public image.
set -eu

case "${1:-}" in
    -* | *.conf) set -- valkey-server "$@" ;;
esac

case "${1:-}" in
    valkey-server | redis-server)
        if [ "$(id -u)" = 0 ]; then
            find . \! -user valkey -exec chown valkey '{}' +
            exec setpriv --reuid valkey --regid valkey --clear-groups "$0" "$@"
        fi
        if [ ! -w . ]; then
            echo "error: $PWD cannot be written by user $(id -u)" >&2
            exit 1
        fi
        # The public server is built without protected mode, since a container is reached from others by design.
        protected=unsaid
        for word in "$@"; do
            case "$word" in
                --protected-mode*) protected=said ;;
                *.conf) ! grep -qE '^[[:space:]]*protected-mode' "$word" 2>/dev/null || protected=said ;;
            esac
        done
        [ "$protected" = said ] || set -- "$@" --protected-mode no
        ;;
esac

[ "$(umask)" != 0022 ] || umask 0077
# shellcheck disable=SC2086  # flags are words
exec "$@" ${VALKEY_EXTRA_FLAGS:-}
