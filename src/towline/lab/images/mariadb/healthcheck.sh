#!/bin/sh
# Whether the server takes connections: the interface of the public image, by the account that its entrypoint makes.
set -eu

ask() {
    mariadb --defaults-file=/var/lib/mysql/.my-healthcheck.cnf --protocol tcp --host 127.0.0.1 --batch --skip-column-names --execute "$1"
}

[ "$#" -gt 0 ] || set -- --connect
for test in "$@"; do
    case "$test" in
        --connect) ask 'SELECT 1' >/dev/null ;;
        --innodb_initialized) [ "$(ask "SELECT count(*) > 0 FROM information_schema.ENGINES WHERE engine = 'innodb' AND support IN ('YES', 'DEFAULT')")" = 1 ] ;;
        *) echo "error: this stand-in knows no $test" >&2 && exit 1 ;;
    esac
done
