"""The deployment docs: every command, file, service and link in them is one that the rendered world has."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML
from tests.render_scenes import TARGETS, material

from towline.cli.main import FAMILIES
from towline.ops.render import material_of, rendered

if TYPE_CHECKING:
    from collections.abc import Callable

    from towline.artifacts.rendered import Material

CASES = Path(__file__).resolve().parent.parent / "cases" / "render"
PAGES = ("README.md", "SETUP.md", "TROUBLESHOOTING.md", "RUNBOOK.md")
WRITTEN = (*PAGES, "VARIABLES.md", ".env.example")
REVIEWED = (
    ("cooly", "production"),
    ("cooly", "named"),
    ("kirby-gen", "production"),
    ("nutri", "production"),
    ("postcards", "server"),
    ("repolens", "production"),
)
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)\)")
OPTION_WITH_VALUE = {"-f", "--since", "--tail", "--entrypoint", "-c", "--username", "-U", "-d"}
KNOWN_PROGRAMS = frozenset({
    "aws", "cd", "chmod", "cp", "createdb", "curl", "cut", "date", "df", "dig", "docker", "echo", "export", "free",
    "gh", "git", "grep", "head", "last", "nano", "nc", "openssl", "pg_dump", "pg_restore", "psql", "rclone",
    "redis-cli", "scp", "sed", "sort", "ssh", "sudo", "tail", "test", "uptime", "xargs", "for", "do", "done",
})  # fmt: skip
ACTS = frozenset({"exec", "run", "logs", "ps", "stop", "start", "restart", "up", "top", "pull", "push", "build"})


@dataclass(frozen=True)
class Scene:
    """One target of an example: what it was rendered from, and its files by path."""

    material: Material
    files: dict[str, str]


@pytest.fixture(scope="module")
def scenes(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Scene]:
    """Renders a target when it is first asked for."""

    @cache
    def made(example: str, target: str) -> Scene:
        found = material(checkout, example, target, tmp_path_factory.mktemp(f"{example}-{target}"))
        return Scene(found, {file.path: file.text for file in rendered(found)})

    return made


@pytest.fixture
def scene(example: str, target: str, scenes: Callable[[str, str], Scene]) -> Scene:
    """One target."""
    return scenes(example, target)


@pytest.fixture
def files(scene: Scene) -> dict[str, str]:
    """All files of one target, by path."""
    return scene.files


def commands(text: str) -> list[str]:
    """Every line that a page asks its reader to run."""
    return [line for block in BLOCK.findall(text) for line in block.splitlines()]


def words(line: str) -> list[str]:
    """The words of a line, with the operators of the shell apart."""
    plain = re.sub(r"\$\([^()]*\)", "SUBSTITUTED", line.partition("   # ")[0])
    lexer = shlex.shlex(plain, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return list(lexer)


def parts(line: str) -> list[list[str]]:
    """The simple commands of a line."""
    found: list[list[str]] = [[]]
    into = False
    for word in words(line):
        if set(word) <= set("|&;<>()"):
            into = word in ("<", ">")
            found += [] if into else [[]]
        elif into:
            into = False
        else:
            found[-1].append(word)
    return [one for one in found if one]


@cache
def services_in(text: str) -> frozenset[str]:
    document: dict[str, Any] = YAML(typ="safe").load(text)
    return frozenset(document["services"])


def services_of(files: dict[str, str], path: str) -> frozenset[str]:
    """The services of a rendered Compose file."""
    return services_in(files[path])


def named(argv: list[str]) -> tuple[str, list[str]]:
    """Of `docker compose ACT ...`: which file it reads, and the services that it names."""
    path, rest = "compose.yaml", argv[2:]
    if rest[:1] == ["-f"]:
        path, rest = rest[1], rest[2:]
    act, rest = rest[0], rest[1:]
    assert act in ACTS | {"config", "down"}, argv
    plain = [
        word for place, word in enumerate(rest)
        if not word.startswith("-") and (place == 0 or rest[place - 1] not in OPTION_WITH_VALUE)
    ]  # fmt: skip
    return path, [] if act in ("config", "down") else plain[:1] if act in ("exec", "run") else plain


@pytest.mark.parametrize(("example", "target"), TARGETS)
def test_every_command_can_be_run(example: str, target: str, files: dict[str, str]) -> None:
    """Programs are known ones, files are rendered ones, services are those of the Compose file that is read."""
    seen = 0
    for page in PAGES:
        for line in commands(files[page]):
            for argv in parts(line):
                assert argv[0] in KNOWN_PROGRAMS or "=" in argv[0] or argv[0].startswith("$"), (page, line)
                if argv[:2] == ["docker", "compose"] and argv[2] != "version":
                    path, services = named(argv)
                    path = path.removeprefix(f"deploy/{target}/")
                    assert set(services) <= services_of(files, path), (page, line)
                    seen += len(services)
                if argv[:3] == ["gh", "workflow", "run"]:
                    assert f".github/workflows/{argv[3]}" in files, (page, line)
                for word in argv:
                    if word.startswith(f"deploy/{target}/"):
                        inside = word.removeprefix(f"deploy/{target}/")
                        assert any(one == inside or one.startswith(f"{inside}/") for one in files), (page, line)
    assert seen > 0 or "Caddyfile" not in files


@pytest.mark.parametrize(("example", "target"), TARGETS)
def test_a_shell_reads_every_block(example: str, target: str, files: dict[str, str]) -> None:
    """Quotes are closed and pipes lead somewhere: bash reads all of it without a complaint."""
    for page in PAGES:
        text = "\n".join(commands(files[page])) + "\n"
        ran = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, ""), page


@pytest.mark.parametrize(("example", "target"), TARGETS)
def test_links_and_commands_of_towline_exist(example: str, target: str, files: dict[str, str]) -> None:
    """A link leads to a rendered page, a file in backticks is there, and `towline` has the command that is named."""
    known = {name for family in FAMILIES.values() for name in family}
    for page in (*PAGES, "VARIABLES.md"):
        text = files[page]
        assert {link for link in LINK.findall(text) if "://" not in link} <= set(files), page
        told = re.findall(r"`towline (\w+)", text)
        assert set(told) <= known, page
        pages = set(re.findall(r"\b([A-Z]+\.md)\b", text))
        assert pages <= set(files), page
    shown = files["README.md"].split("## The files")[1].split("## What")[0]
    listed = set(re.findall(r"^\| `([^`]+)` \|", shown, re.MULTILINE))
    folders = {one for one in listed if one.endswith("/")}
    assert {one for one in files if not one.startswith(tuple(folders) or "/")} == listed - folders


@pytest.mark.parametrize(("example", "target"), TARGETS)
def test_every_setting_is_in_the_example(example: str, target: str, files: dict[str, str]) -> None:
    """What any rendered Compose file asks for has a line, once, and none holds a secret."""
    text = files[".env.example"]
    lines = [re.fullmatch(r"(?:# )?([A-Za-z_]\w*)=(.*)", line) for line in text.splitlines()]
    names = [match[1] for match in lines if match]
    assert len(names) == len(set(names))
    for path, written in files.items():
        if path.startswith("compose"):
            plain = "\n".join(line for line in written.splitlines() if not line.lstrip().startswith("#"))
            assert set(re.findall(r"(?<!\$)\$\{(\w+)", plain)) <= set(names), path
    server = "\n".join(line for line in files.get("compose.yaml", "").splitlines() if not line.lstrip().startswith("#"))
    assert {f"{name}=" for name in re.findall(r"\$\{(\w+):\?", server)} <= set(text.splitlines())


@pytest.mark.parametrize(("example", "target"), TARGETS)
def test_every_variable_is_in_the_table(example: str, target: str, scene: Scene) -> None:
    """VARIABLES.md has a row for each variable of each service, and says who sets it."""
    made, text = scene.material, scene.files["VARIABLES.md"]
    for service in made.app.services:
        variables = made.variables_of(service.name)
        rows = re.findall(rf"^## {re.escape(service.name)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        assert len(rows) == (1 if variables else 0)
        for one in variables:
            assert len(re.findall(rf"^\| `{one.name}` \|", rows[0], re.MULTILINE)) == 1
    assert "who sets it |" in text


def test_the_diagram_has_every_part_and_only_known_ones(scenes: Callable[[str, str], Scene]) -> None:
    """Each service and store is drawn once, in its site; arrows lead between parts that are drawn."""
    found = scenes("cooly", "production")
    made, text = found.material, found.files["README.md"]
    drawn = text.split("```mermaid\n")[1].split("```")[0]
    nodes = re.findall(r"^ +(\w+)[\[(]+\"", drawn, re.MULTILINE)
    parts_of_it = [*(one.name for one in made.app.services), *(one.name for one in made.app.stores)]
    assert sorted(nodes) == sorted([*parts_of_it, "people"])
    arrows = re.findall(r"^ +(\w+) --> (\w+)$", drawn, re.MULTILINE)
    assert ("gen", "queue") in arrows
    assert {name for arrow in arrows for name in arrow} <= set(nodes)


def test_the_cost_is_that_of_the_planner(scenes: Callable[[str, str], Scene]) -> None:
    """The bill is the planner's, line by line, and its total is the sum that is printed."""
    found = scenes("cooly", "production")
    made, text = found.material, found.files["README.md"]
    assert made.chosen is not None
    assert made.chosen.bill is not None
    assert f"| **total** |  | **{made.chosen.bill.total}** |" in text
    for line in made.chosen.bill.lines:
        assert f"| {line.owner}, {line.line.meter} | {line.line.how} |" in text


