# The user who deploys. He may become root without a password: whoever may start containers is root anyway, and sudo
# writes down what was run. Keys that are there already stay.
#: shared
sudoers=/etc/sudoers.d/towline
wanted_sudoers() { printf '# Written by towline provision.\n%s ALL=(ALL:ALL) NOPASSWD: ALL\n' "$USER"; }
home() { getent passwd "$USER" | cut -d : -f 6; }
#: holds
getent passwd "$USER" >/dev/null || no "there is no user $USER"
keys=$(home)/.ssh/authorized_keys
printf '%s\n' "$KEYS" | while IFS= read -r key; do
    grep -qxF -- "$key" "$keys" 2>/dev/null || no "$keys lacks a key"
done
[ "$(stat -c '%U %a' "$keys")" = "$USER 600" ] || no "$keys belongs to others too"
[ "$(stat -c '%U %a' "$(dirname "$keys")")" = "$USER 700" ] || no "$(dirname "$keys") is open to others"
wanted_sudoers | same "$sudoers" || no "$sudoers is not as it should be"
runuser -u "$USER" -- sudo -n true 2>/dev/null || no "$USER may not become root"
printf '%s has %s keys and may become root\n' "$USER" "$(printf '%s\n' "$KEYS" | grep -c .)"
#: apply
# `*` is no password that anything hashes to; a locked account (`!`) could be refused its keys as well.
if ! getent passwd "$USER" >/dev/null; then
    if getent group "$USER" >/dev/null; then set -- --gid "$USER"; else set --; fi
    useradd "$@" --create-home --shell /bin/bash --password '*' "$USER"
fi
folder=$(home)/.ssh
group=$(id -gn "$USER")
install -d -m 700 -o "$USER" -g "$group" "$folder"
keys=$folder/authorized_keys
{
    if [ -e "$keys" ]; then sed '$a\' "$keys"; fi
    printf '%s\n' "$KEYS" | while IFS= read -r key; do
        grep -qxF -- "$key" "$keys" 2>/dev/null || printf '%s\n' "$key"
    done
} | place "$keys" 600
chown "$USER:$group" "$keys"
wanted_sudoers >"/run/towline-sudoers"
visudo -cqf /run/towline-sudoers
place "$sudoers" 440 </run/towline-sudoers
rm -f /run/towline-sudoers
