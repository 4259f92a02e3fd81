"""What a call of the webhook may deploy, and the deploy itself: the images that it names, and nothing else new."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from towline.artifacts.containers import text_of
from towline.artifacts.host_services import REGISTRY, VERSION, Ground, image_of
from towline.core.errors import Finding, Findings, Where
from towline.core.secret import Secret, generate
from towline.ops import deploy as story
from towline.ops.occasion import occasion_of
from towline.ops.preflight import refuse
from towline.ops.preflight_hosts import looked_over
from towline.ops.secrets import WEBHOOK_SECRET
from towline.ops.told import told
from towline.ops.verify_hosts import verify_hosts
from towline.ops.webhook_calls import repository_of
from towline.ops.workspace import owner
from towline.release import journal
from towline.release.copies import started

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from towline.ops.hosts import Hosts
    from towline.ops.report import Verdict
    from towline.ops.told import Say
    from towline.ops.webhook_calls import Call

SHORTEST: Final = 24
"""Characters of a secret that nobody tries out."""


def secret_of(hosts: Hosts) -> Secret:
    """What calls are signed with. Raises Findings when the vault has none, or one that could be guessed."""
    kept = hosts.vault.kept().get(WEBHOOK_SECRET)
    where, hint = Where(str(hosts.vault.place.file)), f"towline webhook key {hosts.target.name}"
    if kept is None:
        sentence = f"{WEBHOOK_SECRET} has no value: nobody could sign a call"
        raise Findings((Finding("secret-missing", sentence, where, hint),))
    if len(kept.value.reveal()) < SHORTEST:
        sentence = f"{WEBHOOK_SECRET} has fewer than {SHORTEST} characters: it could be tried out"
        raise Findings(
            (Finding("secret-short", sentence, where, f"towline secrets remove {WEBHOOK_SECRET}, then {hint}"),)
        )
    return kept.value


def made_secret(hosts: Hosts) -> Secret:
    """What calls are signed with, made now when there is none yet."""
    if WEBHOOK_SECRET not in hosts.vault.kept():
        hosts.vault.put({WEBHOOK_SECRET: generate()}, "generated")
    return secret_of(hosts)


def repositories(hosts: Hosts) -> dict[str, str]:
    """Where the images of each service may come from, as towline.yaml and the Compose file have it."""
    known = {name: one.value.reveal() for name, one in hosts.vault.kept().items()} | dict(hosts.told)
    found = {}
    for site in hosts.target.sites:
        ground = Ground(hosts.material, site)
        for service in ground.services:
            text = image_of(ground, service)
            if REGISTRY in text and REGISTRY.name not in known:
                continue
            found[service.name] = repository_of(text_of(text, {VERSION.name: "any", **known}))
    return found


def against(allowed: Mapping[str, str], call: Call) -> str | None:
    """Why a call may not be, None when it may: of each service only an image of its own repository."""
    for service, image in call.images.items():
        if service not in allowed:
            return f"no image of `{service}` may be deployed; those of {', '.join(sorted(allowed)) or 'no service'} may"
        if repository_of(image) != allowed[service]:
            return f"images of `{service}` come from {allowed[service]}, and from nowhere else"
    return None


def standing_images(hosts: Hosts) -> dict[str, str]:
    """The image that each service runs now: what a call does not name stays as it is."""
    made = started(journal.read(hosts.site, hosts.sites))
    found: dict[str, str] = {}
    for site, seen in story.observed(hosts.sites).items():
        for fact in seen.instances:
            instance = made.get((site, fact.name, fact.revision))
            if fact.state == "ready" and instance is not None and instance.runs == "service" and instance.container:
                found.setdefault(fact.service, instance.container.image)
    return found


def deploy_call(hosts: Hosts, project: Path, call: Call, say: Say) -> Verdict | None:
    """Deploy what a call names; None when it runs already.

    Raises whatever a deploy does. The journal, the hooks and the messages say that the call was the trigger.
    """
    with contextlib.closing(replace(hosts, images={**standing_images(hosts), **call.images})) as chosen:
        return _deployed(chosen, project, f"{call.trigger} on {owner()}", say)


def _deployed(hosts: Hosts, project: Path, by: str, say: Say) -> Verdict | None:
    prepared, found = looked_over(hosts)
    if prepared is None:
        raise Findings(found)
    refuse(found)
    say[1](found)
    if prepared.plan.empty:
        return None
    seen: list[Verdict] = []

    def work() -> tuple[bool, str]:
        story.deploy(hosts, prepared, say[0], by)
        seen.append(verify_hosts(hosts, bundle=prepared.bundle))
        return seen[0].ok, seen[0].summary

    told(hosts, project, occasion_of(hosts, "deploy", prepared.plan.release, by), work, say)
    return seen[0]
