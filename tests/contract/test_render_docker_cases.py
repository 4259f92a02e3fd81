"""The Dockerfiles of every project with sources: as their cases say, and clean by hadolint's rules.

`TOWLINE_REGENERATE=1` writes what is rendered into the case files, to be reviewed as a diff.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.contract.compose_projects import ENV
from tests.contract.render_projects import RENDERINGS, ROOT, Rendering, differences

from towline.artifacts import combined_image, dockerfiles
from towline.core.errors import Findings
from towline.ops.render import material_of
from towline_supervisor.procfile import read_procfile

if TYPE_CHECKING:
    from towline.artifacts.rendered import Material, RenderedFile

HADOLINT = str(Path(sys.executable).with_name("hadolint"))
NAMED = {one.name: one for one in RENDERINGS if one.target == "production"}
WITH_SOURCES = [NAMED[name] for name in ("kirby-sources", "nutri-sources", "repolens")]

SHOP = {
    "compose.yaml": (
        "name: shop\nservices:\n  api:\n    build: .\n    ports: ['3000:3000']\n    environment:\n"
        "      PORT: '3000'\n      API_KEY: canary-in-the-open\n      DATABASE_URL: postgres://a:canary@db/a\n"
    ),
    "towline.yaml": (
        "services:\n  api: {{kind: web, ready: /health, cwd: {cwd}, run: {run}}}\n"
        "targets:\n  production: {{shape: vps, sites: {{box: {{kind: host, ssh: a@203.0.113.7}}}}}}\n"
    ),
}
NODE = {
    "package.json": '{"name": "all", "workspaces": ["apps/*", "libs/*"], "scripts": {"prepare": "husky"}}',
    "apps/api/package.json": (
        '{"name": "@s/api", "scripts": {"build": "tsc", "start": "node dist/main.js"},'
        ' "dependencies": {"@s/db": "*", "bcrypt": "6"}}'
    ),
    "libs/db/package.json": '{"name": "@s/db", "dependencies": {"@prisma/client": "6"}, "scripts": {"build": "tsc"}}',
    "libs/db/prisma/schema.prisma": "generator client {\n}\n",
    "apps/web/package.json": '{"name": "@s/web"}',
}
UV = '[project]\nname = "api"\ndependencies = ["fastapi"]\n[build-system]\nrequires = ["hatchling"]\n'
MANY: dict[str, tuple[str, str, dict[str, str]]] = {
    "npm": ("apps/api", "npm start", {**NODE, "package-lock.json": "{}"}),
    "pnpm": ("apps/api", "npm start", {**NODE, "pnpm-lock.yaml": "lockfileVersion: '9.0'\n", ".npmrc": ""}),
    "yarn": ("apps/api", "yarn start", {**NODE, "yarn.lock": "# yarn lockfile v1\n"}),
    "berry": (
        "apps/api",
        "yarn start",
        {**NODE, "yarn.lock": "__metadata:\n", ".yarnrc.yml": "nodeLinker: node-modules\n"},
    ),
    "no-lock": (".", "node a.js", {"package.json": '{"name": "a", "dependencies": {"puppeteer": "24"}}', "a.js": ""}),
    "uv": (".", "uvicorn api:app", {"pyproject.toml": UV, "uv.lock": "", "src/api/__init__.py": ""}),
    "uv-workspace": (
        "apps/api",
        "uvicorn api:app",
        {
            "pyproject.toml": '[project]\nname = "all"\n[tool.uv.workspace]\nmembers = ["apps/*", "libs/*"]\n',
            "uv.lock": "",
            "apps/api/pyproject.toml": UV,
            "libs/db/pyproject.toml": UV.replace("api", "db"),
        },
    ),
    "poetry": (".", "gunicorn api:app", {"pyproject.toml": "[tool.poetry]\nname = 'api'\n", "poetry.lock": ""}),
    "pipenv": (
        ".",
        "python main.py",
        {"Pipfile": "", "Pipfile.lock": '{"default": {"mysqlclient": {}}}', "main.py": ""},
    ),
    "pyproject": (
        ".",
        "python -m api",
        {"pyproject.toml": UV, "src/api/__main__.py": "import signal\nsignal.SIGTERM\n"},
    ),
    "spacy": (
        ".",
        "python a.py",
        {"requirements.txt": "spacy\n", "a.py": "import spacy\nspacy.load('en_core_web_sm')\n"},
    ),
}


def of(material: Material) -> dict[str, RenderedFile]:
    """What this room renders, by path, without the copies of the supervisor's own files."""
    made = (*dockerfiles.files(material), *combined_image.files(material))
    return {one.path: one for one in made if "/towline_supervisor/" not in one.path}


