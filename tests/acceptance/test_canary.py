"""Secret values reach the processes that need them, and no other place: no output, no journal, no command line."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.acceptance.projects import APPS, Project, project

if TYPE_CHECKING:
    from collections.abc import Iterator

INLINE, FILED, DOTTED = (f"canary-{place}-7f3a91c2e5" for place in ("compose", "envfile", "dotenv"))
CANARIES = (INLINE, FILED, DOTTED)

PRINTS = """
import os, sys
print("token", os.environ["TOKEN"], flush=True)
sys.exit("gone with " + os.environ["FROM_FILE"])
"""


@pytest.fixture
def secretive(tmp_path: Path) -> Iterator[Project]:
    """The tiny app with a database, a queue, and a secret in each place where a user may keep one."""
    with project(APPS / "tiny", tmp_path) as made:
        made.change("compose.yaml", "    ports:\n", "    env_file: [secrets.env]\n    ports:\n")
        made.change(
            "compose.yaml",
            "      VERSION: one\n      NOTES",
            f"      VERSION: one\n      TOKEN: {INLINE}\n      FROM_DOT: ${{DOT}}\n      NOTES",
        )
        with (made.path / "compose.yaml").open("a") as file:
            file.write("\n  db:\n    image: postgres:18\n\n  queue:\n    image: valkey/valkey:9\n")
        with (made.path / "towline.yaml").open("a") as file:
            file.write("\nstores:\n  db: { kind: postgres }\n  queue: { kind: redis, use: queue }\n")
            file.write('\nbind:\n  "*": { DATABASE_URL: db.url, REDIS_URL: queue.url }\n')
        (made.path / "secrets.env").write_text(f"FROM_FILE={FILED}\n")
        (made.path / ".env").write_text(f"DOT={DOTTED}\n")
        yield made


def secrets_of(one: Project) -> set[str]:
    """The canaries, and the passwords that were made for the stores."""
    path = one.home / "secrets.json"
    found = re.findall(r'"([^"]{12,})"\s*[,}]', path.read_text()) if path.exists() else []
    return {*CANARIES, *found}


def holders(one: Project) -> dict[str, set[str]]:
    """Files of the target, by name below its folder, with the secrets that each holds."""
    secrets = {secret: secret.encode() for secret in secrets_of(one)}
    found = {}
    for path in one.home.rglob("*"):
        if path.is_file() and "data" not in path.relative_to(one.home).parts:
            text = path.read_bytes()
            if held := {secret for secret, plain in secrets.items() if plain in text}:
                found[str(path.relative_to(one.home))] = held
    return found


def say_everything(one: Project) -> None:
    """Every command once, well and in trouble."""
    one.run("check").must()
    one.run("check", "--json").must()
    one.run("plan").must(10)
    one.run("plan", "--json").must(10)
    one.up()
    for words in (("status",), ("status", "--json"), ("logs",), ("logs", "--json"), ("verify",), ("verify", "--json")):
        one.run(*words).must()
    one.run("history").must()
    one.run("history", "--json").must()
    one.run("logs", "nobody").must(2)
    one.run("exec", "--json", "api", "--", "python3", "-c", "import os; print(os.environ['DATABASE_URL'])").must()
    one.run("resume").must(3)


def get_into_trouble(one: Project) -> None:
    """Errors and findings of every kind that see the user's values."""
    text = (one.path / "compose.yaml").read_text()
    one.change("compose.yaml", "env_file: [secrets.env]", "env_file: [gone.env]")
    one.run("check").must(2)
    (one.path / "compose.yaml").write_text(text.replace("${DOT}", "${DOT:?must be set} ${GONE}"))
    one.run("check", "--json")
    (one.path / "compose.yaml").write_text(text.replace(f"TOKEN: {INLINE}", f"TOKEN: [{INLINE}]"))
    one.run("check").must(2)
    (one.path / "compose.yaml").write_text(text.replace(f"TOKEN: {INLINE}", f"TOKEN: {INLINE}: {INLINE}"))
    one.run("check", "--json").must(2)
    (one.path / "compose.yaml").write_text(text)


def test_values_are_nowhere_but_where_they_belong(secretive: Project) -> None:
    """No command says a value; on the disk only the private stash and the values file have them, with mode 0600."""
    say_everything(secretive)
    stores = secrets_of(secretive) - set(CANARIES)
    assert len(stores) >= 2, "the stores have passwords"
    environ = Path(f"/proc/{secretive.pids()['api']}/environ").read_bytes()
    assert all(one.encode() in environ for one in CANARIES), "the process has what it needs"

    said = "\n".join(secretive.said)
    assert not [one for one in secrets_of(secretive) if one in said]
    everybody = "\n".join(secretive.processes().values())
    assert "postgres" in everybody
    assert not [one for one in secrets_of(secretive) if one in everybody]

    held = holders(secretive)
    allowed = ("blobs/", "config/", "secrets.json")
    assert not [name for name in held if not name.startswith(allowed)]
    assert set(CANARIES) <= set().union(*(held[name] for name in held if name.startswith("blobs/")))
    assert not [name for name, secrets in held.items() if name.startswith("config/") and secrets & set(CANARIES)]


def test_everything_is_private(secretive: Project) -> None:
    """Folders of the target have mode 0700 and files 0600.

    Only the note for version control may be read by all; what a store's own server writes lies below a private folder.
    """
    secretive.up()
    top = secretive.path / ".towline"
    looked = [top, *(path for path in top.rglob("*") if secretive.home / "data" not in path.parent.parents)]
    modes = {str(path.relative_to(secretive.path)): stat.S_IMODE(path.lstat().st_mode) for path in looked}
    for store in ("db", "queue"):
        modes.pop(f".towline/laptop/data/{store}/towline-store", None)
    assert modes[".towline/laptop/data/db"] == 0o700
    assert not {name: oct(mode) for name, mode in modes.items() if mode & 0o077 and name != ".towline/.gitignore"}


def test_trouble_says_no_value(secretive: Project) -> None:
    """Findings on Compose files with secrets in them name the place and never the value."""
    get_into_trouble(secretive)
    said = "\n".join(secretive.said)
    assert "gone.env" in said
    assert not [one for one in CANARIES if one in said]


def test_last_words_are_masked(secretive: Project) -> None:
    """A process that prints its secrets and dies is quoted with the values masked, on the screen and in the journal."""
    (secretive.path / "api/api.py").write_text(PRINTS)
    told = secretive.run("up", "--json").must(4).json()
    assert any("●" in line for line in told["error"]["evidence"])
    secretive.run("status", "--json").must()
    said = "\n".join(secretive.said)
    assert "gone with" in said
    assert not [one for one in CANARIES if one in said]
    journal = secretive.journal.read_text()
    assert "gone with" in json.dumps([json.loads(line) for line in journal.splitlines()])
    assert not [one for one in CANARIES if one in journal]
