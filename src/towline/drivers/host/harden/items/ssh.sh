# Keys only, and nobody as root. sshd takes the first value that it reads, and cloud images ship a file that allows
# passwords (50-cloud-init.conf): ours comes before it.
#: shared
file=/etc/ssh/sshd_config.d/00-towline.conf
main=/etc/ssh/sshd_config
wanted() {
    cat <<'EOF'
# Written by towline provision.
PermitRootLogin no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitEmptyPasswords no
X11Forwarding no
LoginGraceTime 30
EOF
    # From OpenSSH 9.8 on, sshd lets an address wait that has failed: not that of an operator.
    known=$(printf '%s' "$IGNORED" | tr ' ' ,)
    if [ -n "$known" ] && sshd -t -o "PerSourcePenaltyExemptList=$known" 2>/dev/null; then
        printf 'PerSourcePenaltyExemptList %s\n' "$known"
    fi
}
# What the running sshd does is what its files said when it read them last; the folder tells of a file that is gone.
last_read() { date -d "$(systemctl show --property StateChangeTimestamp --value ssh.service)" +%s 2>/dev/null || printf '0\n'; }
last_written() { stat -c %Y "$main" "${file%/*}" "${file%/*}"/*.conf | sort -n | tail -n 1; }
included() { grep -qiE '^[[:space:]]*Include[[:space:]]+"?/etc/ssh/sshd_config\.d/\*\.conf' "$main"; }
# What sshd would do with a stranger who calls himself root or anybody: rules under `Match` count as well.
says() {
    for who in root "$USER" nobody-in-particular; do
        said=$(sshd -T -C "user=$who,host=stranger.invalid,addr=192.0.2.1" 2>/dev/null) || true
        for line in 'permitrootlogin no' 'passwordauthentication no' 'kbdinteractiveauthentication no'; do
            printf '%s\n' "$said" | grep -qx "$line" ||
                no "for $who sshd does not say \"$line\""
        done
    done
}
#: holds
mkdir -p /run/sshd
wanted | same "$file" || no "$file is not as it should be"
says
if systemctl is-active --quiet ssh.service; then
    [ "$(last_read)" -ge "$(last_written)" ] || no 'sshd has not read its files since they were changed'
fi
printf 'keys only, not root\n'
#: apply
mkdir -p /run/sshd
wanted | place "$file" 644
if ! included; then
    {
        printf 'Include /etc/ssh/sshd_config.d/*.conf\n'
        cat "$main"
    } | place "$main" 644
fi
sshd -t || no 'sshd would not start with these files'
systemctl try-reload-or-restart ssh.service
