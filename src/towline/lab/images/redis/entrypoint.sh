#!/bin/sh
# Gives the server its data folder and an ordinary user, then becomes it: the interface of the public image.
set -eu

case "${1:-}" in
    -* | *.conf) set -- redis-server "$@" ;;
esac

if [ "${1:-}" = redis-server ]; then
    if [ "$(id -u)" = 0 ]; then
        find . \! -user redis -exec chown redis '{}' +
        exec setpriv --reuid redis --regid redis --clear-groups "$0" "$@"
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
fi

[ "$(umask)" != 0022 ] || umask 0077
exec "$@"
