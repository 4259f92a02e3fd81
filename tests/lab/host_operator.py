"""An operator as a program of its own, to be frozen or killed: `host_operator.py ADDRESS HOME ROOT PLAN OPTIONS...`.

Runs a plan (a JSON file) through the engine under a lease of one second, and prints each event of a step.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from towline.core.errors import TowlineError
from towline.core.events import StepBegan, StepDone
from towline.drivers.host.address import Address
from towline.drivers.host.driver import HostSite
from towline.drivers.host.ssh import Connection
from towline.drivers.host.tasks import end_site, run_task
from towline.release.engine import run
from towline.release.lock import held
from towline.steps.model import plan_from_json

if TYPE_CHECKING:
    from towline.core.events import Event
    from towline.drivers.host.driver import Programs

SITE = "box"
PLAIN: Programs = {"run-task": run_task, "end-site": end_site}


def say(*words: str) -> None:
    """A line for whoever started this."""
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


def tell(event: Event) -> None:
    """Print what a test waits for."""
    match event:
        case StepBegan(_, title):
            say("began", title)
        case StepDone(_, title):
            say("done", title)
        case _:
            pass


def main() -> int:
    """Carry out the plan; the exit status of the error that ended it."""
    address, home, root, plan, *options = sys.argv[1:]
    with Connection(Address.parse(address), options=options, root=root == "True") as connection:
        site = HostSite(connection, home, site=SITE, programs=PLAIN)
        try:
            with held({SITE: site}, "ann@laptop pid 1", seconds=1.0) as hold:
                run(plan_from_json(json.loads(Path(plan).read_text())), {SITE: site}, hold, site, tell)
        except TowlineError as error:
            say(error.code, str(error))
            return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
