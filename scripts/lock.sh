#!/bin/sh
# Compile every file of pinned requirements: each version pinned with hashes, no host named.
set -eu
cd "$(dirname "$0")/.."
.venv/bin/python -m pip install --quiet --disable-pip-version-check uv
compile() {
    out=$1
    shift
    .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
        --python-version 3.11 "$@" --output-file "$out.txt"
    if grep -E '://' "$out.txt"; then
        echo "$out.txt names a host" >&2
        exit 1
    fi
}
compile requirements/run pyproject.toml --group build
compile requirements/dev pyproject.toml --group build --group runtime --group reference --group test --group check
compile requirements/bench requirements/bench.in
compile requirements/bench-redis requirements/bench-redis.in
compile reference/requirements reference/requirements.in
compile examples/postcards/requirements examples/postcards/requirements.in
