#!/bin/sh
# System packages that the tests use: installed for root and in CI, else the line to type is printed.
set -eu
wanted=""
command -v chromium >/dev/null 2>&1 || wanted="$wanted chromium"
command -v sshd >/dev/null 2>&1 || [ -x /usr/sbin/sshd ] || wanted="$wanted openssh-server"
command -v ssh >/dev/null 2>&1 || wanted="$wanted openssh-client"
command -v unshare >/dev/null 2>&1 || wanted="$wanted util-linux"
command -v dockerd >/dev/null 2>&1 || [ -x /usr/sbin/dockerd ] || wanted="$wanted docker.io"
command -v iptables >/dev/null 2>&1 || [ -x /usr/sbin/iptables ] || wanted="$wanted iptables"
command -v mmdebstrap >/dev/null 2>&1 || wanted="$wanted mmdebstrap"
command -v losetup >/dev/null 2>&1 || [ -x /usr/sbin/losetup ] || wanted="$wanted mount"
command -v docker-registry >/dev/null 2>&1 || wanted="$wanted docker-registry"
command -v zstd >/dev/null 2>&1 || wanted="$wanted zstd"
command -v redis-server >/dev/null 2>&1 || wanted="$wanted redis-server"
command -v node >/dev/null 2>&1 || wanted="$wanted nodejs"
command -v npm >/dev/null 2>&1 || wanted="$wanted npm"
command -v jq >/dev/null 2>&1 || wanted="$wanted jq"
command -v gpg >/dev/null 2>&1 || wanted="$wanted gnupg"
command -v curl >/dev/null 2>&1 || wanted="$wanted curl"
command -v age >/dev/null 2>&1 || wanted="$wanted age"
command -v pgrep >/dev/null 2>&1 || wanted="$wanted procps"
[ -n "$wanted" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing$wanted ..." >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086  # a list of words
    apt-get install -y -qq --no-install-recommends $wanted >/dev/null
elif [ "${CI:-}" = true ]; then
    echo "the tests need$wanted" >&2
    exit 2
else
    echo "Some tests are skipped: they need$wanted" >&2
    echo >&2
    echo "hint: sudo apt-get install -y --no-install-recommends$wanted" >&2
fi
