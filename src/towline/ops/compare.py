"""What `towline compare` asks: the project, the market and the day, put before the planner."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from towline.catalog.links import read_latency
from towline.catalog.read import own_file, read_catalog
from towline.core.errors import Findings, UsageError
from towline.planner.compare import Scene
from towline.planner.target import shape_of_target
from towline.planner.usage_file import USAGE_FILE, Known, read_usage
from towline.spec.codes import TO_RUN_HERE
from towline.spec.nearest import did_you_mean
from towline.spec.read import read_with_mistakes
from towline.spec.resolve import known_targets, target_of

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from towline.catalog.read import Catalog
    from towline.planner.market import Slot
    from towline.planner.shapes import Shape
    from towline.planner.usage import Usage
    from towline.spec.mistakes import ReadPage
    from towline.spec.model import App


@dataclass(frozen=True)
class Asked:
    """Everything that a comparison is made from."""

    scene: Scene
    usage: Usage


def asked(project: Path, usage: Path | None, offers: Path | None, today: date) -> Asked:
    """The project's app and targets, its usage and its market. Raises Findings with all that is wrong with a file."""
    if not project.is_dir():
        raise UsageError(f"there is no folder {project}", hint="ls")
    app, page = _app(project)
    catalog = with_rates_of(read_catalog(own_file(project, offers)), today)
    found = read_usage(usage_file(project, usage), known_of(app, page), catalog)
    own = _own_targets(app, page, catalog)
    return Asked(Scene(app, catalog, read_latency(catalog.regions), today, own), found)


def with_rates_of(catalog: Catalog, day: date) -> Catalog:
    """The catalogue with the exchange rates that were known on `day`; later ones only where there was none."""
    known = {(one.base, one.quote) for one in catalog.rates if one.read <= day}
    kept = tuple(one for one in catalog.rates if one.read <= day or (one.base, one.quote) not in known)
    return replace(catalog, rates=kept)


def known_of(app: App, page: ReadPage) -> Known:
    """What the names in usage.yaml may be of."""
    sites = tuple(dict.fromkeys(site for one in known_targets(page.page).values() for site in one.sites))
    return Known(tuple(one.name for one in app.services), tuple(one.name for one in app.stores), sites)


def usage_file(project: Path, named: Path | None) -> Path | None:
    """The file that is named, else usage.yaml where there is one. Raises UsageError for one that does not exist."""
    if named is not None and not named.is_file():
        raise UsageError(f"There is no file {named}", hint=f"name one that exists, or write {USAGE_FILE}")
    beside = project / USAGE_FILE
    return named or (beside if beside.is_file() else None)


def _app(project: Path) -> tuple[App, ReadPage]:
    """The app, whatever it lacks to run on this machine; Findings where the files leave open what it is."""
    reading = read_with_mistakes(project)
    errors = tuple(one for one in reading.findings if one.level == "error" and one.code not in TO_RUN_HERE)
    if errors or reading.view is None:
        raise Findings(errors or reading.findings)
    return reading.view.app, reading.page


def _own_targets(app: App, page: ReadPage, catalog: Catalog) -> tuple[tuple[Shape, tuple[Slot, ...]], ...]:
    names = [*(one.name for one in app.services), *(one.name for one in app.stores)]
    targets = (target_of(page, name, names) for name in known_targets(page.page) if name != "laptop")
    return tuple(shape_of_target(app, one, catalog) for one in targets)


def wanted(keys: list[str], known: list[str]) -> None:
    """Raises UsageError for a shape that was not compared."""
    for key in keys:
        if key not in known:
            hint = f"shapes: {', '.join(known)}"
            raise UsageError(f"There is no shape `{key}`{did_you_mean(key, known)}", hint=hint)