def test_a_laptop_needs_no_docs(checkout: Path, tmp_path: Path) -> None:
    """Where everything is on this machine, there is nothing to set up."""
    made = material(checkout, "postcards", "laptop", tmp_path)
    assert {file.path for file in rendered(made)} & set(PAGES) == set()


@pytest.mark.parametrize(("example", "target"), REVIEWED)
def test_the_pages_are_those_of_the_cases(example: str, target: str, files: dict[str, str]) -> None:
    """Every page is the one that was reviewed, to the letter."""
    folder = CASES / example / target
    if os.environ.get("TOWLINE_REGENERATE"):
        folder.mkdir(parents=True, exist_ok=True)
        for path in WRITTEN:
            (folder / path).write_text(files[path])
    assert {path: (folder / path).read_text() for path in WRITTEN} == {path: files[path] for path in WRITTEN}


def several(tmp_path: Path) -> Material:
    """An app on two servers."""
    project = tmp_path / "pair"
    project.mkdir()
    (project / "compose.yaml").write_text(
        "services:\n  api: {image: 'a/api:1', ports: ['8000:8000']}\n  job: {image: 'a/job:1'}\n"
        "  db: {image: 'postgres:17'}\n"
    )
    (project / "towline.yaml").write_text(
        "app: pair\nservices:\n  api: {kind: web, ready: /health, domain: api.pair.example}\n  job: {kind: worker}\n"
        "bind: {'*': {DATABASE_URL: db.url}}\n"
        "targets:\n  live:\n    shape: vps\n    sites:\n"
        "      one: {kind: host, ssh: deploy@192.0.2.1}\n      two: {kind: host, ssh: 'ada@192.0.2.2:2222'}\n"
        "    place: {job: two, '*': one}\n"
    )
    return material_of(project, "live", project / "deploy" / "live", env={"PATH": os.environ["PATH"]})


