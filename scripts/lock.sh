#!/bin/sh
# Compile requirements/*.txt from pyproject.toml: every version pinned with hashes, no host named.
set -eu
cd "$(dirname "$0")/.."
.venv/bin/python -m pip install --quiet --disable-pip-version-check uv
compile() {
    out=$1
    shift
    .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
        --python-version 3.11 pyproject.toml "$@" --output-file "requirements/$out.txt"
    if grep -E '://' "requirements/$out.txt"; then
        echo "requirements/$out.txt names a host" >&2
        exit 1
    fi
}
compile run --group build
compile dev --group build --group runtime --group reference --group test --group check
