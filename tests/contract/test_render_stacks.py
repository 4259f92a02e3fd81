"""What a service's folder says of it: every installer, workspaces, versions, weights, and files that are broken."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.artifact_scenes import service as scene

from towline.spec.model import Command
from towline.spec.stack import ModelLoad, Stack, read_stack
from towline.spec.stacks.node import node_version
from towline.spec.stacks.python import python_version

if TYPE_CHECKING:
    from pathlib import Path

LOCK_OF_UV = '[[package]]\nname = "fastapi"\n\n[[package]]\nname = "psycopg2"\n'


def stack(project: Path, files: dict[str, object], *, cwd: str = "", line: str = "", kind: str = "web") -> Stack:
    """The Stack of a service whose context is the project, and whose folder is `cwd` in it."""
    for name, content in files.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    told = scene("api", kind, context=project, folder=project / cwd, command=Command(("/bin/sh", "-c", line), "run:"))
    return read_stack(project, told)


@pytest.mark.parametrize(
    ("files", "installer", "version"),
    [
        ({"package-lock.json": {}}, "npm", None),
        ({"pnpm-lock.yaml": "lockfileVersion: '9.0'\n"}, "pnpm", "9"),
        ({"pnpm-lock.yaml": "lockfileVersion: '6.0'\n"}, "pnpm", "8"),
        ({"yarn.lock": "# yarn lockfile v1\n"}, "yarn", "1"),
        ({"yarn.lock": "__metadata:\n  version: 8\n"}, "yarn", "4"),
        ({}, "npm", None),
    ],
    ids=["npm", "pnpm 9", "pnpm 8", "yarn 1", "yarn 4", "no lock"],
)
def test_node_installers(tmp_path: Path, files: dict[str, object], installer: str, version: str | None) -> None:
    """The lock file tells the installer, and which version of it wrote the file."""
    found = stack(tmp_path, {"package.json": {"name": "api"}, **files})
    assert (found.language, found.installer, found.installer_version) == ("node", installer, version)
    assert found.locks == tuple(files)


def test_the_named_installer_wins_over_the_locks_age(tmp_path: Path) -> None:
    """`packageManager` names the version exactly; without a lock file it names the installer as well."""
    package = {"name": "api", "packageManager": "pnpm@9.15.4+sha512.abc"}
    assert stack(tmp_path, {"package.json": package}).installer == "pnpm"
    found = stack(tmp_path, {"package.json": package, "pnpm-lock.yaml": "lockfileVersion: '9.0'\n"})
    assert (found.installer, found.installer_version) == ("pnpm", "9.15.4")


def test_a_workspace_is_installed_at_its_root(tmp_path: Path) -> None:
    """The packages that a service is made of come in the order of building; the others are named as strangers."""
    files: dict[str, object] = {
        "package.json": {"name": "all", "workspaces": ["apps/*", "packages/*", "!packages/old"]},
        "package-lock.json": {},
        "apps/api/package.json": {
            "name": "@s/api",
            "dependencies": {"@s/db": "*", "hono": "4"},
            "scripts": {"build": "tsc"},
        },
        "apps/web/package.json": {"name": "@s/web", "dependencies": {"@s/ui": "*"}},
        "packages/db/package.json": {"name": "@s/db", "dependencies": {"@s/types": "*", "@prisma/client": "6"}},
        "packages/db/prisma/schema.prisma": 'generator client {\n  output = "../src/made"\n}\n',
        "packages/types/package.json": {"name": "@s/types", "scripts": {"build": "tsc"}},
        "packages/ui/package.json": {"name": "@s/ui"},
        "packages/old/package.json": {"name": "@s/old"},
    }
    found = stack(tmp_path, files, cwd="apps/api")
    assert (found.workspace, found.folder, found.root, found.context) == (True, "apps/api", "", "")
    assert [(one.folder, one.builds) for one in found.members] == [
        ("packages/types", True),
        ("packages/db", False),
        ("apps/api", True),
    ]
    assert found.strangers == ("apps/web", "packages/ui")
    assert (found.prisma_schema, found.prisma_output) == ("packages/db/prisma/schema.prisma", "../src/made")
    assert "packages/old/package.json" not in found.manifests


def test_packages_that_need_each_other_are_each_built_once(tmp_path: Path) -> None:
    """A circle in a workspace has no order; nothing is lost and nothing hangs."""
    files: dict[str, object] = {
        "package.json": {"workspaces": ["*"]},
        "a/package.json": {"name": "a", "dependencies": {"b": "*"}},
        "b/package.json": {"name": "b", "dependencies": {"a": "*"}},
    }
    assert [one.name for one in stack(tmp_path, files, cwd="a").members] == ["b", "a"]


def test_a_context_above_the_service_stays_the_context(tmp_path: Path) -> None:
    """What Compose builds from is what the image gets, also where the packages are further in."""
    found = stack(tmp_path, {"server/requirements.txt": "flask\n", "shared.py": ""}, cwd="server")
    assert (found.folder, found.root, found.context) == ("server", "server", "")


@pytest.mark.parametrize(
    ("files", "installer", "locks"),
    [
        ({"uv.lock": LOCK_OF_UV, "pyproject.toml": '[project]\nname = "api"\n'}, "uv", ("uv.lock",)),
        ({"poetry.lock": LOCK_OF_UV, "pyproject.toml": "[tool.poetry]\n"}, "poetry", ("poetry.lock",)),
        ({"Pipfile": "", "Pipfile.lock": {"default": {"fastapi": {}, "psycopg2": {}}}}, "pipenv", ("Pipfile.lock",)),
        (
            {"requirements.txt": "fastapi[standard]==1\npsycopg2>2 ; python_version > '3'\n"},
            "pip",
            ("requirements.txt",),
        ),
        ({"pyproject.toml": '[project]\ndependencies = ["fastapi>=1", "psycopg2"]\n'}, "pip", ()),
    ],
    ids=["uv", "poetry", "pipenv", "pip", "pyproject"],
)
def test_python_installers(tmp_path: Path, files: dict[str, object], installer: str, locks: tuple[str, ...]) -> None:
    """The most exact file tells the installer and the packages, and those tell what Debian has to add."""
    found = stack(tmp_path, files)
    assert (found.language, found.installer, found.locks) == ("python", installer, locks)
    assert "fastapi" in found.frameworks
    assert found.needs_compiler
    assert found.build_packages == ("gcc", "libc6-dev", "libpq-dev")
    assert found.run_packages == ("libpq5",)


def test_a_uv_workspace_is_installed_at_its_root(tmp_path: Path) -> None:
    """The lock is the workspace's, every manifest of it is read, and the service is installed as its package."""
    files: dict[str, object] = {
        "pyproject.toml": '[project]\nname = "all"\n[tool.uv.workspace]\nmembers = ["apps/*"]\n',
        "uv.lock": LOCK_OF_UV,
        "apps/api/pyproject.toml": '[project]\nname = "shop-api"\n[build-system]\nrequires = []\n',
        "apps/web/pyproject.toml": '[project]\nname = "shop-web"\n',
    }
    found = stack(tmp_path, files, cwd="apps/api")
    assert (found.installer, found.folder, found.root, found.workspace) == ("uv", "apps/api", "", True)
    assert (found.package, found.installs_itself) == ("shop-api", True)
    assert found.manifests == ("pyproject.toml", "apps/api/pyproject.toml", "apps/web/pyproject.toml")


