"""The migration: run once on every release, before any traffic goes to the new version."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from towline.spec.guess.model import Guess
from towline.spec.guess.written import copyable

if TYPE_CHECKING:
    from towline.spec.container import Container
    from towline.spec.guess.roles import Role
    from towline.spec.guess.scene import Scene

_FIRST = ("web", "private", "worker")


def with_release(scene: Scene, roles: tuple[Role, ...]) -> tuple[tuple[Role, ...], tuple[Guess, ...]]:
    """The roles, with the migration left out where the release takes its place, and the lines of the release."""
    tasks = [role for role in roles if role.kind == "task" and scene.line(role.container).migrates]
    home = _home(scene, tasks[0], roles) if len(tasks) == 1 else None
    if home is None:
        return roles, _at_each_start(scene, roles) if not tasks else ()
    task = tasks[0]
    reason = "`release:` does its work, before any traffic goes to the new version"
    kept = tuple(replace(role, kind="omit", reason=reason) if role is task else role for role in roles)
    return kept, (
        Guess(("release", "in"), home.name, f"built from the same folder as {task.name}", "likely"),
        Guess(("release", "run"), _shell_line(scene.argv(task.container)), f"the command of {task.name}", "likely"),
    )


def _home(scene: Scene, task: Role, roles: tuple[Role, ...]) -> Role | None:
    """The service in whose folder and environment the migration can run; None when there is none."""
    own = task.container
    written = own.command is not None or own.entrypoint is not None
    if not written or not copyable(scene.compose, own) or not _shell_line(scene.argv(own)):
        return None
    alike = [
        role
        for role in roles
        if role.kind in _FIRST
        and _built_as(role.container) == _built_as(own)
        and (own.build is not None or role.container.image == own.image)
        and set(own.environment) <= set(role.container.environment)
    ]
    return min(alike, key=lambda role: _FIRST.index(role.kind), default=None)


def _built_as(container: Container) -> tuple[object, ...] | None:
    """What its image is made of; arguments such as a public address change nothing for a migration."""
    build = container.build
    return None if build is None else (build.context, build.dockerfile, build.inline, build.stage)


def _shell_line(argv: tuple[str, ...]) -> str:
    """The line for a shell; empty when it has several lines."""
    if len(argv) == 3 and argv[0].rsplit("/", 1)[-1] in {"sh", "bash"} and argv[1] in {"-c", "-lc", "-ec"}:
        line = argv[2].strip()
    else:
        line = shlex.join(argv)
    return line if line.isprintable() else ""


def _at_each_start(scene: Scene, roles: tuple[Role, ...]) -> tuple[Guess, ...]:
    for role in roles:
        text = scene.line(role.container).text
        if role.kind in _FIRST and scene.line(role.container).migrates and ("&&" in text or ";" in text):
            reason = f"{role.name} migrates whenever it starts, so two copies do it at once: let a release do it once"
            return (Guess(("release", "run"), None, reason, "open"),)
    return ()
