# The engine as it runs, not as its file says. LIVE is "false" in a swarm, which cannot have live-restore.
#: shared
file=/etc/docker/daemon.json
answers() { timeout 30 docker version --format '{{.Server.APIVersion}} {{.Server.Version}}' 2>/dev/null; }
new_enough() { [ "$(printf '%s\n%s\n' "$API" "$1" | sort -V | head -n 1)" = "$API" ]; }
# Log limits are read when the daemon starts, so it must have started after the file was written.
began() { date -d "$(systemctl show --property ExecMainStartTimestamp --value docker)" +%s 2>/dev/null || printf '0\n'; }
# One that was told to start is waited for: at most 60 s.
settled() {
    left=600
    while [ "$left" -gt 0 ] && systemctl list-jobs --no-legend docker.service | grep -q '^'; do
        left=$((left - 1))
        sleep 0.1
    done
}
#: holds
has docker || no 'there is no docker command'
settled
systemctl is-active --quiet docker || no 'docker.service is not active'
systemctl is-enabled --quiet docker || no 'docker.service does not start with the machine'
version=$(answers) || no 'Docker does not answer'
new_enough "${version%% *}" || no "Docker ${version#* } has Engine API ${version%% *}, and $API is the oldest that will do"
live=$(timeout 30 docker info --format '{{.LiveRestoreEnabled}}')
[ "$live" = "$LIVE" ] || no "live-restore is $live"
if [ -e "$file" ]; then
    [ "$(began)" -ge "$(stat -c %Y "$file")" ] || no "Docker has not started again since $file was written"
fi
printf 'Docker %s, Engine API %s, live-restore %s\n' "${version#* }" "${version%% *}" "$live"
#: apply
systemctl --quiet enable docker
if version=$(answers); then
    new_enough "${version%% *}" ||
        no "Docker ${version#* } has Engine API ${version%% *}, and $API is the oldest that will do"
    # With live-restore taken up first, the restart leaves running containers alone.
    systemctl reload docker
fi
systemctl restart docker
