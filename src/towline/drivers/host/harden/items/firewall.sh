# ufw for what the machine itself listens on, and rules in DOCKER-USER for what Docker publishes: that goes past ufw,
# because it is forwarded and not received. A packet to a container may pass when it answers one from inside, comes from
# one of Docker's own bridges, was sent to port 80 or 443 of this machine (its port before Docker rewrote it), or is
# allowed by `ufw route allow`. So neither a published port nor a neighbour that routes to a container's address gets in.
# Docker's interfaces are the exception, not the outside ones: a second card, a VLAN or a VPN is outside by itself.
#
# For IPv6 there is a second lock. Engines before 23 that are told `ip6tables: true` never lead packets through
# DOCKER-USER, and put what lets them in before everything else, again with every new network. So the same is asked
# once more in the mangle table, which is passed earlier and which no engine touches. It knows nothing of `ufw route`.
#: shared
families() { if [ "$IPV6" = yes ]; then printf 'iptables ip6tables\n'; else printf 'iptables\n'; fi; }
chain_rules() {
    cat <<EOF
-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
-A DOCKER-USER -i docker0 -j RETURN
-A DOCKER-USER -i docker_gwbridge -j RETURN
-A DOCKER-USER -i br-+ -j RETURN
-A DOCKER-USER -p tcp -m conntrack --ctstate DNAT --ctorigdstport 80 -j RETURN
-A DOCKER-USER -p tcp -m conntrack --ctstate DNAT --ctorigdstport 443 -j RETURN
-A DOCKER-USER -p udp -m conntrack --ctstate DNAT --ctorigdstport 443 -j RETURN
-A DOCKER-USER -j $1
-A DOCKER-USER -j DROP
EOF
}
block() {
    printf '# BEGIN TOWLINE\n*filter\n:DOCKER-USER - [0:0]\n:%s - [0:0]\n' "$1"
    chain_rules "$1"
    printf 'COMMIT\n'
    if [ "$1" = ufw6-user-forward ]; then
        printf '*mangle\n:towline - [0:0]\n'
        second_lock
        printf 'COMMIT\n'
    fi
    printf '# END TOWLINE\n'
}
second_lock() {
    chain_rules '' | sed -n '/-j RETURN$/s/DOCKER-USER/towline/p'
    for interface in docker0 docker_gwbridge br-+; do printf -- '-A towline -o %s -j DROP\n' "$interface"; done
}
# A jump from a built-in chain cannot stand in a file that ufw loads at every reload: there would be more and more.
init() {
    cat <<'EOF'
# BEGIN TOWLINE
if [ "$1" = start ] && ! ip6tables -w -t mangle -C FORWARD -j towline 2>/dev/null; then
    ip6tables -w -t mangle -A FORWARD -j towline
fi
# END TOWLINE
EOF
}
is_in() { sed -n '/^# BEGIN TOWLINE$/,/^# END TOWLINE$/p' "$1" | cmp -s - "$2"; }
rules() {
    for port in $PORTS; do printf 'allow %s/tcp\n' "$port"; done
    printf 'allow 80,443/tcp\nallow 443/udp\n'
}
# A limit of six connections in half a minute shuts out whoever deploys with one connection a command.
limits() { printf '%s\n' "$1" | grep -E "^ufw limit (OpenSSH|ssh|$(printf '%s' "$PORTS" | tr ' ' '|'))(/tcp)?( |\$)" || true; }
# WHOSE NOW: every line of standard input is one of those that are in force.
all_in() {
    lacks=$(grep -vxF -e "$2" | head -n 1)
    [ -z "$lacks" ] || no "$1 lacks: $lacks"
}
# ufw's own start, as the kernel has it: a `reject` of ufw's is a DROP with a rule before it.
closed() {
    now=$("$1" -w -S INPUT 2>/dev/null) || no "$1 has no chain INPUT"
    printf '%s\n' "$now" | grep -qx -e "-A INPUT -j $2" || no 'ufw is not active'
    printf '%s\n' "$now" | grep -qx -e '-P INPUT DROP' || no 'ufw lets in what no rule forbids'
}
in_force() {
    now=$("$1" -w -S DOCKER-USER 2>/dev/null) || no "$1 has no chain DOCKER-USER"
    chain_rules "$2" | all_in "$1" "$now"
    first=$(printf '%s\n' "$now" | grep -nxE -- '-A DOCKER-USER -j (DROP|RETURN|ACCEPT)' | head -n 1)
    case $first in *DROP) ;; *) no "$1 lets everything through DOCKER-USER" ;; esac
}
second_lock_in_force() {
    ip6tables -w -t mangle -C FORWARD -j towline 2>/dev/null || no 'the second lock for IPv6 is not in force'
    now=$(ip6tables -w -t mangle -S towline)
    second_lock | all_in 'the second lock for IPv6' "$now"
}
#: holds
has ufw || no 'ufw is not installed'
systemctl is-enabled --quiet ufw || no 'ufw.service does not start with the machine'
# Each `ufw` is a Python that starts, so what its files and the kernel tell is not asked of it.
grep -qx 'ENABLED=yes' /etc/ufw/ufw.conf || no 'ufw is not active'
closed iptables ufw-before-input
if grep -qx 'DEFAULT_FORWARD_POLICY="ACCEPT"' /etc/default/ufw; then no 'ufw forwards what no rule forbids'; fi
added=$(ufw show added)
rules | while IFS= read -r rule; do
    printf '%s\n' "$added" | grep -qE -- "^ufw $rule( comment .*)?\$" || no "ufw has no rule: $rule"