def shop(root: Path, name: str) -> Material:
    """The project of one installer."""
    cwd, run, sources = MANY[name]
    told = {"cwd": cwd if cwd != "." else "''", "run": run}
    line = SHOP["towline.yaml"].replace(" cwd: {cwd},", "") if cwd == "." else SHOP["towline.yaml"]
    for path, text in {**SHOP, "towline.yaml": line.format(**told), **sources}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return material_of(root, "production", root / "deploy" / "production", env=ENV)


def complaints(text: str) -> list[str]:
    """What hadolint has to say of a Dockerfile, down to its smallest remark."""
    ran = subprocess.run([HADOLINT, "--format", "json", "-"], input=text, capture_output=True, text=True, check=False)
    return [f"{one['line']}: {one['code']} {one['message']}" for one in json.loads(ran.stdout)]


@pytest.mark.parametrize("one", WITH_SOURCES, ids=lambda one: one.name)
def test_dockerfiles_are_as_their_cases_say_and_clean(one: Rendering, tmp_path: Path) -> None:
    """Every file is the reviewed one, the same each time, and hadolint finds nothing in any Dockerfile."""
    material = one.material(tmp_path)
    files = of(material)
    assert differences(one, files.values()) == []
    assert of(one.material(tmp_path)) == files
    found = {path: complaints(file.text) for path, file in files.items() if path.endswith("ockerfile")}
    assert len(found) >= 2
    assert {path: told for path, told in found.items() if told} == {}


@pytest.mark.parametrize("name", MANY)
def test_every_installer_has_a_clean_dockerfile(name: str, tmp_path: Path) -> None:
    """Each way to install packages gives the reviewed Dockerfile; no value of the Compose file is in it."""
    files = of(shop(tmp_path, name))
    one = Rendering("installers", tmp_path, name)
    assert differences(one, files.values()) == []
    text = files["dockerfiles/api.Dockerfile"].text
    assert complaints(text) == []
    assert "canary" not in "".join(file.text for file in files.values())


def test_hadolint_would_have_complained() -> None:
    """The linter that finds nothing is one that finds something: an untagged base, a pip cache, a shell that stays."""
    text = "FROM debian\nRUN pip install flask\nCMD python app.py\n"
    assert {one.split()[1] for one in complaints(text)} >= {"DL3006", "DL3042", "DL3025"}


def test_one_change_changes_only_the_lines_concerned(tmp_path: Path) -> None:
    """Another port, and another version of the runtime, change the lines that hold them and no others."""
    before = of(shop(tmp_path, "npm"))["dockerfiles/api.Dockerfile"].text.splitlines()
    (tmp_path / ".nvmrc").write_text("20\n")
    compose = tmp_path / "compose.yaml"
    compose.write_text(compose.read_text().replace("3000", "4100"))
    material = material_of(tmp_path, "production", tmp_path / "deploy" / "production", env=ENV)
    after = of(material)["dockerfiles/api.Dockerfile"].text.splitlines()
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert changed == ["ARG NODE_IMAGE=node:20-alpine", "    PORT=4100", "EXPOSE 4100"]


