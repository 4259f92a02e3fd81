#!/bin/bash
# Makes the database at the first start, then becomes the server: the interface of the public image.
set -Eeuo pipefail

fail() {
    echo "error: $1" >&2
    exit 1
}

# Take $1 from the file that $1_FILE names, or from $2 when neither is set.
setting() {
    local name="$1" file_name="$1_FILE"
    if [ -n "${!name:-}" ] && [ -n "${!file_name:-}" ]; then
        fail "both $name and $file_name are set: one of them, please"
    fi
    local value="${2:-}"
    if [ -n "${!name:-}" ]; then
        value="${!name}"
    elif [ -n "${!file_name:-}" ]; then
        value="$(cat "${!file_name}")"
    fi
    export "$name"="$value"
    unset "$file_name"
}

make_folder() {
    mkdir -p "$1"
    chmod 700 "$1" || true
    if [ "$(id -u)" = 0 ]; then
        find "$1" \! -user postgres -exec chown postgres '{}' +
    fi
}

# Since 18 the data lies in a folder per major version: a volume on the old path would stay empty, silently.
refuse_old_mount() {
    if grep -qE '^[^ ]+ [^ ]+ [^ ]+ [^ ]+ /var/lib/postgresql/data ' /proc/self/mountinfo; then
        case "$PGDATA" in
            /var/lib/postgresql/data | /var/lib/postgresql/data/*) ;;
            *) fail "a volume is mounted on /var/lib/postgresql/data, but since PostgreSQL 18 it belongs on /var/lib/postgresql" ;;
        esac
    fi
}

in_database() {
    PGPASSWORD="$POSTGRES_PASSWORD" psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet --no-password \
        --host /var/run/postgresql --username "$POSTGRES_USER" "$@"
}

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
            *.sql) echo "running $file" && in_database --dbname "$POSTGRES_DB" --file "$file" ;;
            *.sql.gz) echo "running $file" && gunzip -c "$file" | in_database --dbname "$POSTGRES_DB" ;;
            *.sql.xz) echo "running $file" && xzcat "$file" | in_database --dbname "$POSTGRES_DB" ;;
            *.sql.zst) echo "running $file" && zstd -dc "$file" | in_database --dbname "$POSTGRES_DB" ;;
            /docker-entrypoint-initdb.d/\*) ;;
            *) echo "ignoring $file" ;;
        esac
    done
}

make_cluster() {
    local extra=()
    if [ -n "${POSTGRES_INITDB_WALDIR:-}" ]; then
        extra=(--waldir "$POSTGRES_INITDB_WALDIR")
    fi
    # The socket where Debian has it, and where these programs look for it.
    local sockets=(--set unix_socket_directories=/var/run/postgresql,/tmp)
    # The arguments are words as in a shell: that is how people write them. The password goes by a pipe, not by name.
    eval "initdb --pgdata \"\$PGDATA\" --username \"\$POSTGRES_USER\" --pwfile <(printf '%s\n' \"\$POSTGRES_PASSWORD\") \
        \"\${sockets[@]}\" $POSTGRES_INITDB_ARGS \"\${extra[@]}\""
}

allow_network() {
    local method="${POSTGRES_HOST_AUTH_METHOD:-}"
    if [ -z "$method" ]; then
        method="$(postgres -C password_encryption)"
    fi
    printf '\nhost all all all %s\n' "$method" >> "$PGDATA/pg_hba.conf"
}

first_start() {
    if [ -z "$POSTGRES_PASSWORD" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
        fail "the database has no password: set POSTGRES_PASSWORD, or POSTGRES_HOST_AUTH_METHOD=trust to let anyone in"
    fi
    make_cluster
    allow_network "$@"
    # On its socket only: whoever connects over the network now would see a half-made database.
    PGUSER="$POSTGRES_USER" pg_ctl --pgdata "$PGDATA" --wait --options "-c listen_addresses='' -p 5432" start
    if [ -z "$(in_database --dbname postgres --tuples-only --set db="$POSTGRES_DB" \
        <<< "SELECT 1 FROM pg_database WHERE datname = :'db'")" ]; then
        in_database --dbname postgres --set db="$POSTGRES_DB" <<< 'CREATE DATABASE :"db"'
    fi
    run_files
    PGUSER="$POSTGRES_USER" pg_ctl --pgdata "$PGDATA" --mode fast --wait stop
    echo "the database is made; starting the server"
}

main() {
    if [ "${1:0:1}" = - ]; then
        set -- postgres "$@"
    fi
    if [ "${1:-}" = postgres ] && ! grep -qE -- '^(-\?|--help|--describe-config|-V|--version)$' <(printf '%s\n' "${@:2}"); then
        make_folder "$PGDATA"
        [ -z "${POSTGRES_INITDB_WALDIR:-}" ] || make_folder "$POSTGRES_INITDB_WALDIR"
        if [ "$(id -u)" = 0 ]; then
            exec setpriv --reuid postgres --regid postgres --init-groups env HOME=/var/lib/postgresql "$0" "$@"
        fi
        if [ ! -s "$PGDATA/PG_VERSION" ]; then
            refuse_old_mount
            setting POSTGRES_USER postgres
            setting POSTGRES_PASSWORD
            setting POSTGRES_DB "$POSTGRES_USER"
            setting POSTGRES_INITDB_ARGS
            first_start
            unset PGPASSWORD
        fi
    fi
    exec "$@"
}

main "$@"
