#!/bin/sh
# Compile requirements/*.txt from pyproject.toml: every version pinned with hashes, no host named.
set -eu
cd "$(dirname "$0")/.."
.venv/bin/python -m pip install --quiet --disable-pip-version-check uv
compile() {
    out=$1
    shift
    .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
        --python-version 3.11 "$@" --output-file "requirements/$out.txt"
    if grep -E '://' "requirements/$out.txt"; then
        echo "requirements/$out.txt names a host" >&2
        exit 1
    fi
}
compile run pyproject.toml --group build
compile dev pyproject.toml --group build --group runtime --group reference --group test --group check
compile bench requirements/bench.in
compile bench-redis requirements/bench-redis.in
