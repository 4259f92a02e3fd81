"""The step of SETUP.md that gives the workflows what they need: secrets and variables of the repository."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from towline.artifacts.docs.text import sh, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.artifacts.docs.guide import Guide

_NEEDED = re.compile(r"\b(secrets|vars)\.([A-Z][A-Z0-9_]*)")
_GIVEN = frozenset({"GITHUB_TOKEN"})
_WHY = (
    ("_SSH_KEY", "the private key of an account that may deploy to the server: one of its own, not yours"),
    ("_SSH_KNOWN_HOSTS", "what `ssh-keyscan -p PORT SERVER` says, compared with the server's own"),
    ("_SSH", "where the server is: deploy@SERVER, or deploy@SERVER:PORT"),
    ("RENDER_API_KEY", "a key of the account at Render: Account settings, API keys"),
    ("COOLIFY_TOKEN", "a token of Coolify that may deploy, and nothing else"),
    ("COOLIFY_URL", "where Coolify answers"),
    ("_UUID", "the application's number in Coolify's address bar"),
    ("NOTIFY_WEBHOOK", "where a deploy is told of: a webhook of Slack or Discord; without it nobody is told"),
    (
        "BACKUP_PASSPHRASE",
        "what dumps are encrypted with; without it they cannot be read again, so keep a copy elsewhere",
    ),
    ("_DIRECT_URL", "the address of the database itself, not that of its pool"),
    ("_URL", "where the service answers from outside"),
)


def at_github(guide: Guide) -> Iterator[list[str] | str]:
    """What the rendered workflows read, by name."""
    workflows = [file.text for file in guide.material.rendered if file.path.startswith(".github/workflows/")]
    found = sorted({match.groups() for text in workflows for match in _NEEDED.finditer(text)})
    wanted = [(kind, name) for kind, name in found if name not in _GIVEN]
    if not workflows:
        return
    yield "The workflows lie at the root of the repository:"
    yield sh(f"cp -r {guide.folder}/.github .", "git add .github", "git commit -m 'Add the workflows'", "git push")
    if wanted:
        yield "Settings, Secrets and variables, Actions: a *secret* is never shown again, a *variable* is."
        yield table(("name", "as", "is"), [(f"`{name}`", _KIND[kind], _why(name)) for kind, name in wanted])
    if guide.has(".github/workflows/test.yml"):
        yield "Protect the main branch, so that only what was tested is deployed: Settings, Branches, require `test`."


_KIND = {"secrets": "secret", "vars": "variable"}


def _why(name: str) -> str:
    return next((why for ending, why in _WHY if name.endswith(ending)), "read by the workflows")
