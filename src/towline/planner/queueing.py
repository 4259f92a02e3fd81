"""Formulas of queues: how often all slots are busy, and how long a job waits then. Pure; times in any one unit.

Erlang, A. K.: Solution of some Problems in the Theory of Probabilities of Significance in Automatic Telephone
Exchanges (1917), for B and C; Allen, A. O.: Probability, Statistics, and Queueing Theory (1978), for the correction of
waits where arrivals or jobs are more or less even than chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log


def erlang_b(slots: int, offered: float) -> float:
    """The part of arrivals that find all slots busy where nobody waits. `offered` is arrivals a time x its mean.

    The recursion B(0) = 1, B(k) = a B(k-1) / (k + a B(k-1)) has no factorials, so it cannot overflow.
    """
    blocked = 1.0
    for busy in range(1, slots + 1):
        blocked = offered * blocked / (busy + offered * blocked)
    return blocked


def erlang_c(slots: int, offered: float) -> float:
    """The part of arrivals that must wait where everybody waits; 1 from full load on."""
    if offered >= slots:
        return 1.0
    blocked = erlang_b(slots, offered)
    return slots * blocked / (slots - offered * (1 - blocked))


@dataclass(frozen=True)
class Queue:
    """`slots` jobs at a time from one line, first come first served.

    `rate` is arrivals in a unit of time, `service` the mean time of a job; `arrival_cv` and `service_cv` are the
    standard deviations divided by the means: 1 is pure chance (exponential), 0 is clockwork.
    """

    slots: int
    rate: float
    service: float
    service_cv: float = 1.0
    arrival_cv: float = 1.0

    def __post_init__(self) -> None:
        if self.slots < 1 or self.service <= 0 or self.rate < 0 or self.service_cv < 0 or self.arrival_cv < 0:
            raise ValueError(f"no queue: {self}; one slot and a positive time of service are the least")

    @property
    def load(self) -> float:
        """The part of the time that a slot is busy; 1 and more cannot be served."""
        return self.rate * self.service / self.slots

    @property
    def waiting(self) -> float:
        """The part of jobs that wait at all."""
        return erlang_c(self.slots, self.rate * self.service)

    @property
    def unevenness(self) -> float:
        """Allen and Cunneen's factor on the wait: 1 for pure chance, 1/2 for jobs that all take equally long."""
        return (self.arrival_cv**2 + self.service_cv**2) / 2

    @property
    def mean_wait(self) -> float:
        """Mean time in the line: C s / (c (1 - load)), times `unevenness`; infinite from full load on."""
        if self.load >= 1:
            return inf
        return self.unevenness * self.waiting * self.service / (self.slots * (1 - self.load))

    def wait(self, part: float) -> float:
        """The wait that `part` of the jobs (0.95) do not exceed.

        Exact for pure chance, where those who wait do so exponentially; else the same tail with its mean scaled.
        """
        if not 0 <= part < 1:
            raise ValueError(f"{part} is no part of all jobs: 0 up to, not including, 1 is wanted")
        if self.load >= 1:
            return inf
        waiting = self.waiting
        if waiting <= 1 - part:
            return 0.0
        return self.unevenness * self.service / (self.slots * (1 - self.load)) * log(waiting / (1 - part))

    @property
    def length(self) -> float:
        """Mean number of jobs in the line (Little: arrivals x wait)."""
        return self.rate * self.mean_wait if self.rate else 0.0
