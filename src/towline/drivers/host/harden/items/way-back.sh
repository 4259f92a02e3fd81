# A way back that needs nobody: copies of what is about to change, and a timer that puts them back. The units are files,
# not transient ones, so that the timer also runs when the machine was switched off in between.
#: shared
folder=/var/lib/towline/.way-back
unit=/etc/systemd/system/towline-way-back
wanted_script() {
    cat <<'EOF'
#!/bin/sh
# Written by towline provision: puts sshd's and the firewall's files back as they were.
kept=/var/lib/towline/.way-back
back() {
    rm -rf "$1"
    if [ -e "$kept$1" ]; then cp -a "$kept$1" "$1"; fi
}
back /etc/ssh/sshd_config
back /etc/ssh/sshd_config.d
mkdir -p /run/sshd
systemctl try-reload-or-restart ssh.service
if [ -e "$kept/ufw-was-active" ]; then
    back /etc/ufw
    back /etc/default/ufw
    ufw reload
else
    ufw --force disable
    if [ -e "$kept/etc/ufw" ]; then
        back /etc/ufw
        back /etc/default/ufw
    fi
    for tables in iptables ip6tables; do
        "$tables" -w -F DOCKER-USER && "$tables" -w -A DOCKER-USER -j RETURN
    done
    ip6tables -w -t mangle -F towline
fi
rm -f /etc/systemd/system/towline-way-back.service /etc/systemd/system/timers.target.wants/towline-way-back.timer
touch "$kept/taken"
systemctl stop towline-way-back.timer
rm -f /etc/systemd/system/towline-way-back.timer
systemctl daemon-reload
EOF
}
wanted_service() {
    cat <<'EOF'
[Unit]
Description=Put sshd's and the firewall's files back as they were

[Service]
Type=oneshot
ExecStart=/bin/sh /var/lib/towline/.way-back/back.sh
EOF
}
wanted_timer() {
    cat <<EOF
[Unit]
Description=Put sshd's and the firewall's files back unless somebody confirms them

[Timer]
OnActiveSec=$WITHIN
AccuracySec=1s

[Install]
WantedBy=timers.target
EOF
}
#: holds
no 'it is made anew for every change'
#: apply
if systemctl is-active --quiet towline-way-back.timer; then
    # An earlier run went away without a word: its copies are the ones to go back to.
    systemctl stop towline-way-back.timer
else
    rm -rf "$folder"
    mkdir -p "$folder/etc/ssh" "$folder/etc/default"
    chmod 700 "$folder"
    cp -a /etc/ssh/sshd_config "$folder/etc/ssh/"
    if [ -e /etc/ssh/sshd_config.d ]; then cp -a /etc/ssh/sshd_config.d "$folder/etc/ssh/"; fi
    if [ -e /etc/ufw ]; then
        cp -a /etc/ufw "$folder/etc/"
        cp -a /etc/default/ufw "$folder/etc/default/"
    fi
    # `ufw` is a Python that starts, so it is not asked what its file denies.
    if grep -qsx 'ENABLED=yes' /etc/ufw/ufw.conf && ufw status | grep -q '^Status: active'; then touch "$folder/ufw-was-active"; fi
    wanted_script | place "$folder/back.sh" 700
fi
wanted_service | place "$unit.service" 644
wanted_timer | place "$unit.timer" 644
# As `systemctl enable` does it, which would have systemd read all its files once more.
mkdir -p /etc/systemd/system/timers.target.wants
ln -sf "$unit.timer" /etc/systemd/system/timers.target.wants/
systemctl daemon-reload
systemctl start towline-way-back.timer
#: proof
systemctl is-active --quiet towline-way-back.timer || no 'the timer of the way back does not run'
systemctl is-enabled --quiet towline-way-back.timer || no 'the timer of the way back does not start with the machine'
printf 'put back in %s s unless confirmed\n' "$WITHIN"
