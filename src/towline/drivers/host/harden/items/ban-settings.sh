# fail2ban's jails for sshd. They need backend = systemd: a Debian without rsyslog has no /var/log/auth.log, and fail2ban
# would not even start. Since OpenSSH 10 a session is logged by a program of its own, sshd-session. The second jail is for
# who tries passwords where none are taken: sshd then only says that he went away, which the packaged filter lets pass.
#: shared
jails=/etc/fail2ban/jail.d/towline.local
filter=/etc/fail2ban/filter.d/towline-sshd.conf
wanted_filter() {
    cat <<'EOF'
# Written by towline provision.
[Definition]
failregex = ^\s*\S+ sshd(?:-session)?\[\d+\]: Connection (?:closed|reset) by authenticating user \S+ <HOST> port \d+ \[preauth\]\s*$
EOF
}
jail() {
    cat <<EOF

[$1]
enabled = true
backend = systemd
journalmatch = _SYSTEMD_UNIT=ssh.service + _COMM=sshd + _COMM=sshd-session
port = $PORTS
maxretry = $TRIES
findtime = 10m
bantime = 1h
banaction = iptables-multiport
ignoreip = 127.0.0.0/8 ::1 $IGNORED
EOF
}
wanted_jails() {
    printf '# Written by towline provision.\n'
    jail sshd
    jail towline-sshd
}
#: holds
wanted_filter | same "$filter" || no "$filter is not as it should be"
wanted_jails | same "$jails" || no "$jails is not as it should be"
printf '%s\n' "$jails"
#: apply
wanted_filter | place "$filter" 644
wanted_jails | place "$jails" 644
