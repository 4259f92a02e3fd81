#!/bin/sh
# Gives /data to an ordinary user and becomes `weed` with the defaults of the public image.
set -eu

if [ "$(id -u)" = 0 ]; then
    # Only when the volume is new: a full one takes long to walk.
    if [ "$(stat -c '%u:%g' /data)" != 1000:1000 ]; then
        chown -R seaweed:seaweed /data
    fi
    exec setpriv --reuid seaweed --regid seaweed --init-groups "$0" "$@"
fi

# Whether flag $1 is among the other words.
given() {
    flag="$1"
    shift
    for word in "$@"; do
        case "$word" in
            "$flag" | "$flag"=*) return 0 ;;
        esac
    done
    return 1
}

command="${1:-}"
[ "$#" = 0 ] || shift
case "$command" in
    master)
        set -- -mdir=/data -volumePreallocate -volumeSizeLimitMB=1024 "$@"
        ;;
    volume)
        given -max "$@" || set -- -max=0 "$@"
        set -- -dir=/data "$@"
        ;;
    server)
        given -volume.max "$@" || set -- -volume.max=0 "$@"
        set -- -dir=/data -master.volumePreallocate -master.volumeSizeLimitMB=1024 "$@"
        ;;
    s3)
        set -- -domainName="${S3_DOMAIN_NAME:-}" -key.file="${S3_KEY_FILE:-}" -cert.file="${S3_CERT_FILE:-}" "$@"
        ;;
esac
exec /usr/bin/weed -logtostderr=true ${command:+"$command"} "$@"
