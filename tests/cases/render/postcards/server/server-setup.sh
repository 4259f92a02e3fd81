#!/bin/sh
# Rendered by towline from compose.yaml and towline.yaml, target server
#
# Makes a Debian 13 or Ubuntu server (22.04 or newer) ready for postcards. Safe to run again: what is so already stays.
#   sudo sh server-setup.sh
#   sudo SWAP_MB=0 sh server-setup.sh   (no swap)
set -eu
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a LC_ALL=C
swap_mb=${SWAP_MB:-4096}
changed=""

say() { printf 'setup: %s\n' "$*"; }

# put FILE [MODE]: the file holds exactly what stdin says.
put() {
    new=$(mktemp)
    cat >"$new"
    if ! cmp -s "$new" "$1"; then
        mkdir -p "$(dirname "$1")"
        install -m "${2:-0644}" "$new" "$1"
        changed="$changed $1"
        say "wrote $1"
    fi
    rm -f "$new"
}

# was_written FILE: this run has changed it.
was_written() {
    case "$changed " in *" $1 "*) return 0 ;; *) return 1 ;; esac
}

# A new server is still updating itself when it is first reached; a file that somebody changed stays as it is.
apt() {
    apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -q -y "$@"
}

packages() {
    apt update
    apt upgrade
    # python3-systemd is what fail2ban reads the journal with: without it, it does not start where there is no auth.log.
    apt install --no-install-recommends \
        ca-certificates curl fail2ban nftables openssh-server python3-systemd sudo ufw unattended-upgrades
}

account() {
    id deploy >/dev/null 2>&1 || useradd --create-home --shell /bin/bash --comment 'Deploys postcards' deploy
    passwd --lock deploy >/dev/null
    home=$(getent passwd deploy | cut -d: -f6)
    keys=$home/.ssh/authorized_keys
    if ! ssh-keygen -l -f "$keys" >/dev/null 2>&1 && ssh-keygen -l -f /root/.ssh/authorized_keys >/dev/null 2>&1; then
        install -d -o deploy -g deploy -m 0700 "$home/.ssh"
        install -o deploy -g deploy -m 0600 /root/.ssh/authorized_keys "$keys"
        say "deploy has root's keys"
    fi
    # Whoever may use Docker is root on this server, with sudo or without: the key is what protects it.
    printf 'deploy ALL=(ALL) NOPASSWD:ALL\n' | put /etc/sudoers.d/90-postcards 0440
    usermod --append --groups sudo,docker deploy
    install -d -o deploy -g deploy -m 0750 "$home/apps" "$home/apps/postcards"
}

# candidate PACKAGE: the version that would be installed, nothing where there is none.
candidate() {
    apt-cache policy "$1" | sed -n 's/^  Candidate: //p' | grep -v '^(none)$' || true
}

# Docker with its client, which is a package of its own in Debian 13, and Compose 2, which Debian 12 does not have.
engine_packages() {
    printf 'docker.io '
    if [ -n "$(candidate docker-cli)" ]; then printf 'docker-cli '; fi
    for name in docker-compose-v2 docker-compose; do
        case $(candidate "$name") in
            '' | 1.*) ;;
            *) printf '%s\n' "$name" && return 0 ;;
        esac
    done
    say "this distribution has no Compose 2: take Debian 13, or Ubuntu 22.04 or newer" >&2
    return 1
}

engine() {
    # Before Docker's first start. A file that somebody else wrote stays.
    if [ ! -e /etc/docker/daemon.json ]; then
        put /etc/docker/daemon.json <<'END'
{
  "log-driver": "json-file",
  "log-opts": {"max-size": "10m", "max-file": "5"},
  "live-restore": true
}
END
    fi
    if ! docker compose version >/dev/null 2>&1; then
        wanted=$(engine_packages)
        # shellcheck disable=SC2086
        apt install --no-install-recommends $wanted
    fi
    getent group docker >/dev/null || groupadd --system docker
    systemctl enable --now docker
    docker compose version
}

# block FILE: the block of FILE that this script wrote is exactly stdin; the rest of the file stays.
block() {
    rest=$(sed '/^# BEGIN postcards$/,/^# END postcards$/d' "$1")
    {
        printf '%s\n# BEGIN postcards\n' "$rest"
        cat
        printf '# END postcards\n'
    } | put "$1" 0640
}

firewall() {
    ufw default deny incoming >/dev/null
    ufw default allow outgoing >/dev/null
    # Not `limit`: six connections in half a minute would lock a deploy out. fail2ban looks at failed logins instead.
    ufw allow 22/tcp >/dev/null
    ufw allow 80/tcp >/dev/null
    ufw allow 443/tcp >/dev/null
    ufw allow 443/udp >/dev/null
    # Docker opens every published port past ufw. These rules close them for everybody outside, but the front door's.
    # To open one more: ufw route allow proto tcp from ADDRESS to any port PORT_IN_THE_CONTAINER
    block /etc/ufw/after.rules <<'END'
*filter
:DOCKER-USER - [0:0]
:ufw-user-forward - [0:0]
-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
-A DOCKER-USER -i lo -j RETURN
-A DOCKER-USER -i docker0 -j RETURN
-A DOCKER-USER -i br-+ -j RETURN
-A DOCKER-USER -p tcp -m conntrack --ctstate DNAT --ctorigdstport 80 -j RETURN
-A DOCKER-USER -p tcp -m conntrack --ctstate DNAT --ctorigdstport 443 -j RETURN
-A DOCKER-USER -p udp -m conntrack --ctstate DNAT --ctorigdstport 443 -j RETURN
-A DOCKER-USER -j ufw-user-forward
-A DOCKER-USER -j DROP
COMMIT
END
    block /etc/ufw/after6.rules <<'END'
*filter
:DOCKER-USER - [0:0]
:ufw6-user-forward - [0:0]
-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
-A DOCKER-USER -i lo -j RETURN
-A DOCKER-USER -i docker0 -j RETURN
-A DOCKER-USER -i br-+ -j RETURN
-A DOCKER-USER -p tcp -m conntrack --ctstate DNAT --ctorigdstport 80 -j RETURN
-A DOCKER-USER -p tcp -m conntrack --ctstate DNAT --ctorigdstport 443 -j RETURN
-A DOCKER-USER -p udp -m conntrack --ctstate DNAT --ctorigdstport 443 -j RETURN
-A DOCKER-USER -j ufw6-user-forward
-A DOCKER-USER -j DROP
COMMIT
END
    ufw --force enable >/dev/null
    ufw reload >/dev/null
    systemctl enable --now ufw
}

