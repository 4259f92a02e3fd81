"""What a deploy to one host costs, at 0 and at 100 ms, against `docker compose up -d` over the same ssh.

Two web copies and a worker, ready 0.3 s after they start, their image there already; each round changes a variable, so
that each container is replaced. Towline starts new copies beside the old ones, moves the traffic, sees it there, leaves
the old ones to themselves, and looks at the result from outside; Compose stops each container and starts another, with
no front door. What old copies still have to do is left out on both sides: Compose's have nothing to do.
All four ways take turns. Round trips = (T at 100 ms - T at 0) / 100 ms, of the medians; what ssh itself takes to open a
connection (nine with the first answer, whoever uses it) is measured in the same run and told apart.
"""

from __future__ import annotations

import statistics
import sys

from figures import Goals, machine, spread, table
from hosted import FAR, hosted, step_seconds, with_compose

ROUNDS = 5
GOAL_TRIPS = 8.0


def main() -> int:
    """Measure in turn, and print."""
    times: dict[tuple[str, bool], list[float]] = {}
    with hosted() as app:
        compose = with_compose(app)
        machine(compose=compose or "missing", kamal="not run: no registry has its proxy's image here")
        app.towline("deploy", "near", "--yes")
        if compose:
            app.compose()
        for number in range(ROUNDS):
            for far in (False, True):
                app.write(f"v{number}{'far' if far else 'near'}")
                times.setdefault(("open ssh", far), []).append(app.ssh("true", far=far))
                times.setdefault(("towline deploy", far), []).append(app.towline("deploy", "near", "--yes", far=far))
                if compose:
                    times.setdefault(("docker compose up -d", far), []).append(app.compose(far=far))
        steps = step_seconds(app)
    trips = {
        name: (statistics.median(times[name, True]) - statistics.median(times[name, False])) / (FAR / 1000)
        for name, far in times
        if far
    }
    rows = [(name, spread(times[name, False]), spread(times[name, True]), f"{trips[name]:.1f}") for name in trips]
    table((f"{ROUNDS} rounds", "at 0 ms", f"at {FAR} ms", "round trips"), rows)
    for far in (False, True):
        if peer := times.get(("docker compose up -d", far)):
            ratio = statistics.median(times["towline deploy", far]) / statistics.median(peer)
            print(f"at {FAR if far else 0} ms: {ratio:.2f} times as long as Compose, which stops before it starts")
    print("on the host, the last time: " + ", ".join(f"{kind} {seconds:.2f} s" for kind, seconds in steps.items()))
    goals = Goals("deploy")
    goals.at_most("round_trips", trips["towline deploy"] - trips["open ssh"], "trips", GOAL_TRIPS)
    return goals.close()


if __name__ == "__main__":
    sys.exit(main())
