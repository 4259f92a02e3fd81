# fail2ban as it runs: the jails' own answers.
#: shared
settings=/etc/fail2ban/jail.d/towline.local
asked() { timeout 30 fail2ban-client "$@" 2>/dev/null; }
# Each fail2ban-client is a Python that starts, so one is asked everything: how often, and whom, of one jail after another.
all_asked() {
    for jail in sshd towline-sshd; do printf 'get %s maxretry\nget %s ignoreip\n' "$jail" "$jail"; done | asked -i || true
}
# The answer to question NUMBER of `all_asked`; empty when there is no such jail.
answer() { printf '%s\n' "$answers" | awk -v number="$1" 'sub(/^fail2ban> /, "") { n++ } n == number'; }
began() { date -d "$(systemctl show --property ExecMainStartTimestamp --value fail2ban)" +%s 2>/dev/null || printf '0\n'; }
# One that has just been started does not listen yet: at most 10 s.
settled() {
    left=100
    while [ "$left" -gt 0 ] && systemctl is-active --quiet fail2ban && [ ! -S /run/fail2ban/fail2ban.sock ]; do
        left=$((left - 1))
        sleep 0.1
    done
}
#: holds
settled
systemctl is-enabled --quiet fail2ban || no 'fail2ban.service does not start with the machine'
answers=$(all_asked) number=0
for jail in sshd towline-sshd; do
    number=$((number + 2))
    tries=$(answer "$((number - 1))") ignores=$(answer "$number")
    case $tries in '' | *[!0-9]*) no "fail2ban does not watch sshd: it has no jail $jail" ;; esac
    [ "$tries" = "$TRIES" ] || no "fail2ban bans after $tries failures in the jail $jail"
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