bans() {
    put /etc/fail2ban/jail.d/10-postcards.local <<'END'
[DEFAULT]
backend = systemd
banaction = nftables-multiport
banaction_allports = nftables-allports

[sshd]
enabled = true
port = 22
maxretry = 5
findtime = 10m
bantime = 1h
END
    systemctl enable --now fail2ban
    if was_written /etc/fail2ban/jail.d/10-postcards.local; then systemctl restart fail2ban; fi
}

ssh_keys_only() {
    if ! ssh-keygen -l -f "$keys" >/dev/null 2>&1; then
        say "deploy has no SSH key: SSH stays as it was. Write one to $keys, then run this again" >&2
        return 1
    fi
    # Read before the files with higher numbers, and sshd takes the first value that it finds.
    put /etc/ssh/sshd_config.d/00-postcards.conf <<'END'
PermitRootLogin no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxAuthTries 4
X11Forwarding no
END
    sshd -t
    # Connections that are open stay open: log in a second time before you close the first.
    if was_written /etc/ssh/sshd_config.d/00-postcards.conf; then systemctl try-reload-or-restart ssh; fi
}

updates() {
    put /etc/apt/apt.conf.d/20auto-upgrades <<'END'
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
END
    # Security updates come by themselves. Docker's come when you ask for them, since they restart it.
    put /etc/apt/apt.conf.d/52-postcards <<'END'
Unattended-Upgrade::Package-Blacklist { "docker"; "containerd"; "runc"; };
Unattended-Upgrade::Automatic-Reboot "false";
Unattended-Upgrade::Remove-Unused-Kernel-Packages "true";
END
    systemctl enable --now unattended-upgrades
}

swap() {
    if [ "$swap_mb" -eq 0 ] || [ -n "$(swapon --show --noheadings)" ]; then return 0; fi
    fallocate -l "${swap_mb}M" /swapfile || dd if=/dev/zero of=/swapfile bs=1M count="$swap_mb" status=none
    chmod 0600 /swapfile
    mkswap /swapfile >/dev/null
    swapon /swapfile
    grep -q '^/swapfile ' /etc/fstab || printf '/swapfile none swap sw 0 0\n' >>/etc/fstab
    say "$swap_mb MB of swap"
}

kernel() {
    put /etc/sysctl.d/60-postcards.conf <<'END'
# Connections that wait to be accepted, and those that are half open.
net.core.somaxconn = 4096
net.ipv4.tcp_max_syn_backlog = 4096
net.ipv4.tcp_syncookies = 1
# What HTTP/3 wants for its buffers.
net.core.rmem_max = 7500000
net.core.wmem_max = 7500000
# Nobody on the network tells this server where to send its packets.
net.ipv4.conf.all.accept_redirects = 0
net.ipv6.conf.all.accept_redirects = 0
net.ipv4.conf.all.send_redirects = 0
# Redis saves in a forked process: without this the fork is refused when more than half of the memory is in use.
vm.overcommit_memory = 1
END
    # A provider's kernel may not let go of one of them: that is worth a line, and no reason to stop.
    sysctl --quiet --load /etc/sysctl.d/60-postcards.conf || say "not every kernel setting was taken" >&2
}

logs() {
    put /etc/systemd/journald.conf.d/10-postcards.conf <<'END'
[Journal]
SystemMaxUse=500M
END
    if was_written /etc/systemd/journald.conf.d/10-postcards.conf; then systemctl restart systemd-journald; fi
}

cleaning() {
    put /usr/local/sbin/postcards-prune 0755 <<'END'
#!/bin/sh
# Once a week: of each image of postcards the newest stay, for a rollback. What runs is never removed.
set -eu
docker image ls --filter 'reference=*/*/postcards-*' --format '{{.Repository}}' | sort -u | while read -r repository; do
    docker image ls --format '{{.Repository}}:{{.Tag}}' "$repository" | grep -v ':<none>$' | tail -n +6 |
        xargs -r -n 1 docker image rm || true
done
docker image prune --force
docker builder prune --force --filter until=168h
END
    put /etc/systemd/system/postcards-prune.service <<'END'
[Unit]
Description=Remove old images of postcards

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/postcards-prune
END
    put /etc/systemd/system/postcards-prune.timer <<'END'
[Unit]
Description=Remove old images of postcards once a week

[Timer]
OnCalendar=Sun 04:10
RandomizedDelaySec=30m
Persistent=true

[Install]
WantedBy=timers.target
END
    systemctl daemon-reload
    systemctl enable --now postcards-prune.timer
}

if [ "$(id -u)" -ne 0 ]; then say "run it as root: sudo sh $0" >&2 && exit 1; fi
packages
engine
account
firewall
bans
updates
swap
kernel
logs
cleaning
# Last, and only with a key that works: nobody is locked out of a server that is half done.
ssh_keys_only
say "done: ssh -p 22 deploy@$(hostname) 'docker compose version'"
