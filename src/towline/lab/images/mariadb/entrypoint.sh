#!/bin/bash
# Makes the database at the first start, then becomes the server: the interface of the public image.
set -Eeuo pipefail

data=/var/lib/mysql
socket=/run/mysqld/mysqld.sock

fail() {
    echo "error: $1" >&2
    exit 1
}

# Take MARIADB_$1 from itself, from MYSQL_$1, or from the file that either names with _FILE; else $2.
setting() {
    local value="${2:-}" name
    for name in "MYSQL_$1" "MARIADB_$1"; do
        local file="${name}_FILE"
        if [ -n "${!name:-}" ] && [ -n "${!file:-}" ]; then
            fail "both $name and $file are set: one of them, please"
        fi
        if [ -n "${!name:-}" ]; then
            value="${!name}"
        elif [ -n "${!file:-}" ]; then
            value="$(cat "${!file}")"
        fi
        unset "$name" "$file"
    done
    printf -v "set_$1" '%s' "$value"
}

# A text as SQL has it.
quoted() {
    local text="${1//\\/\\\\}"
    printf "'%s'" "${text//\'/\\\'}"
}

in_server() { mariadb --no-defaults --protocol socket --socket "$socket" --user root "$@"; }

run_files() {
    local file
    for file in /docker-entrypoint-initdb.d/*; do
        case "$file" in
            *.sh)
                echo "running $file"
                # A script that is no program is read into this shell, as the public image does.
                # shellcheck disable=SC1090
                if [ -x "$file" ]; then "$file"; else . "$file"; fi
                ;;
            *.sql) echo "running $file" && in_server "$set_DATABASE" <"$file" ;;
            *.sql.gz) echo "running $file" && gunzip -c "$file" | in_server "$set_DATABASE" ;;
            *.sql.xz) echo "running $file" && xzcat "$file" | in_server "$set_DATABASE" ;;
            *.sql.zst) echo "running $file" && zstd -dc "$file" | in_server "$set_DATABASE" ;;
            /docker-entrypoint-initdb.d/\*) ;;
            *) echo "ignoring $file" ;;
        esac
    done
}

make_accounts() {
    local database
    database="\`${set_DATABASE//\`/\`\`}\`"
    if [ -n "$set_DATABASE" ]; then echo "CREATE DATABASE IF NOT EXISTS $database;"; fi
    if [ -n "$set_USER" ]; then
        echo "CREATE USER $(quoted "$set_USER")@'%' IDENTIFIED BY $(quoted "$set_PASSWORD");"
        if [ -n "$set_DATABASE" ]; then echo "GRANT ALL ON $database.* TO $(quoted "$set_USER")@'%';"; fi
    fi
}

# The account of healthcheck.sh, which may do nothing but come in; its password lies beside the data.
make_health_account() {
    local word
    word="$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
    (umask 077 && printf '[client]\nuser=healthcheck\npassword=%s\n' "$word" >"$data/.my-healthcheck.cnf")
    echo "CREATE USER healthcheck@'127.0.0.1' IDENTIFIED BY '$word'; GRANT USAGE ON *.* TO healthcheck@'127.0.0.1';"
}

first_start() {
    local root pid
    setting ROOT_PASSWORD
    setting DATABASE
    setting USER
    setting PASSWORD
    setting RANDOM_ROOT_PASSWORD
    setting ALLOW_EMPTY_ROOT_PASSWORD
    if [ -z "$set_ROOT_PASSWORD$set_RANDOM_ROOT_PASSWORD$set_ALLOW_EMPTY_ROOT_PASSWORD" ]; then
        fail "the server has no password for root: set MARIADB_ROOT_PASSWORD, MARIADB_RANDOM_ROOT_PASSWORD or MARIADB_ALLOW_EMPTY_ROOT_PASSWORD"
    fi
    if [ -n "$set_RANDOM_ROOT_PASSWORD" ]; then
        set_ROOT_PASSWORD="$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
        echo "GENERATED ROOT PASSWORD: $set_ROOT_PASSWORD"
    fi
    mariadb-install-db --no-defaults --datadir="$data" --auth-root-authentication-method=normal --skip-test-db >/dev/null
    # On its socket only: whoever connects over the network now would see a half-made database.
    mariadbd --no-defaults --datadir="$data" --socket="$socket" --skip-networking --pid-file=/tmp/first.pid &
    pid=$!
    until in_server --execute 'SELECT 1' >/dev/null 2>&1; do
        kill -0 "$pid" || fail "the server ended while its database was made"
        sleep 0.1
    done
    { make_health_account && make_accounts; } | in_server
    run_files
    root="$(quoted "$set_ROOT_PASSWORD")"
    in_server <<<"CREATE USER IF NOT EXISTS root@'%' IDENTIFIED BY $root; GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION; ALTER USER root@localhost IDENTIFIED BY $root; FLUSH PRIVILEGES;"
    kill "$pid"
    wait "$pid"
    echo "the database is made; starting the server"
}

main() {
    if [ "${1:0:1}" = - ]; then
        set -- mariadbd "$@"
    fi
    [ "${1:-}" != mysqld ] || set -- mariadbd "${@:2}"
    if [ "${1:-}" = mariadbd ] && ! grep -qE -- '^(--help|-\?|--version|-V)$' <(printf '%s\n' "${@:2}"); then
        if [ "$(id -u)" = 0 ]; then
            find "$data" /run/mysqld \! -user mysql -exec chown mysql '{}' +
            exec setpriv --reuid mysql --regid mysql --init-groups "$0" "$@"
        fi
        if [ ! -d "$data/mysql" ]; then
            first_start
        fi
    fi
    exec "$@"
}

main "$@"
