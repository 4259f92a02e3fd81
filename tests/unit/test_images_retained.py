"""What a host keeps for the releases that can be gone back to, read from the lines of its journal."""

from __future__ import annotations

from dataclasses import replace

from towline.artifacts.model import ServiceArtifact, SiteBundle
from towline.core.secret import Secret
from towline.release.retained import clear_away
from towline.steps.container import Container
from towline.steps.farewell import SeeOff
from towline.steps.images import ImageFact, LoadImage
from towline.steps.kinds import (
    AnyStep,
    ConfigureDoor,
    Instance,
    Probe,
    StartInstance,
    StopInstance,
    instance_to_json,
)
from towline.steps.model import Line, Plan, to_json

ENV = "{:032x}"


def image(release: int) -> str:
    return f"shop-web:{release:012x}"


def web(release: int) -> Instance:
    made = Container(name=f"web-{release}", image=image(release))
    env = ENV.format(release)
    return Instance(f"web.{release}.1", "web", str(release), "service", Probe("lives", 1.0), env=env, container=made)


def line(run: str, event: str, step: AnyStep | None = None, **more: object) -> Line:
    return Line("", run, event, 1, site="box", stage=0, index=0, step=step, **more)  # type: ignore[arg-type]


def deploy(release: int, outcome: str = "done") -> list[Line]:
    """The journal of a deploy that loads an image, starts a copy of it, and stops that of the release before."""
    plan = Plan("shop", "production", release, "deploy", (), {})
    steps: list[AnyStep] = [
        LoadImage(image(release), "c", (), 0),
        StartInstance(web(release)),
        ConfigureDoor(ENV.format(100 + release)),
    ]
    run = str(release)
    lines = [line(run, "plan", plan=to_json(plan))]
    for step in steps:
        lines += [line(run, "began", step), line(run, "done", step)]
    if release > 1:
        stop = StopInstance(f"web.{release - 1}.1", 10.0)
        lines.append(line(run, "began", stop, before={"instance": instance_to_json(web(release - 1))}))
        lines.append(line(run, "done", stop))
    return [*lines, line(run, "ended", outcome=outcome)]


def bundle(release: int) -> SiteBundle:
    service = ServiceArtifact("web", (web(release),), (), "beside", "", (), ())
    contents = {ENV.format(release): Secret("{}")}
    return SiteBundle("box", (), (service,), None, None, None, contents)


def there(last: int) -> tuple[ImageFact, ...]:
    return tuple(ImageFact(f"sha256:{one:064x}", (image(one),)) for one in range(1, last + 1))


def test_the_last_releases_keep_their_images_and_environments() -> None:
    """With two kept, the third one made leaves all, and the fourth one takes what only the first had."""
    lines = tuple(one for release in range(1, 4) for one in deploy(release))
    step = clear_away(lines, bundle(4), 2, there(3))
    assert step.oldest == 2
    assert step.gone == (image(1),)
    assert {image(2), image(3), image(4)} <= set(step.images)
    assert {ENV.format(one) for one in (2, 3, 4, 102, 103)} <= set(step.contents)
    assert ENV.format(1) not in step.contents
    assert ENV.format(101) not in step.contents


def test_a_copy_that_finishes_by_itself_needs_nothing_more() -> None:
    """It is seen off when the traffic has left, and the journal learns of its end later, if at all."""
    lines = [one for release in range(1, 4) for one in deploy(release)]
    gone = [
        replace(one, step=SeeOff(one.step.name, "web", 10.0, 10.0), event="began")
        if one.step is not None and one.step.kind == "stop-instance"
        else one
        for one in lines
    ]
    assert clear_away(tuple(gone), bundle(4), 1, there(3)).gone == (image(1), image(2))


def test_nothing_goes_before_there_are_more_releases_than_are_kept() -> None:
    """Whatever the first ones need stays."""
    lines = tuple(one for release in range(1, 4) for one in deploy(release))
    step = clear_away(lines, bundle(4), 5, there(3))
    assert (step.oldest, step.gone) == (1, ())
    assert {ENV.format(one) for one in range(1, 5)} <= set(step.contents)


def test_what_still_runs_unchanged_stays_however_old_it_is() -> None:
    """A worker of the first release that no later one has touched keeps its image and its environment."""
    worker = Instance(
        "gen.1.1", "gen", "1", "service", Probe("lives", 1.0), env=ENV.format(900),
        container=Container(name="gen", image="shop-gen:1"),
    )  # fmt: skip
    first = deploy(1)
    first[1:1] = [line("1", "began", StartInstance(worker)), line("1", "done", StartInstance(worker))]
    lines = (*first, *(one for release in range(2, 6) for one in deploy(release)))
    step = clear_away(lines, bundle(6), 1, (*there(5), ImageFact("sha256:x", ("shop-gen:1",))))
    assert "shop-gen:1" in step.images
    assert ENV.format(900) in step.contents
    assert step.gone == (image(1), image(2), image(3), image(4))


def test_a_failed_release_does_not_count_as_one_to_go_back_to() -> None:
    """Two kept are two that were finished; what the failed one brought goes with the older ones."""
    lines = (*deploy(1), *deploy(2), *deploy(3, outcome="failed"), *deploy(4))
    step = clear_away(lines, bundle(5), 2, there(4))
    assert step.oldest == 2
    assert step.gone == (image(1),)
    later = clear_away((*lines, *deploy(5)), bundle(6), 1, there(5))
    assert later.gone == (image(1), image(2), image(3), image(4))


def test_only_what_a_release_brought_goes() -> None:
    """An image that was there before any release is somebody else's, and one that is gone already is not named."""
    lines = tuple(one for release in range(1, 4) for one in deploy(release))
    step = clear_away(lines, bundle(4), 1, (ImageFact("sha256:y", ("other:1",)), *there(1)))
    assert step.gone == (image(1),)


def test_a_site_where_nothing_was_ever_released_has_nothing_to_clear() -> None:
    """The first release keeps what it needs itself."""
    step = clear_away((), bundle(1), 5, ())
    assert (step.oldest, step.gone, step.images, step.contents) == (0, (), (image(1),), (ENV.format(1),))
