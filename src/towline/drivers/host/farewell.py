"""The farewell of old copies, as the programs of its steps (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.drivers.host.batch import StepProgram
from towline.drivers.host.programs import part, quote, settings

if TYPE_CHECKING:
    from towline.steps.farewell import AwaitFarewell, SeeOff


def see_off(step: SeeOff) -> StepProgram:
    """Start the process that ends it, and see that it has begun."""
    body = _shared()
    call = f"see_off {quote(step.name)} {_whole(step.drain)} {_whole(step.stop_within)}\n"
    return StepProgram(
        before=f"{body}was {quote(step.name)}\n", apply=f"{settings(script=_script())}{body}{call}", beside=True
    )


def await_farewell(step: AwaitFarewell) -> StepProgram:
    """Until no process of a farewell of the service is left."""
    body = _shared()
    return StepProgram(
        holds=f"{body}none_leaves {quote(step.service)}\n",
        apply=f"{body}awaited {quote(step.service)} {_whole(step.within)}\n",
    )


def _shared() -> str:
    return part("files.sh") + part("docker.sh") + part("leaving.sh") + part("farewell.sh")


def _script() -> str:
    """What the process runs, after its settings."""
    path = "PATH=${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin\nLC_ALL=C\nexport PATH LC_ALL\n"
    start = "umask 077\nwork=$(mktemp -d) || exit 74\n"
    return f"{path}{start}{part('words.sh')}{_shared()}leave\n"


def _whole(span: float) -> str:
    return str(max(0, round(span)))
