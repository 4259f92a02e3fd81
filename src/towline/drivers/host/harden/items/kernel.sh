# Settings of the network only. What a kernel does not have (or a container may not write) is left out.
#: shared
file=/etc/sysctl.d/60-towline.conf
settings() {
    cat <<'EOF'
net.ipv4.tcp_syncookies=1
net.ipv4.conf.all.accept_redirects=0
net.ipv4.conf.default.accept_redirects=0
net.ipv4.conf.all.secure_redirects=0
net.ipv4.conf.default.secure_redirects=0
net.ipv4.conf.all.send_redirects=0
net.ipv4.conf.default.send_redirects=0
net.ipv4.conf.all.accept_source_route=0
net.ipv4.conf.default.accept_source_route=0
net.ipv4.icmp_echo_ignore_broadcasts=1
net.ipv6.conf.all.accept_redirects=0
net.ipv6.conf.default.accept_redirects=0
net.ipv6.conf.all.accept_source_route=0
net.ipv6.conf.default.accept_source_route=0
net.core.somaxconn=4096
EOF
}
# Sets path: where the kernel shows a setting.
set_path() {
    path=/proc/sys rest=$1.
    while [ -n "$rest" ]; do
        path=$path/${rest%%.*}
        rest=${rest#*.}
    done
}
wanted() {
    printf '# Written by towline provision.\n'
    settings | while IFS= read -r line; do
        set_path "${line%%=*}"
        if [ -w "$path" ]; then printf '%s\n' "$line"; fi
    done
}
#: holds
wanted | same "$file" || no "$file is not as it should be"
wanted | sed '/^#/d' | while IFS= read -r line; do
    set_path "${line%%=*}"
    now=$(cat "$path")
    [ "$now" = "${line#*=}" ] || no "${line%%=*} is $now"
done
printf '%s\n' "$file is in force"
#: apply
wanted | place "$file" 644
sysctl --quiet --load "$file"
