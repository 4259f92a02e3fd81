# Clean-up that can take no release away: a release that is kept has a tag, and only untagged images that carry
# Towline's label go, a day after they were made. Never a volume, a container, or what has no such label.
#: shared
script=/usr/local/lib/towline/clean-up
unit=/etc/systemd/system/towline-clean-up
wanted_script() {
    cat <<'EOF'
#!/bin/sh
# Written by towline provision. Takes what no release needs: untagged images with the label towline.app, and build cache
# that was not used for a week. A release kept for rollback has its tag, so it stays.
set -eu
docker image prune --force --filter label=towline.app --filter until=24h
docker builder prune --force --filter until=168h
EOF
}
wanted_service() {
    cat <<'EOF'
# Written by towline provision.
[Unit]
Description=Clear away images of Towline's that no release needs
After=docker.service
Requires=docker.service

[Service]
Type=oneshot
ExecStart=/usr/local/lib/towline/clean-up
EOF
}
wanted_timer() {
    cat <<'EOF'
# Written by towline provision.
[Unit]
Description=Clear away images of Towline's that no release needs, every day

[Timer]
OnCalendar=daily
RandomizedDelaySec=1h
Persistent=true

[Install]
WantedBy=timers.target
EOF
}
#: holds
wanted_script | same "$script" || no "$script is not as it should be"
[ -x "$script" ] || no "$script cannot be run"
wanted_service | same "$unit.service" || no "$unit.service is not as it should be"
wanted_timer | same "$unit.timer" || no "$unit.timer is not as it should be"
systemctl is-active --quiet towline-clean-up.timer || no 'towline-clean-up.timer is not active'
systemctl is-enabled --quiet towline-clean-up.timer || no 'towline-clean-up.timer does not start with the machine'
printf 'towline-clean-up.timer is active\n'
#: apply
wanted_script | place "$script" 755
wanted_service | place "$unit.service" 644
wanted_timer | place "$unit.timer" 644
systemctl daemon-reload
systemctl --quiet enable --now towline-clean-up.timer
