"""Shell lines of the user's own around a deploy: `before` may stop it, `after` and `failed` are told how it went."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Final, Literal

from towline.core.errors import Finding, Refused
from towline.core.events import Noted
from towline.core.process import Ran, run
from towline.core.units import show_seconds
from towline.secrets.identity import KEY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from towline.core.events import Listener
    from towline.ops.occasion import Occasion
    from towline.spec.model import Hooks

Moment = Literal["before", "after", "failed"]

NOT_THEIRS: Final = (KEY,)
"""Variables of ours that no hook has: the key of the vault."""


def before(hooks: Hooks, project: Path, occasion: Occasion, listener: Listener) -> None:
    """Run the hook `before`. Raises Refused when it fails: then nothing is changed."""
    if (why := _failing("before", hooks.before, hooks.within, project, (occasion, listener))) is not None:
        raise Refused(f"{why}, so nothing was changed", hint=_again(project, hooks.before))


def after(hooks: Hooks, project: Path, occasion: Occasion, listener: Listener) -> Finding | None:
    """Run the hook that fits how it went; what is wrong with it. What was deployed stays, whatever becomes of it.

    A hook `failed` that fails is only worth a warning: something worse is told already.
    """
    moment: Moment = "after" if occasion.ok else "failed"
    line = hooks.after if occasion.ok else hooks.failed
    why = _failing(moment, line, hooks.within, project, (occasion, listener))
    if why is None:
        return None
    sentence = f"{why}; what runs on {occasion.target} is not changed by that"
    return Finding("hook-failed", sentence, None, _again(project, line), "error" if occasion.ok else "warning")


def _again(project: Path, line: str | None) -> str:
    """What to type to see it fail once more."""
    return f"( cd {shlex.quote(str(project))} && {line} )"


def _failing(
    moment: Moment, line: str | None, within: float, project: Path, told: tuple[Occasion, Listener]
) -> str | None:
    """Run a hook, its output as talk; what was wrong with it, None when nothing was."""
    if line is None:
        return None
    occasion, listener = told
    listener(Noted(f"hook {moment}: {line}"))
    done = run(
        ("/bin/sh", "-c", line),
        within=within,
        cwd=project,
        env=environment(os.environ, moment, occasion),
        on_line=lambda text: listener(Noted(f"  | {text}")),
    )
    return _wrong(moment, done, within)


def environment(own: Mapping[str, str], moment: Moment, occasion: Occasion) -> dict[str, str]:
    """What a hook has: the environment of the one who deploys, and what it is about."""
    kept = {name: value for name, value in own.items() if name not in NOT_THEIRS}
    return {**kept, **occasion.environment(), "TOWLINE_HOOK": moment}


def _wrong(moment: Moment, done: Ran, within: float) -> str | None:
    if done.timed_out:
        return f"the hook `{moment}` was not done within {show_seconds(within)}"
    return f"the hook `{moment}` ended with status {done.status}" if done.status != 0 else None
