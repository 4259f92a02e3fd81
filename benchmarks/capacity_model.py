"""The waiting times that the planner predicts against a simulation of the same workers.

SimPy runs the queue event by event: random arrivals, jobs of a drawn length, so many slots, one line. Each row is the
mean of several runs with other seeds; the interval is the 95 % confidence interval of that mean (Student's t). The
first jobs of each run are left out, since it begins empty. No clock is used: simulated time only.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import simpy

from figures import Goals, machine, table
from towline.planner.queueing import Queue

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

RUNS = 8
JOBS = 30_000
WARM_UP = 3_000
STUDENT_T = 2.365
"""Two-sided 95 % of Student's t with RUNS - 1 = 7 degrees of freedom."""

WITHIN = 15.0
"""Per cent: how far a predicted mean wait may lie beyond the interval."""

TAIL_WITHIN = 25.0
"""Per cent: the same for the wait of 95 in 100, where that is more than a tenth of a job."""


@dataclass(frozen=True)
class Seen:
    """A figure that the simulation saw, with half of its confidence interval."""

    mean: float
    half: float

    def beyond(self, predicted: float) -> float:
        """Per cent by which a prediction misses the nearest end of the interval; 0 inside it."""
        nearest = min(max(predicted, self.mean - self.half), self.mean + self.half)
        return 100 * abs(predicted - nearest) / nearest if nearest else 0.0

    def __str__(self) -> str:
        return f"{self.mean:.2f} +- {self.half:.2f}"


def simulate(queue: Queue, seed: int, jobs: int) -> list[float]:
    """The waits of one run, without those of the warm-up, in the queue's unit of time."""
    chance = random.Random(seed)
    length = lengths(queue, chance)
    world = simpy.Environment()
    slots = simpy.Resource(world, capacity=queue.slots)
    waits: list[float] = []

    def job(service: float) -> Generator[simpy.Event, object, None]:
        came = world.now
        with slots.request() as turn:
            yield turn
            waits.append(world.now - came)
            yield world.timeout(service)

    def arrivals() -> Generator[simpy.Event, object, None]:
        for _ in range(jobs):
            yield world.timeout(chance.expovariate(queue.rate))
            world.process(job(length()))

    world.process(arrivals())
    world.run()
    return waits[min(WARM_UP, jobs // 10) :]


def lengths(queue: Queue, chance: random.Random) -> Callable[[], float]:
    """Draws lengths of jobs with the queue's mean and spread: all alike, even between two ends, or log-normal."""
    mean, cv = queue.service, queue.service_cv
    if cv == 1:
        return lambda: chance.expovariate(1 / mean)
    if cv <= 1 / math.sqrt(3):
        return lambda: chance.uniform(mean * (1 - cv * math.sqrt(3)), mean * (1 + cv * math.sqrt(3)))
    sigma = math.sqrt(math.log(1 + cv**2))
    return lambda: chance.lognormvariate(math.log(mean) - sigma**2 / 2, sigma)


def observe(queue: Queue, jobs: int) -> tuple[Seen, Seen]:
    """The mean wait and the 95th percentile of waits, over several runs of so many jobs."""
    waits = [simulate(queue, seed, jobs) for seed in range(1, RUNS + 1)]
    return seen([statistics.fmean(one) for one in waits]), seen([statistics.quantiles(one, n=20)[-1] for one in waits])


def seen(runs: list[float]) -> Seen:
    """The mean of independent runs and its interval."""
    return Seen(statistics.fmean(runs), STUDENT_T * statistics.stdev(runs) / math.sqrt(RUNS))


def queues() -> list[Queue]:
    """Five slots and jobs of 32.5 s, from half to nine tenths full, from even to quite uneven jobs."""
    return [
        Queue(slots, load * slots / service, service, cv)
        for slots, service in ((5, 32.5), (10, 32.5), (1, 4.0))
        for cv in (0.045, 0.5, 1.0)
        for load in (0.5, 0.7, 0.8, 0.9)
    ]


def main() -> int:
    """Simulate every queue, print the predictions beside what was seen."""
    machine(simpy=simpy.__version__)
    rows, means, tails = [], [], []
    for queue in queues():
        # Waits of a nearly full queue swing for hours: four times the jobs for an interval of the same width.
        mean, tail = observe(queue, JOBS * (4 if queue.load > 0.85 else 1))
        means.append(mean.beyond(queue.mean_wait))
        tails.append(tail.beyond(queue.wait(0.95)) if tail.mean > queue.service / 10 else 0.0)
        name, load = f"{queue.slots} x {queue.service:g} s, cv {queue.service_cv:g}", f"{queue.load:.0%}"
        mean_said = (f"{queue.mean_wait:.2f}", str(mean), f"{means[-1]:.1f} %")
        rows.append((name, load, *mean_said, f"{queue.wait(0.95):.1f}", str(tail), f"{tails[-1]:.1f} %"))
    head = ("queue", "load", "mean wait", "simulated", "beyond", "95 % wait within", "simulated", "beyond")
    table(head, rows)
    goals = Goals("capacity_model")
    goals.at_most("mean_wait_beyond_interval", max(means), "%", WITHIN)
    goals.at_most("p95_wait_beyond_interval", max(tails), "%", TAIL_WITHIN)
    return goals.close()


if __name__ == "__main__":
    sys.exit(main())
