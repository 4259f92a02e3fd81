"""What it takes to be back at the release before: the whole command, on one host, at 0 and at 100 ms.

Two web copies and a worker, ready 0.3 s after they start. Each round deploys another version, waits until nothing of
the old one is left, and rolls back, so that every container is made again. The end of the version that is taken back is
told apart: nobody waits for it but the command.
"""

from __future__ import annotations

import statistics
import sys

from figures import Goals, machine, spread, table
from hosted import FAR, hosted, step_seconds

ROUNDS = 5
GOAL = 2.0
ENDING = ("drain", "stop-instance", "confirm-stopped", "see-off")
GONE = 'until [ -z "$(docker ps -q --filter name=leaving)" ]; do sleep 0.1; done'


def main() -> int:
    """Measure in turn, and print."""
    machine()
    times: dict[bool, list[float]] = {False: [], True: []}
    without: dict[bool, list[float]] = {False: [], True: []}
    with hosted() as app:
        app.towline("deploy", "near", "--yes")
        for number in range(ROUNDS):
            for far in (False, True):
                app.write(f"v{number}{'far' if far else 'near'}")
                app.towline("deploy", "near", "--yes")
                app.ssh(GONE)
                took = app.towline("rollback", "-t", "near", far=far)
                app.ssh(GONE)
                times[far].append(took)
                steps = step_seconds(app)
                without[far].append(took - sum(steps.get(kind, 0.0) for kind in ENDING))
    rows = [(f"at {FAR if far else 0} ms", spread(times[far]), spread(without[far])) for far in times]
    table((f"{ROUNDS} rounds", "the whole command", "without the end of what is taken back"), rows)
    print("on the host, the last time: " + ", ".join(f"{kind} {seconds:.2f} s" for kind, seconds in steps.items()))
    goals = Goals("rollback")
    goals.at_most("seconds", statistics.median(without[False]), "s", GOAL)
    return goals.close()


if __name__ == "__main__":
    sys.exit(main())