def test_included_requirements_are_copied_too(tmp_path: Path) -> None:
    """A list brings those that it includes, and one that is not there is a doubt and no guess."""
    files: dict[str, object] = {
        "requirements.txt": "-r base.txt\n--constraint=pins/all.txt\n-r gone.txt\n",
        "base.txt": "torch==2.9.0\n",
        "pins/all.txt": "numpy==2.0\n",
        "requirements-dev.txt": "pytest\nruff\n",
    }
    found = stack(tmp_path, files)
    assert found.locks == ("requirements.txt", "base.txt", "pins/all.txt")
    assert found.doubts == ("requirements.txt includes gone.txt, which is not there",)
    assert found.cpu_torch
    assert (found.tools, found.dev_manifests) == (("pytest", "ruff"), ("requirements-dev.txt",))


def test_torch_that_is_pinned_by_its_hash_or_index_is_left_alone(tmp_path: Path) -> None:
    """Where the list says itself where torch comes from, nothing is added to it."""
    files: dict[str, object] = {"requirements.txt": "--extra-index-url https://download.pytorch.org/whl/cpu\ntorch\n"}
    assert not stack(tmp_path, files).cpu_torch
    assert not stack(tmp_path, {"requirements.txt": "torch==2 --hash=sha256:00\n"}).cpu_torch


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("20", "20"), ("v20.11.1\n", "20.11.1"), ("20.x", "20"), ("^20.1.0", "20"), ("~18.2", "18"), ("lts/iron", "20"),
        ("lts/*", None), (">=18", None), (">=24", "24"), (">=18 <21", "18"), (">=20 <24", None),
        ("node", None), ("", None),
    ],
)  # fmt: skip
def test_versions_of_node(text: str, version: str | None) -> None:
    """What pins a version gives it; what lets the usual one in gives none."""
    assert node_version(text) == version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("3.11.4\n", "3.11.4"), ("python-3.12.1", "3.12.1"), (">=3.9", None), (">=3.12,<4", "3.12"),
        (">=3.9,<3.11", "3.9"), ("^3.12", "3.12"), ("~=3.10", "3.10"), ("==3.13.*", "3.13"), ("<3.11", "3.10"),
        (">3.11", "3.12"), ("pypy", None),
    ],
)  # fmt: skip
def test_versions_of_python(text: str, version: str | None) -> None:
    """What pins a version gives it; what lets the usual one in gives none."""
    assert python_version(text) == version