def test_what_cannot_be_written_is_told_all_at_once(tmp_path: Path) -> None:
    """A language that is not known, a missing lock, a tool that no image has: each with its place and its way out."""
    files = {
        "compose.yaml": (
            "name: x\nservices:\n  go: {build: go, ports: ['1:1']}\n  pip: {build: pip, ports: ['2:2']}\n"
            "  bun: {build: bun, ports: ['3:3']}\n  node: {build: node, ports: ['4:4']}\n"
            "  broken: {build: b, ports: ['5:5']}\n"
        ),
        "towline.yaml": (
            "services:\n  go: {run: go run .}\n  pip: {run: python a.py}\n  bun: {run: bun a.ts}\n"
            "  node: {run: node a.js}\n  broken: {run: python a.py}\nrelease: {in: node, run: npm run migrate}\n"
            "targets:\n  production: {sites: {box: {kind: host, ssh: a@203.0.113.7}}}\n"
        ),
        "go/go.mod": "",
        "pip/Pipfile": "",
        "bun/package.json": "{}",
        "bun/bun.lock": "",
        "node/package.json": '{"scripts": {"migrate": "knex migrate:latest"}, "devDependencies": {"knex": "3"}}',
        "b/pyproject.toml": "[project",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    with pytest.raises(Findings) as refused:
        of(material_of(tmp_path, "production", tmp_path / "deploy" / "production", env=ENV))
    told = {one.sentence: one.hint for one in refused.value.findings}
    assert told == {
        "Nothing in b tells how the packages of `broken` are installed (b/pyproject.toml is not TOML)": (
            "write b/Dockerfile, or use one of pip, uv, poetry, pipenv"
        ),
        "Nothing in bun tells how the packages of `bun` are installed": (
            "write bun/Dockerfile, or use one of npm, pnpm, yarn"
        ),
        "`go` is built without a Dockerfile, and go has no package of Node or Python": "write go/Dockerfile",
        "the release command runs `knex`, which package.json has for development only: no image has it": (
            "cd node && npm install --save-prod knex"
        ),
        "Nothing pins the packages of `pip`: pip has no lock file": "pipenv lock",
    }


def test_a_service_with_a_dockerfile_keeps_it(checkout: Path) -> None:
    """Nothing is rendered where the project says itself how an image is built."""
    project = checkout / "examples" / "postcards"
    assert of(material_of(project, "laptop", project / "deploy" / "laptop", env=ENV)) == {}


def test_the_supervisor_reads_its_file(tmp_path: Path) -> None:
    """The processes of the one container are in order, with their readiness, what is vital, and their limits."""
    text = of(NAMED["repolens"].material(tmp_path))["combined/processes.toml"].text
    read = read_procfile(tomllib.loads(text.replace("{PORT}", "3001")), tmp_path)
    api, worker = read.processes
    assert (api.name, api.vital, api.after, api.ready.url) == ("api", True, (), "http://127.0.0.1:3001/api/health")  # type: ignore[union-attr]
    assert (worker.name, worker.vital, worker.after, worker.restart) == ("worker", False, ("api",), "always")
    assert (worker.stop.within, worker.memory, read.memory) == (120, 250 * 2**20, 460 * 2**20)
    assert dict(worker.env)["API_URL"] == "http://127.0.0.1:3001"


@pytest.mark.parametrize(
    ("run", "manifest", "base"),
    [("python a.py", "requirements.txt", "NODE_IMAGE"), ("node a.js", "package.json", "venv")],
    ids=["python", "node"],
)
def test_one_language_alone(tmp_path: Path, run: str, manifest: str, base: str) -> None:
    """Processes of one language share an image too: with no other runtime but the supervisor's own."""
    files = {
        "compose.yaml": "name: x\nservices:\n  web: {build: a, ports: ['1:1']}\n  jobs: {build: b}\n",
        "towline.yaml": (
            f"services:\n  web: {{run: {run}}}\n  jobs: {{kind: worker, run: {run}}}\n"
            "targets:\n  production: {shape: combined, sites: {cloud: {kind: render}}}\n"
        ),
        f"a/{manifest}": "{}" if manifest.endswith("json") else "",
        f"b/{manifest}": "{}" if manifest.endswith("json") else "",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    made = of(material_of(tmp_path, "production", tmp_path / "deploy" / "production", env=ENV))
    text = made["combined/Dockerfile"].text
    assert complaints(text) == []
    assert base not in text
    assert "ARG PYTHON_IMAGE=python:3.11-slim" in text


def test_the_supervisor_is_carried_whole(tmp_path: Path) -> None:
    """Every file of it is rendered as it is, so that the image needs nothing of ours from elsewhere."""
    own = sorted((ROOT / "src" / "towline_supervisor").glob("*.py"))
    made = {one.path: one.text for one in combined_image.files(NAMED["repolens"].material(tmp_path))}
    assert {path.name: path.read_text() for path in own} == {
        path.rpartition("/")[2]: text for path, text in made.items() if "/towline_supervisor/" in path
    }
    assert all(path.startswith("combined/") for path in made)
