# What the fragments of every item use.
set -eu
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
export PATH LC_ALL=C
# SENTENCE [HINT]: end a question with the reason for its no, or an act with what went wrong. Where there is a batch
# around it, `work` is set, and its journal is to have the sentence.
no() {
    printf '%s\n' "$1" >&2
    if [ -n "${work-}" ]; then
        printf '%s\n' "$1" >"$work/sentence"
        printf '%s\n' "${2-}" >"$work/hint"
    fi
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }
# The content of FILE is what comes on standard input.
same() { cmp -s - "$1"; }
# FILE MODE: its content becomes what comes on standard input, whole or not at all.
place() {
    mkdir -p "$(dirname "$1")"
    new=$(mktemp "$(dirname "$1")/.towline.XXXXXX")
    cat >"$new"
    chmod "$2" "$new"
    mv -f "$new" "$1"
}