def test_where_both_languages_are_the_command_decides(tmp_path: Path) -> None:
    """A Python server with a package.json for its pages is Python, and the other way round."""
    files: dict[str, object] = {"package.json": {"name": "x"}, "requirements.txt": "django\n"}
    assert stack(tmp_path, files, line="gunicorn shop.wsgi").language == "python"
    assert stack(tmp_path, files, line="node server.js").language == "node"
    assert stack(tmp_path, files, kind="static").language == "node"


def test_other_languages_and_empty_folders_are_told_as_such(tmp_path: Path) -> None:
    """Nothing is made up for a folder without a manifest, or one that is not there."""
    assert stack(tmp_path, {"go.mod": "module x\n"}).language == "other"
    assert stack(tmp_path / "gone", {}, kind="static").language == "static"


def test_only_the_program_that_is_started_counts_for_sigterm(tmp_path: Path) -> None:
    """A worker is not polite because the server beside it is."""
    files: dict[str, object] = {
        "package.json": {"scripts": {"start": "node dist/server.js", "worker": "node dist/worker.js"}},
        "src/server.ts": "process.on('SIGTERM', stop)\n",
        "src/worker.ts": "run()\n",
    }
    assert stack(tmp_path, files, line="npm start").handles_term
    assert not stack(tmp_path, files, line="npm run worker").handles_term
    python: dict[str, object] = {"requirements.txt": "", "jobs/__main__.py": "signal.signal(signal.SIGTERM, stop)\n"}
    assert stack(tmp_path / "two", python, line="python -m jobs").handles_term
    assert not stack(tmp_path / "two", python, line="python -m other").handles_term


def test_weights_are_found_where_the_code_loads_them(tmp_path: Path) -> None:
    """By a literal, a constant or the default of a variable; a path is no name, and tests load nothing."""
    code = (
        "import os, spacy, whisper\nfrom transformers import pipeline, AutoModel\n"
        "NAME = os.environ.get('MODEL', 'org/small')\nmodel = SentenceTransformer(NAME)\n"
        "one = pipeline('text-classification', model='org/classes')\ntwo = AutoModel.from_pretrained('org/base')\n"
        "three = spacy.load('en_core_web_sm')\nfour = whisper.load_model('tiny')\n"
        "five = SentenceTransformer('./models/own')\nsix = joblib.load_model('x')\n"
        "seven = self.tokenizer.from_pretrained('z')\n"
    )
    files: dict[str, object] = {
        "requirements.txt": "transformers\n",
        "app.py": code,
        "tests/t.py": "spacy.load('de')\n",
    }
    found = stack(tmp_path, files)
    assert set(found.model_loads) == {
        ModelLoad("sentence_transformers.SentenceTransformer", "org/small", variable="MODEL"),
        ModelLoad("transformers.pipeline", "org/classes", "text-classification"),
        ModelLoad("transformers.AutoModel.from_pretrained", "org/base"),
        ModelLoad("spacy.load", "en_core_web_sm"),
        ModelLoad("whisper.load_model", "tiny"),
    }
    assert set(found.model_weights) == {"org/small", "org/classes", "org/base", "en_core_web_sm", "tiny"}
    assert stack(tmp_path / "b", {"requirements.txt": "transformers\n"}).model_weights == ("transformers",)


@pytest.mark.parametrize(
    "name", ["package.json", "pyproject.toml", "Pipfile.lock", "pnpm-workspace.yaml", "tsconfig.json"]
)
@given(
    content=st.one_of(
        st.text(max_size=60), st.sampled_from(["[", "{", '{"a": [', "[a]\nb", "a: b: c", "[]", "1", "\0"])
    )
)
@settings(max_examples=25, deadline=None)
def test_broken_files_are_doubts(tmp_path_factory: pytest.TempPathFactory, name: str, content: str) -> None:
    """Whatever stands in a manifest, reading ends, and says which file it could not understand."""
    project = tmp_path_factory.mktemp("broken")
    (project / "package.json").write_text("{}")
    (project / name).write_text(content, encoding="utf-8", errors="replace")
    found = stack(project, {})
    assert all(name in doubt for doubt in found.doubts)
    assert found == stack(project, {})


@pytest.mark.parametrize(
    "package",
    [
        {"scripts": [], "workspaces": 3, "engines": "20", "dependencies": ["a"], "prisma": True, "packageManager": 9},
        {"scripts": {"build": 1}, "workspaces": {"packages": "a"}, "engines": {"node": 20}, "volta": []},
        {"workspaces": ["../*", "**", "[", ""], "name": ["x"]},
    ],
)
def test_values_of_the_wrong_type_are_passed_over(tmp_path: Path, package: dict[str, object]) -> None:
    """A manifest that is JSON and makes no sense is read as far as it does."""
    found = stack(tmp_path / "x", {"package.json": package})
    assert replace(found, workspace=False, manifests=()).language == "node"
