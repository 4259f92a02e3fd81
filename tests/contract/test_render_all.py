"""What holds for every renderer at once: the same bytes each time, no secret, and changes that stay small."""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.render_scenes import ENV, TARGETS, material, project

from towline.ops.render import material_of, rendered

if TYPE_CHECKING:
    from pathlib import Path

    from towline.artifacts.rendered import Material

CANARY = "canary7S3cret"
ONE_EACH = [
    ("cooly", "production"),
    ("kirby-gen", "production"),
    ("nutri", "named"),
    ("postcards", "server"),
    ("reference", "named"),
    ("repolens", "production"),
]


@pytest.fixture(scope="module")
def scenes(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Material]:
    """What the renderers read of each example and target."""
    root = tmp_path_factory.mktemp("scenes")
    return {one: material(checkout, *one, root / "-".join(one)) for one in TARGETS}


def texts(made: Material) -> dict[str, str]:
    """Every file of a target, by path."""
    return {one.path: one.text for one in rendered(made)}


@pytest.mark.parametrize("scene", TARGETS, ids="-".join)
def test_the_same_bytes_each_time(
    scene: tuple[str, str], scenes: dict[tuple[str, str], Material], checkout: Path, tmp_path: Path
) -> None:
    """Read and rendered twice, in two folders: not one byte differs, and every file ends with a line."""
    first, second = texts(scenes[scene]), texts(material(checkout, *scene, tmp_path))
    assert first == second
    assert first
    for path, text in first.items():
        assert text.endswith("\n"), path
        assert not text.endswith("\n\n"), path
        assert "\r" not in text, path
        assert str(tmp_path) not in text, path


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_order_of_what_is_read_does_not_matter(
    scenes: dict[tuple[str, str], Material], data: st.DataObject
) -> None:
    """Containers and variables in any order give the same files."""
    made = scenes[data.draw(st.sampled_from(TARGETS))]
    names = data.draw(st.permutations(sorted(made.containers)))
    variables = data.draw(st.permutations(made.variables))
    other = replace(
        made, containers={name: made.containers[name] for name in names}, variables=tuple(variables),
        stacks=dict(reversed(list(made.stacks.items()))),
    )  # fmt: skip
    assert texts(other) == texts(made)


@pytest.mark.parametrize("scene", ONE_EACH, ids="-".join)
def test_another_variable_changes_only_what_is_about_it(scene: tuple[str, str], checkout: Path, tmp_path: Path) -> None:
    """A variable more in the Compose file: no line goes, but for lists that it joins, and each new line names it."""
    folder = project(checkout, scene[0], tmp_path)
    compose = folder / "compose.yaml"
    before = texts(material_of(folder, scene[1], folder / "deploy", env=ENV))
    text = compose.read_text()
    if "environment: {" in text:
        changed = text.replace("environment: {", 'environment: { PLAINLY_NEW: "as-it-stands", ', 1)
    else:
        changed = text.replace("    S3_BUCKET:", '    PLAINLY_NEW: "as-it-stands"\n    S3_BUCKET:', 1)
    assert changed != text
    compose.write_text(changed)
    after = texts(material_of(folder, scene[1], folder / "deploy", env=ENV))
    assert sorted(before) == sorted(after)
    gone, come = changes(before, after)
    assert [line for line in come if not re.search("PLAINLY_NEW|as-it-stands", line)] == []
    assert any("as-it-stands" in line for line in come)
    without = [re.sub(r"(, )?`?PLAINLY_NEW`?,?", "", line).split() for line in come]
    assert [line for line in gone if line.split() not in without] == []


def changes(before: dict[str, str], after: dict[str, str]) -> tuple[list[str], list[str]]:
    """The lines that have gone, and those that have come, over all files; columns may move."""
    gone: list[str] = []
    come: list[str] = []
    for path, text in after.items():
        old, new = ([" ".join(line.split()) for line in one.splitlines()] for one in (before[path], text))
        for line in difflib.ndiff(old, new):
            if line.startswith("- "):
                gone.append(line[2:])
            elif line.startswith("+ "):
                come.append(line[2:])
    return gone, come


@pytest.mark.parametrize("scene", TARGETS, ids="-".join)
def test_whatever_is_asked_stands_in_the_example(
    scene: tuple[str, str], scenes: dict[tuple[str, str], Material]
) -> None:
    """Each setting of a Compose file has its line in `.env.example`, one that nobody may leave out an empty one."""
    found = texts(scenes[scene])
    example = dict(re.findall(r"^((?:# )?\w+)=(.*)$", found[".env.example"], re.MULTILINE))
    for path, text in found.items():
        if re.fullmatch(r"compose\.?\w*\.yaml", path):
            needed = set(re.findall(r"\$\{(\w+):\?", text))
            defaulted = set(re.findall(r"\$\{(\w+):-", text)) - needed
            assert [name for name in sorted(needed) if example.get(name) != ""] == [], path
            assert [name for name in sorted(defaulted) if not {name, f"# {name}"} & set(example)] == [], path


@pytest.mark.parametrize("scene", ONE_EACH, ids="-".join)
def test_no_secret_is_in_any_file(scene: tuple[str, str], checkout: Path, tmp_path: Path) -> None:
    """Secrets in the Compose file, in `.env` and in the shell: no file of any renderer has one of them."""
    folder = project(checkout, scene[0], tmp_path)
    compose = folder / "compose.yaml"
    spelled = f"JWT_SECRET: {CANARY}1, STRIPE_API_KEY: {CANARY}2, OTHER_URL: 'https://me:{CANARY}3@elsewhere.example/'"
    text = compose.read_text()
    if "environment: {" in text:
        text = text.replace("environment: {", f"environment: {{ {spelled}, ASKED: '${{ASKED:-{CANARY}4}}-', ", 1)
    else:
        lines = "".join(f"    {one}\n" for one in spelled.split(", "))
        text = text.replace("    S3_BUCKET:", f"{lines}    S3_BUCKET:", 1)
    compose.write_text(text)
    (folder / ".env").write_text(f"POSTGRES_PASSWORD={CANARY}5\nVERIFY_TOKEN={CANARY}6\nS3_SECRET_KEY={CANARY}7\n")
    told = ENV | {"POSTGRES_PASSWORD": f"{CANARY}8"}
    made = material_of(folder, scene[1], folder / "deploy", env=told)
    assert CANARY not in repr(made.variables)
    for path, content in texts(made).items():
        assert CANARY not in content, path