done
[ -z "$(limits "$added")" ] || no 'ufw limits connections to sshd'
want=$(mktemp)
trap 'rm -f "$want"' EXIT
block ufw-user-forward >"$want"
is_in /etc/ufw/after.rules "$want" || no '/etc/ufw/after.rules lacks the rules for Docker'
in_force iptables ufw-user-forward
if [ "$IPV6" = yes ]; then
    grep -q '^IPV6=yes' /etc/default/ufw || no 'ufw leaves IPv6 open'
    closed ip6tables ufw6-before-input
    block ufw6-user-forward >"$want"
    is_in /etc/ufw/after6.rules "$want" || no '/etc/ufw/after6.rules lacks the rules for Docker'
    in_force ip6tables ufw6-user-forward
    init >"$want"
    is_in /etc/ufw/after.init "$want" || no '/etc/ufw/after.init lacks the jump to the second lock'
    [ -x /etc/ufw/after.init ] || no '/etc/ufw/after.init cannot be run'
    second_lock_in_force
fi
other=$(printf '%s\n' "$added" | sed -n 's/^ufw allow //p' | grep -vxE "$(rules | sed 's/^allow //' | tr '\n' '|' | sed 's/|$//')" | tr '\n' ';' || true)
printf 'ufw is active, Docker is behind it on %s%s\n' "$(families | sed 's/iptables ip6tables/IPv4 and IPv6/;s/iptables/IPv4/')" "${other:+; also open: $other}"
#: apply
without_ours() { sed '/^# BEGIN TOWLINE$/,/^# END TOWLINE$/d' "$1"; }
write() {
    {
        without_ours "$1"
        block "$2"
    } | place "$1" 640
}
write /etc/ufw/after.rules ufw-user-forward
if [ "$IPV6" = yes ]; then
    write /etc/ufw/after6.rules ufw6-user-forward
    {
        printf '#!/bin/sh\n'
        init
        if [ -e /etc/ufw/after.init ]; then without_ours /etc/ufw/after.init | sed '1{/^#!/d;}'; fi
    } | place /etc/ufw/after.init 750
    sed -i 's/^IPV6=.*/IPV6=yes/' /etc/default/ufw
fi
sed -i 's/^DEFAULT_FORWARD_POLICY="ACCEPT"/DEFAULT_FORWARD_POLICY="DROP"/' /etc/default/ufw
grep -qE '^DEFAULT_INPUT_POLICY="(DROP|REJECT)"' /etc/default/ufw || ufw default deny incoming >/dev/null
added=
if grep -q '^### tuple' /etc/ufw/user.rules /etc/ufw/user6.rules; then added=$(ufw show added); fi
# What lets the operator in comes first.
# One after the other: ufw reads its rules before it takes its lock.
rules | while IFS= read -r rule; do
    # shellcheck disable=SC2086  # words
    printf '%s\n' "$added" | grep -qE -- "^ufw $rule( comment .*)?\$" || ufw $rule >/dev/null
done
limits "$added" | while IFS= read -r rule; do
    # shellcheck disable=SC2086  # words
    ufw --force delete ${rule#ufw } >/dev/null
done
if grep -qx 'ENABLED=yes' /etc/ufw/ufw.conf; then ufw reload >/dev/null; else ufw --force enable >/dev/null; fi
# Its package has done so; asking systemd again starts every hook of an old init script.
systemctl is-enabled --quiet ufw || systemctl --quiet enable ufw
