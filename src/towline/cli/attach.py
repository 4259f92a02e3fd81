"""Stay with a running app: show its log, and replace what changed while it runs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from typing import TYPE_CHECKING

from towline.artifacts.source import code_filter
from towline.cli.look import stream_logs
from towline.core import events
from towline.core.errors import TowlineError
from towline.ops import inspect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from towline.cli.show import Screen
    from towline.ops.workspace import Workspace


@contextlib.contextmanager
def attached(workspace: Workspace) -> Iterator[bool]:
    """Be the terminal that the app lives with; False when another one is."""
    descriptor = os.open(workspace.home / "attached.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def follow(workspace: Workspace, screen: Screen) -> None:
    """Show new log lines until the app is gone or the caller is interrupted; `reload` services follow their code."""
    over = threading.Event()
    folders = tuple({one.context for one in workspace.app.services if one.reload and one.context is not None})
    if folders:
        watcher = threading.Thread(target=_reload, args=(workspace, screen, folders, over), daemon=True)
        watcher.start()
    try:
        stream_logs(screen, inspect.logs(workspace, (), 0, follow=True))
    finally:
        over.set()


def _reload(workspace: Workspace, screen: Screen, folders: tuple[Path, ...], over: threading.Event) -> None:
    """Deploy again, by the ordinary way, whenever code has changed; a failure is told and the old copy goes on."""
    from watchfiles import watch

    from towline.ops.deploy import deploy, prepare

    filters = {folder: code_filter(folder) for folder in folders}

    def is_code(_: object, path: str) -> bool:
        for folder, left_out in filters.items():
            with contextlib.suppress(ValueError):
                if not left_out.match_file(os.path.relpath(path, folder)) and path.startswith(f"{folder}{os.sep}"):
                    return True
        return False

    for _ in watch(*folders, watch_filter=is_code, stop_event=over, step=100):
        try:
            prepared = prepare(workspace)
            if not prepared.plan.empty:
                screen.listener(events.Noted("the code has changed"))
                deploy(workspace, prepared, screen.listener)
        except TowlineError as error:
            screen.error(error)
