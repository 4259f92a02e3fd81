# One transaction for all: dpkg's triggers and the solver run once. WAIT: seconds to wait for another apt, which a
# server's first minutes often have.
#: shared
missing() {
    for name in $WANTED; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || printf ' %s' "$name"
    done
}
#: holds
lacks=$(missing)
[ -z "$lacks" ] || no "not installed:$lacks"
printf 'installed: %s\n' "$WANTED"
#: apply
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l
log=$(mktemp) unpacked=$(mktemp)
trap 'rm -f "$log" "$unpacked"' EXIT
apt() {
    left=$WAIT
    while :; do
        apt-get -qq -o "DPkg::Lock::Timeout=$WAIT" -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 \
            -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" >"$log" 2>&1 && return 0
        # The lists have a lock of their own, for which apt does not wait.
        grep -q 'Could not get lock\|Unable to lock' "$log" && [ "$left" -gt 0 ] || return 1
        left=$((left - 2))
        sleep 2
    done
}
give_up() {
    tail -n 15 "$log" >&2
    no "apt-get $1 did not go through"
}
# Each package would have systemd read all its files anew, and start its services before the next one is set up: that is
# done once, for all of them together, as the next boot would do it.
install() {
    went=0
    (
        export SYSTEMD_OFFLINE=1
        apt install -y --no-install-recommends "$@"
    ) || went=$?
    sed -n 's/^Unpacking \([^ ]*\) (.*) over (.*/again \1/p; s/^Unpacking \([^ ]*\) ([^)]*) [.]*$/new \1/p' "$log" >>"$unpacked"
    return "$went"
}
# WHICH: the units of packages that are `new` here, or here `again` in a newer version.
units() {
    # shellcheck disable=SC2046  # a list of words
    dpkg -L $(sed -n "s/^$1 //p" "$unpacked") 2>/dev/null |
        sed -nE 's#^(/usr)?/lib/systemd/system/([^/@]+[.](service|socket|timer))$#\2#p' | sort -u
}
told_systemd() {
    if grep -q '^again systemd$' "$unpacked"; then systemctl daemon-reexec; else systemctl daemon-reload; fi
    # Their own packages never restart what all others hang on.
    for unit in $(units again | grep -v -e '^dbus' -e '^systemd-' -e '^user' -e '^getty' || true); do
        systemctl try-restart "$unit"
    done
    starts=
    for unit in $(units new); do
        if systemctl is-enabled --quiet "$unit" 2>/dev/null; then starts="$starts $unit"; fi
    done
    # Nobody waits for them here: whether the engine and the bans run is asked later.
    # shellcheck disable=SC2086  # a list of words
    [ -z "$starts" ] || systemctl start --no-block $starts
}
lists() { find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mmin -1440 2>/dev/null | grep -q .; }
if [ -n "$(ls /var/lib/dpkg/updates 2>/dev/null)" ]; then dpkg --configure -a >"$log" 2>&1 || give_up 'had been interrupted, and dpkg'; fi
lists || apt update || give_up update
# shellcheck disable=SC2046  # a list of words
if ! install $(missing); then
    # Lists of this morning may name versions that the mirror has replaced.
    apt update || give_up update
    if ! install $(missing); then
        told_systemd
        give_up install
    fi
fi
told_systemd
