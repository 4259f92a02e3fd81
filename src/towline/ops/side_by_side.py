"""What several sites show, put into one: instances by site, log lines by time."""

from __future__ import annotations

import heapq
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from towline.ops.workspace import LiveSite
    from towline.steps.model import InstanceStatus, LogLine


@dataclass(frozen=True)
class _Over:
    """A site shows nothing more; `error` is why, when it broke off."""

    error: BaseException | None


def status_of(sites: Mapping[str, LiveSite]) -> tuple[InstanceStatus, ...]:
    """Every instance, each with its site, in the order of the sites; asked side by side."""
    with ThreadPoolExecutor(max(1, len(sites)), "status") as pool:
        asked = {name: pool.submit(site.status) for name, site in sites.items()}
        return tuple(replace(one, site=name) for name, found in asked.items() for one in found.result())


def earlier_lines(sites: Mapping[str, LiveSite], services: tuple[str, ...] | None, lines: int) -> Iterator[LogLine]:
    """The last lines of all sites in the order of their times, as each site's clock has them."""
    told = [_of(name, site.logs(services, lines, follow=False)) for name, site in sites.items()]
    yield from heapq.merge(*told, key=lambda one: one.at)


def following_lines(sites: Mapping[str, LiveSite], services: tuple[str, ...] | None, lines: int) -> Iterator[LogLine]:
    """The last lines and then every new one, as they come, until all sites end or the caller leaves."""
    if len(sites) == 1:
        ((name, site),) = sites.items()
        yield from _of(name, site.logs(services, lines, follow=True))
        return
    inbox: queue.SimpleQueue[LogLine | _Over] = queue.SimpleQueue()

    def read(name: str, site: LiveSite) -> None:
        error: BaseException | None = None
        try:
            for line in _of(name, site.logs(services, lines, follow=True)):
                inbox.put(line)
        except BaseException as raised:  # noqa: BLE001 - raised again in the thread of the caller
            error = raised
        inbox.put(_Over(error))

    for name, site in sites.items():
        threading.Thread(target=read, args=(name, site), name=f"logs {name}", daemon=True).start()
    yield from _as_they_come(inbox, len(sites))


def _as_they_come(inbox: queue.SimpleQueue[LogLine | _Over], open_: int) -> Iterator[LogLine]:
    while open_:
        match inbox.get():
            case _Over(None):
                open_ -= 1
            case _Over(error):
                assert error is not None  # noqa: S101 - the case before
                raise error
            case line:
                yield line


def _of(name: str, lines: Iterator[LogLine]) -> Iterator[LogLine]:
    return (replace(line, site=name) for line in lines)
