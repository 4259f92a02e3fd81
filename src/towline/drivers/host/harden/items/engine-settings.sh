# Docker's own settings, placed before it is installed where it is not there yet: then it starts once, with them.
# KEYS must stand in the file; ADD is the JSON of those that were missing, with a comma behind it where others follow.
#: shared
file=/etc/docker/daemon.json
#: holds
if [ -n "$KEYS" ]; then [ -s "$file" ] || no "there is no $file"; fi
for key in $KEYS; do
    grep -q "\"$key\"" "$file" || no "$file does not say $key"
done
printf '%s\n' "$file says ${KEYS:-nothing of ours}"
#: apply
if [ -s "$file" ]; then
    opens=$(grep -bo '{' "$file" | head -n 1 | cut -d : -f 1)
    {
        printf '{\n%s' "$ADD"
        tail -c "+$((opens + 2))" "$file"
    } | place "$file" "$(stat -c %a "$file")"
else
    printf '{\n%s\n}\n' "$ADD" | place "$file" 644
fi
