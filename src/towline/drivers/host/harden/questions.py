"""Ask many steps at once whether they hold: one program, answered in one round trip, nothing changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.core.errors import SiteUnreachable
from towline.drivers.host.harden.fragments import question
from towline.drivers.host.programs import quote
from towline.steps.machine import Seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from towline.steps.ensure import Ensure


def questions_program(steps: Sequence[Ensure]) -> str:
    """A program that answers with a line `NUMBER<TAB>STATUS<TAB>WORDS` a step; it asks them side by side."""
    asked = "".join(
        f'(sh -c {quote(question(step))} </dev/null >{number}.out 2>{number}.err; echo "$?" >{number}.status) &\n'
        for number, step in enumerate(steps)
    )
    numbers = " ".join(str(number) for number in range(len(steps)))
    return (
        'folder=$(mktemp -d) || exit 1\ntrap \'rm -rf "$folder"\' EXIT\ncd "$folder" || exit 1\nunset work\n'
        f"{asked}wait\n"
        f"for number in {numbers}; do\n"
        "    status=$(cat $number.status)\n"
        '    if [ "$status" = 0 ]; then words=$(tail -n 1 $number.out); else words=$(tail -n 1 $number.err); fi\n'
        '    printf \'%s\\t%s\\t%s\\n\' "$number" "$status" "$words"\n'
        "done\n"
    )


def read_answers(text: str, count: int) -> tuple[Seen, ...]:
    """What the program printed about each of `count` steps. Raises SiteUnreachable when an answer is missing."""
    seen: dict[int, Seen] = {}
    for line in text.splitlines():
        number, _, rest = line.partition("\t")
        status, tab, words = rest.partition("\t")
        if tab and number.isdigit():
            seen[int(number)] = Seen(status == "0", words)
    if sorted(seen) != list(range(count)):
        raise SiteUnreachable(f"the machine answered {len(seen)} of {count} questions", hint="df -h, on the host")
    return tuple(seen[number] for number in range(count))
