"""`.github/workflows`: test, build, deploy, migrate and backup, for what a target is made of.

Tests are the app's, so every target renders the same file of them. The others bear the target's name, as the secrets
and variables that they read do: the workflows of two targets stand side by side in one repository.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from towline.artifacts.ci.building import build_workflow
from towline.artifacts.ci.deploying import deploy_workflow
from towline.artifacts.ci.keeping import backup_workflow, migrate_workflow
from towline.artifacts.ci.pipeline import pipeline_of
from towline.artifacts.ci.testing import test_workflow
from towline.artifacts.rendered import RenderedFile
from towline.artifacts.yaml_text import comment, spaced, yaml_text

if TYPE_CHECKING:
    from towline.artifacts.ci.pipeline import Pipeline
    from towline.artifacts.rendered import Material

_SAID = {
    "test": "Every pull request: lint, types, tests with coverage, build.",
    "build": "Every merge: tested again, built, scanned, pushed, and written down by its digests.",
    "deploy": "What the build made goes out, is waited for, looked at from outside, and told; also the way back.",
    "migrate": "Before a release: backup, the migration on a copy, and only then the migration itself.",
    "backup": "Every night: a dump that was restored once before it counts, encrypted, and kept for 7, 28 or 90 days.",
}
_MEANING = {
    "RENDER_API_KEY": "a key of the account at Render",
    "NOTIFY_WEBHOOK": "the address of a webhook of Slack or Discord, where the end of each deploy is told",
    "BACKUP_PASSPHRASE": "what dumps are encrypted with (`openssl rand -hex 32`); keep it elsewhere too",
}
_ENDINGS = {
    "COOLIFY_URL": "the address of the panel",
    "COOLIFY_TOKEN": "a token of the panel that may read, write and deploy",
    "DOKPLOY_URL": "the address of the panel",
    "DOKPLOY_TOKEN": "an API key of the panel",
    "_SSH_KNOWN_HOSTS": "the server's public keys, as `ssh-keyscan ADDRESS` prints them; compare them on the server",
    "_SSH_KEY": "the private key that may log in there",
    "_SSH": "who and where it is: `deploy@ADDRESS`",
    "_DIRECT_URL": "the address of the database itself, not that of its pool",
    "_UUID": "the application's UUID in the panel",
    "_ID": "the application's applicationId in the panel",
    "_URL": "the address under which browsers find it, without a path",
}


def files(material: Material) -> tuple[RenderedFile, ...]:
    """The workflows that the target calls for; nothing for one that nothing is built, deployed or backed up for."""
    pipeline = pipeline_of(material)
    if not (pipeline.deploys or pipeline.databases):
        return ()
    test = test_workflow(pipeline)
    made = {
        "test": test,
        "build": build_workflow(pipeline, tested=test is not None),
        "deploy": deploy_workflow(pipeline),
        "migrate": migrate_workflow(pipeline),
        "backup": backup_workflow(pipeline),
    }
    return tuple(_file(pipeline, name, value) for name, value in made.items() if value is not None)


def _file(pipeline: Pipeline, name: str, value: dict[str, object]) -> RenderedFile:
    shared = name == "test"
    called = name if shared else pipeline.named(name)
    return RenderedFile(f".github/workflows/{called}.yml", _text(pipeline, name, value), _SAID[name], shared=shared)


def _text(pipeline: Pipeline, name: str, value: dict[str, object]) -> str:
    head_part, _, jobs = yaml_text(value).partition("\njobs:\n")
    body = spaced(head_part, "[a-z]") + "\n\njobs:\n" + spaced(jobs, r"  [\w-]+:$")
    whose = pipeline.app if name == "test" else f"{pipeline.app}, target {pipeline.target}"
    head = comment(f"{whose}. {_SAID[name]}{_more(pipeline, name)}")
    asked = [*_asked(body, "secrets"), *_asked(body, "vars")]
    if asked:
        head += [
            "#",
            *comment("Set in the repository (Settings > Secrets and variables > Actions):"),
        ]
        head += [line for kind, one in asked for line in comment(f"  {kind} {one}: {meaning_of(one)}")]
    return "\n".join([*head, "", body])


def meaning_of(name: str) -> str:
    """What a secret or variable of the repository is for."""
    return _MEANING.get(name) or next((text for end, text in _ENDINGS.items() if name.endswith(end)), "yours")


def _asked(text: str, kind: str) -> list[tuple[str, str]]:
    """The secrets or variables that a workflow reads, but for the one that every run has."""
    found = sorted(set(re.findall(rf"\b{kind}\.([A-Z0-9_]+)", text)) - {"GITHUB_TOKEN"})
    return [("secret" if kind == "secrets" else "variable", name) for name in found]


def _more(pipeline: Pipeline, name: str) -> str:
    if name == "deploy" and pipeline.builds:
        return (
            f" To go back: Actions > {pipeline.named('deploy')} > Run workflow, with the commit of the earlier release."
        )
    if name == "migrate" and pipeline.material.app.release is not None and pipeline.platform.units:
        return " At Render the release command itself runs between build and shift (preDeployCommand in render.yaml)."
    if name == "backup":
        return " To read one: gpg --decrypt FILE > dump, then pg_restore --dbname ADDRESS dump."
    return ""
