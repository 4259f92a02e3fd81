#!/bin/sh
# Make .venv and install the pinned packages into it: install.sh PYTHON run|dev
set -eu
python=$1 set=$2
cd "$(dirname "$0")/.."

lacks() {
    echo "$1" >&2
    echo >&2
    echo "hint: sudo apt-get install -y $2" >&2
    exit 2
}
command -v "$python" >/dev/null 2>&1 || lacks "Towline needs Python 3.11 or newer, and \`$python\` is not here" "python3 python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    lacks "Towline needs Python 3.11 or newer; \`$python\` is $("$python" -V 2>&1)" "python3.11 python3.11-venv  # then: make PYTHON=python3.11 demo"
"$python" -c 'import ensurepip, venv' 2>/dev/null || lacks "Python here cannot make virtual environments" "python3-venv"

started=$(date +%s)
[ -x .venv/bin/python ] || "$python" -m venv .venv
count=$(grep -c '==' "requirements/$set.txt")
echo "Installing $count pinned packages into .venv (about 250 MB with the servers; only the first time) ..." >&2
.venv/bin/pip install --disable-pip-version-check --require-hashes -r "requirements/$set.txt" 2>&1 |
    awk '/^Collecting /{n++; if (n % 10 == 0) printf "  %d packages found\n", n; fflush()}
         /^(Installing collected|Successfully)/{print "  " substr($0, 1, 60) " ..."; fflush()}
         /rror/{print}' >&2
.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
touch ".venv/.$set"
[ "$set" = dev ] && touch .venv/.run
echo "Installed in $(($(date +%s) - started)) s" >&2
