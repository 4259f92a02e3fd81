"""What several hosts show, put into one: by site, by time, to the end of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from towline.core.errors import SiteUnreachable
from towline.ops.side_by_side import earlier_lines, following_lines, status_of
from towline.steps.model import InstanceStatus, LogLine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.ops.workspace import LiveSite


class Shows:
    """A site that shows these lines, then breaks off where it is told to."""

    def __init__(self, *times: str, error: str = "") -> None:
        self.times, self.error = times, error

    def status(self) -> tuple[InstanceStatus, ...]:
        return (InstanceStatus("api.1", "api", "r1", "ready", 1, 80, 1.0, 0, 1, None, ()),)

    def logs(self, services: tuple[str, ...] | None, lines: int, *, follow: bool) -> Iterator[LogLine]:
        for at in self.times:
            yield LogLine(at, "api.1", "api", "stdout", f"at {at}")
        if self.error:
            raise SiteUnreachable(self.error)


def sites(**shown: Shows) -> dict[str, LiveSite]:
    return {name: cast("LiveSite", one) for name, one in shown.items()}


def test_lines_come_in_the_order_of_their_times() -> None:
    """Each with its site."""
    found = earlier_lines(sites(one=Shows("1", "4"), two=Shows("2", "3"), none=Shows()), None, 10)
    assert [(line.at, line.site) for line in found] == [("1", "one"), ("2", "two"), ("3", "two"), ("4", "one")]


def test_new_lines_come_until_the_last_site_ends() -> None:
    """Whoever has nothing more to say does not end the others."""
    found = list(following_lines(sites(one=Shows("1", "2", "3"), two=Shows()), ("api",), 10))
    assert [line.site for line in found] == ["one", "one", "one"]
    assert [line.at for line in following_lines(sites(one=Shows("1")), None, 10)] == ["1"]


def test_a_site_that_breaks_off_is_said() -> None:
    """Silence would look like nothing to say."""
    with pytest.raises(SiteUnreachable, match="box2 is gone"):
        list(following_lines(sites(one=Shows("1"), two=Shows(error="box2 is gone")), None, 10))


def test_instances_of_all_sites_with_their_site() -> None:
    """In the order in which the target names them."""
    assert [one.site for one in status_of(sites(two=Shows(), one=Shows()))] == ["two", "one"]
    assert status_of({}) == ()
