"""What a machine told is read into facts, and facts into the items that are made of it: pure, from recorded answers."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towline.core.errors import SiteUnreachable, UsageError
from towline.drivers.host.harden.fragments import program_of, question
from towline.drivers.host.harden.questions import questions_program, read_answers
from towline.drivers.host.host_facts import parse
from towline.release.daemon import addition, against, wanted
from towline.release.objections import CODES, objections
from towline.release.provision import HERE, HOST, parts, plan, swap_size
from towline.release.wishes import Wishes, refuse_user
from towline.steps.ensure import TITLES, Ensure, Item, ProveLogin
from towline.steps.machine import Engine, Machine, Seen
from towline.steps.model import plan_from_json, to_json
from towline.steps.show import plan_lines

CASES = Path(__file__).parent.parent / "cases" / "provision"
WISHES = Wishes("deploy", ("ssh-ed25519 AAAA ann", "ssh-ed25519 BBBB ben"))
FRESH = parse((CASES / "debian-12.facts").read_text())


def told(machine: Machine, wishes: Wishes = WISHES) -> str:
    """Everything that would be done to a machine with nothing of it yet, or why nothing can be."""
    if found := objections(machine, "root@203.0.113.7"):
        return "".join(f"{one.code}: {one.sentence}\n    hint: {one.hint}\n" for one in found)
    parted = parts(machine, wishes)
    return "".join(f"{line}\n" for line in plan_lines(plan(parted, [*TITLES], machine, wishes, 1))[1:])


@pytest.mark.parametrize("facts", sorted(CASES.glob("*.facts")), ids=lambda path: path.stem)
def test_each_recorded_machine_gives_the_plan_that_is_written_down(facts: Path) -> None:
    """The steps, titles and notes for each system are as a person approved them; UPDATE=1 writes them anew."""
    expected, found = facts.with_suffix(".plan"), told(parse(facts.read_text()))
    if os.environ.get("UPDATE") == "1":
        expected.write_text(found)
    assert expected.read_text() == found


def test_an_answer_without_its_end_is_refused() -> None:
    """A connection that broke off in the middle is not taken for a machine that has nothing."""
    with pytest.raises(SiteUnreachable):
        parse("system\tdebian\nversion\t12\n")


def test_only_what_is_lacking_is_done_and_without_doors_nothing_is_guarded() -> None:
    """A drift of one setting costs one step: no proof, no way back, since nobody could be shut out."""
    made = plan(parts(FRESH, WISHES), ["kernel"], FRESH, WISHES, 3)
    assert made.steps == (Ensure("kernel"),)
    assert made.release == 3


@pytest.mark.parametrize("item", ["ssh", "firewall"])
def test_a_door_is_changed_between_two_proofs_with_a_way_back(item: Item) -> None:
    """A login, the way back, the change, a login as the deployer and none as root, then the word that it stays."""
    steps = plan(parts(FRESH, WISHES), [item], FRESH, WISHES, 1).steps
    told = [
        one.item if isinstance(one, Ensure) else one.refused for one in steps if isinstance(one, Ensure | ProveLogin)
    ]
    assert told == [None, "way-back", item, "root", "kept"]
    assert {one.user for one in steps if isinstance(one, ProveLogin)} == {"deploy"}


def test_a_run_that_nobody_confirmed_is_proved_and_confirmed() -> None:
    """The timer of a run whose operator went away still runs, though every item holds."""
    armed = replace(FRESH, armed=True)
    steps = plan(parts(armed, WISHES), [], armed, WISHES, 1).steps
    assert [one.item for one in steps if isinstance(one, Ensure)] == ["way-back", "kept"]
    assert plan(parts(FRESH, WISHES), [], FRESH, WISHES, 1).empty


def test_the_proofs_are_made_from_here_and_all_else_there() -> None:
    """A login that the machine makes to itself would prove nothing."""
    made = plan(parts(FRESH, WISHES), [*TITLES], FRESH, WISHES, 1)
    for stage in made.stages:
        for batch in stage.batches:
            assert batch.site == (HERE if isinstance(batch.steps[0], ProveLogin) else HOST)


def test_what_programs_read_is_there_before_they_are() -> None:
    """The settings of Docker, fail2ban and the upgrades come before the packages: each starts once, with them."""
    order = [step.item for part in parts(FRESH, WISHES) for step in part.steps]
    first: tuple[Item, ...] = ("engine-settings", "ban-settings", "upgrades")
    assert all(order.index(one) < order.index("packages") for one in first)
    assert order.index("deployer") < order.index("ssh")


def test_a_plan_survives_its_journal() -> None:
    """Its steps are plain data."""
    made = plan(parts(FRESH, WISHES), [*TITLES], FRESH, WISHES, 1)
    assert plan_from_json(json.loads(json.dumps(to_json(made)))) == made


def test_every_item_has_a_title_and_programs() -> None:
    """Nothing of the closed list is without its file, and no setting is missing in a sentence."""
    made = plan(parts(replace(FRESH, swap=0), WISHES), [*TITLES], FRESH, WISHES, 1)
    ensured = [step for step in made.steps if isinstance(step, Ensure)]
    assert {step.item for step in ensured} == set(TITLES)
    for step in ensured:
        assert step.title
        assert question(step)
        assert program_of(step).apply.startswith(question(step)[:40])


def test_swap_is_what_was_wished_for_or_a_quarter_of_the_free_disk() -> None:
    """A small disk gets less, a tiny one none, a machine with swap no second."""
    sizes = {free: swap_size(replace(FRESH, disk_free=free), WISHES) for free in (40 * 10**9, 9 * 10**9, 10**9)}
    assert sizes == {40 * 10**9: 4 * 10**9, 9 * 10**9: 2_250_000_000, 10**9: 0}
    assert swap_size(replace(FRESH, swap=1, disk_free=10**12), WISHES) == 0
    assert swap_size(FRESH, replace(WISHES, swap=0)) == 0


def test_a_check_from_elsewhere_is_no_drift() -> None:
    """Another operator's address is remembered when something is done, and not asked for when one only looks."""
    known = replace(FRESH, ignored=("192.0.2.1",))
    settings = {
        remember: parts(known, WISHES, remember=remember)[0].steps[1].settings["ignored"] for remember in (True, False)
    }
    assert settings == {True: "192.0.2.1 10.82.133.1", False: "192.0.2.1"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(there=st.dictionaries(st.text(), JSON, max_size=4), indent=st.sampled_from([None, 2, "\t"]))
def test_docker_settings_are_added_to_and_all_else_stays(there: dict[str, object], indent: int | str | None) -> None:
    """Put right behind the first brace, the addition makes the old settings and ours, whatever the old ones are."""
    text = "\n " + json.dumps(there, indent=indent)
    engine = Engine("docker.io", settings=text)
    brace = text.index("{") + 1
    together = json.loads(text[:brace] + addition(engine) + text[brace:])
    assert together == {**wanted(engine), **there}


def test_docker_settings_that_cannot_be_completed_are_told() -> None:
    """What a person has turned off is not turned on behind his back, and a broken file is not made worse."""
    texts = ("{", "[]", '{"live-restore": false}', '{"log-opts": {"max-file": "2"}}', '{"log-opts": []}')
    assert all(against(Engine("docker.io", settings=text)) for text in texts)
    good = (
        "",
        "{}",
        '{"log-driver": "local", "log-opts": {}}',
        '{"live-restore": true, "log-opts": {"max-size": "1m"}}',
    )
    assert not any(against(Engine("docker.io", settings=text)) for text in good)


def test_an_engine_does_not_show_its_settings() -> None:
    """They may hold the password of a proxy."""
    assert "hunter2" not in repr(Engine("docker.io", settings='{"proxies": {"http-proxy": "http://a:hunter2@b"}}'))


def test_every_finding_is_documented() -> None:
    """The codes that are told are those of the reference."""
    found = parse((CASES / "everything-against-it.facts").read_text())
    codes = {one.code for one in objections(found, "x")}
    assert codes | {"host-podman-docker"} == set(CODES)


@pytest.mark.parametrize("name", ["root", "", "Deploy", "a b", "x" * 40, "-x", "deploy;reboot"])
def test_a_name_that_cannot_be_a_deployer_is_refused(name: str) -> None:
    """It would go into sudoers and onto command lines."""
    with pytest.raises(UsageError):
        refuse_user(name)


def test_answers_are_read_and_a_missing_one_is_told() -> None:
    """Each question has its own answer, or nothing is believed."""
    assert read_answers("1\t1\tno swap\n0\t0\tfine\n", 2) == (
        Seen(holds=True, saw="fine"),
        Seen(holds=False, saw="no swap"),
    )
    with pytest.raises(SiteUnreachable):
        read_answers("0\t0\tfine\n", 2)
    assert questions_program([Ensure("kernel")]).count("sh -c") == 1
