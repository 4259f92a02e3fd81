"""What the releases that can be gone back to still need of a site: read from the lines of its journal (pure)."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeGuard

from towline.artifacts.images import pinned
from towline.steps.folders import FOLDERS
from towline.steps.images import ClearAway
from towline.steps.kinds import instance_to_json
from towline.steps.model import to_json
from towline.steps.past import releases

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from towline.artifacts.model import SiteBundle
    from towline.steps.farewell import SeeOff
    from towline.steps.images import ImageFact
    from towline.steps.kinds import AnyStep, StopInstance
    from towline.steps.model import Line

_CONTENT = re.compile(r"[0-9a-f]{32}")
"""Stashed contents are named by such a digest wherever they are spoken of."""

_FOLDER = re.compile(rf"{FOLDERS}[0-9a-f]{{64}}")
"""And so are folders of the project, also where a file in one of them is spoken of."""


@dataclass
class _Needs:
    """Images by their references, and digests of contents."""

    images: set[str] = field(default_factory=set)
    contents: set[str] = field(default_factory=set)

    def add(self, plain: object) -> None:
        """Whatever a step, or what it found, speaks of: a new kind of step need not be known here."""
        for name, text in _texts(plain):
            if name in ("image", "exact"):
                self.images.add(text)
            elif _CONTENT.fullmatch(text):
                self.contents.add(text)
            elif folder := _FOLDER.match(text):
                self.contents.add(folder[0])


def clear_away(lines: tuple[Line, ...], wanted: SiteBundle, keep: int, there: tuple[ImageFact, ...]) -> ClearAway:
    """The step that clears away what the release in the making and the `keep` before it do not need.

    Whatever a line since the oldest of them speaks of stays, and what ran when that one was done. Of the images that
    are `there` only those go that a release has brought.
    """
    finished, _ = releases(lines)
    kept = finished[-keep:]
    oldest = kept[0] if kept else 0
    start = _end_of(lines, oldest)
    needs = _Needs()
    _add_bundle(needs, wanted)
    for instance in _running(lines[:start]):
        needs.add(instance)
    for line in lines[start:]:
        _add_line(needs, line)
    brought = {image for line in lines[:start] for image in _brought(line)} - needs.images
    return ClearAway(
        oldest=oldest,
        images=tuple(sorted(needs.images)),
        contents=tuple(sorted(needs.contents)),
        gone=tuple(sorted(image for image in brought if pinned(image, there) is not None)),
    )


def _end_of(lines: tuple[Line, ...], release: int) -> int:
    """The place from which on everything must stay: the first line of a release after that one."""
    numbers = (int(line.run.split(".", 1)[0]) for line in lines)
    return next((place for place, number in enumerate(numbers) if number > release), len(lines))


def _running(lines: Iterable[Line]) -> Iterator[dict[str, Any]]:
    """What ran after some lines; whatever was begun and not seen to end counts as running."""
    running: dict[str, dict[str, Any]] = {}
    for line in lines:
        step = line.step
        if step is not None and step.kind == "start-instance":
            running[step.instance.name] = instance_to_json(step.instance)
        elif step is not None and step.kind == "configure-door":
            running["the routes of the door"] = {"routes": step.routes}
        elif step is not None and _ends(step, line.event):
            running.pop(step.name, None)
    yield from running.values()


def _ends(step: AnyStep, event: str) -> TypeGuard[StopInstance | SeeOff]:
    """Whether an instance is on its way out: one that is seen off ends by itself, whenever it is done."""
    return step.kind == "see-off" or (step.kind == "stop-instance" and event == "done")


def _brought(line: Line) -> Iterator[str]:
    """The image that a step has brought to the site; one that was there already may be somebody else's."""
    step = line.step
    if step is None or line.event != "done":
        return
    if step.kind in ("load-image", "build-image") or (step.kind == "fetch-image" and not line.already):
        yield step.image


def _add_line(needs: _Needs, line: Line) -> None:
    # What was cleared away once is spoken of there, and is not needed for that.
    if line.step is not None and line.step.kind != "clear-away":
        plain = to_json(line)
        needs.add(plain["step"])
        needs.add(plain["before"])


def _add_bundle(needs: _Needs, wanted: SiteBundle) -> None:
    needs.contents |= set(wanted.contents)
    parts: list[Any] = [*wanted.stores, *wanted.services]
    parts += [one for one in (wanted.release_task, wanted.door) if one is not None]
    for part in parts:
        needs.add(dataclasses.asdict(part))
    needs.add([dataclasses.asdict(step) for step in wanted.images])


def _texts(plain: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text in JSON data, with the name that it stands under."""
    if isinstance(plain, dict):
        for key, value in plain.items():
            yield from _texts(value, str(key))
    elif isinstance(plain, (list, tuple)):
        for value in plain:
            yield from _texts(value, name)
    elif isinstance(plain, str):
        yield name, plain
