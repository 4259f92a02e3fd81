# What this machine is, as `name<TAB>value` lines; several lines of one name are a list. Changes nothing.
say() { printf '%s\t%s\n' "$1" "$2"; }
active() { [ "$(systemctl is-active "$1" 2>/dev/null)" = active ]; }
has() { command -v "$1" >/dev/null 2>&1; }

# sudo keeps nothing of the login's environment; the processes above it still have it.
connection=${SSH_CONNECTION:-}
pid=$$
while [ -z "$connection" ] && [ "$pid" -gt 1 ]; do
    connection=$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^SSH_CONNECTION=//p')
    pid=$(awk '/^PPid:/ { print $2 }' "/proc/$pid/status")
done 2>/dev/null
say connection "$connection"

if [ -r /etc/os-release ]; then
    (
        . /etc/os-release
        say system "${ID:-}"
        say version "${VERSION_ID:-}"
        say title "${PRETTY_NAME:-}"
    )
fi
if [ -d /run/systemd/system ]; then say systemd yes; fi
if has apt-get; then say apt yes; fi

for name in docker-ce docker.io podman-docker; do
    if [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ]; then say engine "$name"; fi
done
if [ -e /snap/bin/docker ] || [ -d /snap/docker ]; then say engine snap; fi
if [ -e /etc/docker/daemon.json ]; then say settings "$(base64 -w0 /etc/docker/daemon.json)"; fi
if has docker && [ "$(timeout 10 docker info --format '{{.Swarm.LocalNodeState}}' 2>/dev/null)" = active ]; then
    say swarm yes
fi

# Without its runtime folder sshd does not even print its configuration, and a socket makes it only when needed.
mkdir -p /run/sshd
sshd -T 2>/dev/null | sed -n 's/^port /port\t/p'
if active ssh.socket; then say socket yes; fi

for name in firewalld netfilter-persistent shorewall nftables; do
    if active "$name"; then say firewall "$name"; fi
done
if has nft; then
    nft list tables 2>/dev/null | sed 's/^table //' | while read -r family name; do
        case $family/$name in
            ip/filter | ip/nat | ip/mangle | ip/raw | ip/security) ;;
            ip6/filter | ip6/nat | ip6/mangle | ip6/raw | ip6/security) ;;
            */f2b-table | */docker* | */fail2ban) ;;
            *) say firewall "nftables table $family $name" ;;
        esac
    done
fi

for path in /sys/class/net/br-*; do
    [ -e "$path" ] || continue
    name=${path##*/br-}
    # Docker names its bridges after the first twelve digits of the network's id.
    case $name in
        *[!0-9a-f]*) say bridge "br-$name" ;;
        ????????????) ;;
        *) say bridge "br-$name" ;;
    esac
done

if [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ]; then say apparmor yes; fi
if [ -e /proc/net/if_inet6 ]; then say ipv6 yes; fi
say swap "$(awk 'NR > 1 { sum += $3 } END { printf "%d", sum * 1024 }' /proc/swaps)"
say disk_free "$(df --output=avail -B1 / | tail -n 1 | tr -d ' ')"
say filesystem "$(stat -f -c %T /)"
sed -n 's/^ignoreip = //p' /etc/fail2ban/jail.d/towline.local 2>/dev/null | tr ' ' '\n' | while read -r one; do
    case $one in
        '' | 127.0.0.0/8 | ::1) ;;
        *) say ignored "$one" ;;
    esac
done
if active towline-way-back.timer; then say armed yes; fi
say end yes
