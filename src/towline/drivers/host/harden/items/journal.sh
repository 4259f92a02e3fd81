# The journal's own limit: without one it takes up to 4 GB.
#: shared
file=/etc/systemd/journald.conf.d/60-towline.conf
wanted() { printf '# Written by towline provision.\n[Journal]\nSystemMaxUse=%s\n' "$LIMIT"; }
#: holds
wanted | same "$file" || no "$file is not as it should be"
printf '%s\n' "$file"
#: apply
wanted | place "$file" 644
systemctl restart systemd-journald
