"""Keep the locks of a run while it lasts: renew every lease at a third of its time."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from towline.core.errors import SiteUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from towline.release.lock import Hold
    from towline.steps.driver import Driver


@contextlib.contextmanager
def beating(drivers: Mapping[str, Driver], hold: Hold, report: Callable[[BaseException], None]) -> Iterator[None]:
    """Renew the leases while the block runs; an error, Fenced among them, is reported once and ends the beating."""
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(drivers, hold, report, stop), name="towline heartbeat", daemon=True)
    beat.start()
    try:
        yield
    finally:
        stop.set()
        beat.join(hold.seconds)  # a renewal that is still on its way would hold the lock again after it was given back


def _beat(
    drivers: Mapping[str, Driver], hold: Hold, report: Callable[[BaseException], None], stop: threading.Event
) -> None:
    while not stop.wait(hold.seconds / 3):
        try:
            for site in sorted(hold.leases):
                _renew(drivers[site], site, hold)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread of the caller
            report(error)
            return


def _renew(driver: Driver, site: str, hold: Hold) -> None:
    # One beat that does not get through is made up for by the next; if none does, the lease runs out, and the site
    # refuses whatever still arrives once somebody else has taken over.
    with contextlib.suppress(SiteUnreachable):
        driver.renew(hold.leases[site], hold.seconds)