def test_two_servers_have_commands_of_their_own(tmp_path: Path) -> None:
    """Each server's commands name its own Compose file, account and port, and the services that are there."""
    files = {file.path: file.text for file in rendered(several(tmp_path))}
    assert {"compose.one.yaml", "compose.two.yaml", "cloud-init.two.yaml"} <= set(files)
    lines = [line for page in PAGES for line in commands(files[page])]
    assert "docker compose -f compose.two.yaml logs --since 10m job | tail -n 50" in lines
    assert any(line.startswith("ssh -p 2222 ada@192.0.2.2 ") for line in lines)
    for line in lines:
        for argv in parts(line):
            if argv[:3] == ["docker", "compose", "-f"] and argv[3].startswith("compose."):
                path, services = named(argv)
                assert set(services) <= services_of(files, path), line


def test_odd_names_stay_whole(tmp_path: Path) -> None:
    """A user, a database or a field with quotes and spaces in it is one word of its command, and never a second one."""
    project = tmp_path / "odd"
    project.mkdir()
    environment = """POSTGRES_USER: "o'brien", POSTGRES_DB: "my db; reboot", POSTGRES_PASSWORD: x"""
    (project / "compose.yaml").write_text(
        "services:\n  api: {image: 'a/api:1', ports: ['8000:8000']}\n"
        f"  db: {{image: 'postgres:17', environment: {{{environment}}}}}\n"
    )
    (project / "towline.yaml").write_text(
        "app: odd\nservices: {api: {kind: web, ready: /health}}\n"
        """verify: {job: {path: "/a'b", follow: "/c/{id}", fields: {text: "it's $HOME"}}}\n"""
        "targets: {live: {shape: vps, sites: {box: {kind: host}}}}\n"
    )
    made = material_of(project, "live", project / "deploy" / "live", env={"PATH": os.environ["PATH"]})
    files = {file.path: file.text for file in rendered(made)}
    lines = [line for page in PAGES for line in commands(files[page])]
    told = [words(line) for line in lines]
    assert any("o'brien" in argv and "my db; reboot" in argv for argv in told)
    assert any("""{"text": "it's $HOME"}""" in argv for argv in told)
    assert any("http://PUBLIC_HOST/a'b" in argv for argv in told)
    assert not any(argv[:1] == ["reboot"] for line in lines for argv in parts(line))
    ran = subprocess.run(["bash", "-n"], input="\n".join(lines), capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
