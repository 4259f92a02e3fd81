"""A program called `docker` for scripts whose containers only bring a program along: it runs that program here.

`run` gets the variables that `--env` names and no others, as in a container. `compose` writes down what it was called
with, and does what its state says.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAM = r"""#!/bin/bash
set -euo pipefail
state={state}
printf '%s\n' "$*" >> "$state/calls"
case "$1" in
  login) cat > "$state/token"; exit 0 ;;
  logout) exit 0 ;;
  run)
    shift
    given=("PATH={path}" "HOME=$state")
    program=()
    while [ $# -gt 0 ]; do
      case "$1" in
        --rm | --interactive) shift ;;
        --network) shift 2 ;;
        --env) given+=("$2=${{!2-}}"); shift 2 ;;
        --entrypoint) program=("$2"); shift 2 ;;
        *) shift; break ;;
      esac
    done
    exec env -i "${{given[@]}}" "${{program[@]}}" "$@" ;;
esac
# compose --file COMPOSE [--file IMAGES] COMMAND ...
shift
while [ "$1" = --file ]; do images="$2"; shift 2; done
case "$1" in
  pull) [ -f "$images" ] ;;
  up)
    # A release whose images are in the list of bad ones never becomes healthy.
    if [[ " $* " == *" --wait "* ]] && [ -f "$state/bad" ] && grep -qF -f "$state/bad" "$images"; then exit 1; fi ;;
  exec)
    # exec -T SERVICE pg_dump ...
    shift 3
    PATH={path} PGHOST=127.0.0.1 PGPORT="$(cat "$state/port")" PGPASSWORD="$(cat "$state/password")" exec "$@" ;;
  run)
    # run --rm -T release: what that container does is what the test says.
    exec /bin/sh "$state/release" ;;
  logs) echo "the last lines of the release" ;;
esac
"""


class DockerStandIn:
    """The program in a folder of its own, `bin`, to be put first on PATH."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.bin, self.state = folder / "bin", folder / "state"
        for path in (self.bin, self.state):
            path.mkdir(parents=True, exist_ok=True)
        found = f"{programs}:/usr/local/bin:/usr/bin:/bin"
        program = self.bin / "docker"
        program.write_text(_PROGRAM.format(state=self.state, path=found))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    @property
    def calls(self) -> list[str]:
        """Everything that it was called with."""
        path = self.state / "calls"
        return path.read_text().splitlines() if path.exists() else []
