"""Batches as one shell program that writes the journal on the host, beside each act."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from towline.core.errors import Defect
from towline.drivers.host.programs import part, program, quote, settings
from towline.steps.model import Line, as_stretch, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from towline.steps.model import Batch, Lease, Stretch

PATIENCE: Final = 60
"""Seconds that a batch waits for one of an earlier operator to end; that one ends at its next step."""

LAUNCH: Final = """
umask 077
file=$(mktemp /run/towline.XXXXXXXX 2>/dev/null || mktemp) || exit 73
gzip -dc >"$file" || { rm -f "$file"; exit 74; }
exec setsid -w sh "$file"
"""
"""Runs what `packed` made, on its standard input, in a session of its own: it goes on when the connection is gone."""

SIDE_BY_SIDE: Final = 4
"""Steps of one kind that a host carries out at once: it serves people meanwhile, and may have one processor."""

_MOST = 120_000
"""Bytes of one program of a step: Linux takes 131,072 in one argument."""


@dataclass(frozen=True)
class StepProgram:
    """One step as three shell programs, each run by `sh -c`, as root, with `home` (the folder of the target) set.

    `holds` ends with 0 when there is nothing left to do, and says on its last line what it saw. `before` prints a JSON
    object, or nothing for an empty one. `apply` clears the leftovers of an earlier try, does it, and says on its last
    line what it saw; a status other than 0 is a failure, what it printed is the evidence, and `fail SENTENCE [HINT]`
    says it better. `json_strings`, `masked` and `last_line` are at hand, and a folder `$work` that goes with the batch.
    None of them may hold a secret (they are arguments, for all to see), leave a process behind that holds on to its
    output, or wait without a limit. With `beside` it minds nothing of the steps of its kind directly before and after
    it, and goes side by side with them.
    """

    holds: str = "false"
    before: str = ""
    apply: str = "true"
    beside: bool = False


def batch_program(work: Batch | Stretch, programs: Sequence[StepProgram], lease: Lease, run: str, *, home: str) -> str:
    """The program that carries out a batch, or several in a row, under `home`; to be sent as `packed` to LAUNCH.

    It prints each line of the journal once it is on the disk, or one line with a mark instead: `!fenced FENCE OWNER`,
    `!busy`, `!journal REASON`. Raises Defect for a program that is too long to run.
    """
    stretch = as_stretch(work)
    calls = [_recorded(stretch.opening)]
    steps = zip(_places(stretch, lease, run), programs, strict=True)
    for (_, _, beside), some in groupby(steps, lambda one: _kind(*one)):
        calls += _calls(list(some), beside=beside)
    calls.append(_recorded(stretch.closing))
    opening = f'rm -f "$0"\n{settings(lease=lease.fence, words=part("words.sh"))}eval "$words"\nopen_batch {PATIENCE}\n'
    return program(home, opening + "".join(calls), "batch.sh")


def packed(text: str) -> bytes:
    """A program for LAUNCH: steps repeat much of each other, and one whose end is missing must not run."""
    return gzip.compress(text.encode(), mtime=0)


def _recorded(line: Line | None) -> str:
    """The call that writes a line of the engine's own."""
    if line is None:
        return ""
    plain = {name: value for name, value in to_json(line).items() if name != "at" and value not in (None, "", [])}
    return f"recorded {quote(_inside(plain))}\n"


def _kind(place: Line, made: StepProgram) -> tuple[int, str, bool]:
    """What steps have in common that go side by side: nobody goes beside the steps of another stage."""
    return place.stage, place.step.kind if place.step else "", made.beside


def _calls(some: list[tuple[Line, StepProgram]], *, beside: bool) -> Iterator[str]:
    """Steps of one kind, one after the other or `beside` each other."""
    if not beside or len(some) == 1:
        yield from (_call("step", *one) for one in some)
        return
    for first in range(0, len(some), SIDE_BY_SIDE):
        yield from (_call("aside", *one) for one in some[first : first + SIDE_BY_SIDE])
        yield "together\n"


def _call(how: str, place: Line, made: StepProgram) -> str:
    plain = to_json(place)
    common = {name: plain[name] for name in ("run", "fence", "site", "stage", "index", "step")}
    pieces = (_inside(common), made.holds, made.before, made.apply)
    for piece in pieces:
        if len(piece.encode()) > _MOST:
            title = place.step.title if place.step else "a step"
            raise Defect(f"the program of `{title}` is {len(piece.encode())} bytes long, more than {_MOST}")
    return f"{how} {' '.join(map(quote, pieces))}\n"


def _places(stretch: Stretch, lease: Lease, run: str) -> Iterator[Line]:
    """What all journal lines of each step have in common."""
    for batch in stretch.batches:
        for index, step in enumerate(batch.steps):
            yield Line("", run, "began", lease.fence, site=batch.site, stage=batch.stage, index=index, step=step)


def _inside(plain: dict[str, Any]) -> str:
    """The inside of a JSON object."""
    return json.dumps(plain, separators=(",", ":"))[1:-1]
