# fail2ban as it runs: the jails' own answers.
#: shared
settings=/etc/fail2ban/jail.d/towline.local
asked() { timeout 30 fail2ban-client "$@" 2>/dev/null; }
began() { date -d "$(systemctl show --property ExecMainStartTimestamp --value fail2ban)" +%s 2>/dev/null || printf '0\n'; }
#: holds
systemctl is-enabled --quiet fail2ban || no 'fail2ban.service does not start with the machine'
for jail in sshd towline-sshd; do
    tries=$(asked get "$jail" maxretry) || no "fail2ban does not watch sshd: it has no jail $jail"
    [ "$tries" = "$TRIES" ] || no "fail2ban bans after $tries failures in the jail $jail"
    ignores=$(asked get "$jail" ignoreip)
    for one in $IGNORED; do
        printf '%s\n' "$ignores" | grep -qF -- "- $one" || no "fail2ban would ban $one"
    done
done
[ "$(began)" -ge "$(stat -c %Y "$settings")" ] || no "fail2ban has not started again since $settings was written"
printf 'two jails watch sshd, %s tries\n' "$TRIES"
#: apply
systemctl --quiet enable fail2ban
systemctl restart fail2ban
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    if asked status towline-sshd >/dev/null; then break; fi
    sleep 0.5
done
