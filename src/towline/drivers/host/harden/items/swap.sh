# Made beside the place and moved there when it is whole: a try that broke off is thrown away by the next one.
#: shared
active() { sed -n '2,$p' /proc/swaps | grep -q .; }
ours_runs() { grep -q "^$(readlink -f /swapfile)[[:space:]]" /proc/swaps; }
with_the_machine() { grep -q '^/swapfile[[:space:]]' /etc/fstab; }
#: holds
active || no 'there is no swap'
if ours_runs; then with_the_machine || no '/swapfile does not come back with the machine'; fi
printf '%s\n' "swap: $(sed -n '2,$p' /proc/swaps | tr -s ' \t' ' ' | cut -d ' ' -f 1,3 | tr '\n' ',' | sed 's/,$//')"
#: apply
file=$(readlink -f /swapfile)
new=$file.towline
rm -f "$new"
made=
if ! ours_runs && ! [ -e "$file" ]; then
    made=yes
    umask 077
    : >"$new"
    if [ "$(stat -f -c %T "$(dirname "$new")")" = btrfs ]; then chattr +C "$new"; fi
    fallocate -l "$BYTES" "$new" || { rm -f "$new"; no "there is no room for $SIZE of swap" 'df -h /'; }
    mkswap "$new" >/dev/null
    mv "$new" "$file"
fi
if ! ours_runs && ! swapon "$file"; then
    [ -z "$made" ] || rm -f "$file"
    no 'the file system does not take a swap file' 'towline provision HOST --swap 0'
fi
if ! with_the_machine; then
    {
        cat /etc/fstab
        printf '/swapfile none swap sw 0 0\n'
    } | place /etc/fstab 644
fi
