# Security upgrades every day. A new engine restarts under running apps: that is a decision for people, not for a timer.
#: shared
file=/etc/apt/apt.conf.d/60towline
wanted() {
    cat <<'EOF'
// Written by towline provision.
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
APT::Periodic::AutocleanInterval "7";
Unattended-Upgrade::Package-Blacklist { "^docker"; "^containerd"; "^runc$"; };
Unattended-Upgrade::Automatic-Reboot "false";
EOF
}
#: holds
wanted | same "$file" || no "$file is not as it should be"
apt-config dump | grep -q '^APT::Periodic::Unattended-Upgrade "1";' || no 'a later file in apt.conf.d turns upgrades off'
for timer in apt-daily.timer apt-daily-upgrade.timer; do
    systemctl is-active --quiet "$timer" || no "$timer is not active"
done
printf '%s\n' "$file, both timers active"
#: apply
wanted | place "$file" 644
for timer in apt-daily.timer apt-daily-upgrade.timer; do
    if systemctl is-active --quiet "$timer" && systemctl is-enabled --quiet "$timer"; then continue; fi
    systemctl --quiet unmask "$timer"
    systemctl --quiet enable --now "$timer"
done
