"""Let others ask for a deploy with a signed call: serve the webhook, make the key that signs."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from towline.cli.options import HERE, AsJson, Project
from towline.cli.show import Screen
from towline.core.errors import TowlineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from towline.ops.hosts import Hosts
    from towline.ops.webhook_calls import Call
    from towline.ops.webhook_server import Desk, Receiver

On = Annotated[str, typer.Argument(help="A target of towline.yaml whose sites are hosts.", show_default=False)]
Listen = Annotated[
    str, typer.Option("--listen", metavar="ADDRESS:PORT", help="Where calls come in; port 0: any free one.")
]

commands = typer.Typer(no_args_is_help=True, help="Deploy when a signed call asks for it, by digest alone.")


def add_to(app: typer.Typer) -> None:
    """Register the commands of this family."""
    app.add_typer(commands, name="webhook")


@commands.command()
def key(target: On, project: Project = HERE, as_json: AsJson = False) -> None:
    """Print the secret that signs calls, made now when there is none: for the secrets of your CI."""
    from towline.ops.webhook import made_secret

    screen = Screen(as_json, target)
    secret = made_secret(_opened(project, target, screen)).reveal()
    if as_json:
        screen.json({"target": target, "secret": secret})
    else:
        sys.stdout.write(f"{secret}\n")


@commands.command()
def serve(target: On, listen: Listen = "127.0.0.1:8710", project: Project = HERE, as_json: AsJson = False) -> None:
    """Take signed calls until Ctrl-C, and deploy the digests that they name, one after the other.

    It runs where you would deploy from: with the repository, the key of its vault, and a way to the hosts. With --json
    one object a line.
    """
    from towline.ops.webhook import against, repositories, secret_of
    from towline.ops.webhook_seen import Seen
    from towline.ops.webhook_server import Desk, Receiver

    screen, address = Screen(target=target), _address(listen)
    # It may run for months: a connection that nobody ends would stay as long.
    with contextlib.closing(_opened(project, target, screen)) as hosts:
        allowed, secret = repositories(hosts), secret_of(hosts)
    home = project.resolve() / ".towline" / target
    home.mkdir(parents=True, exist_ok=True)
    desk = Desk(secret, Seen(home / "webhook-seen.json"), lambda call: against(allowed, call))
    try:
        receiver = Receiver(address, desk)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"{listen} cannot be listened at: {reason}", hint="--listen 127.0.0.1:0") from error
    with receiver, _ending(desk), _serving(receiver):
        _tell(screen, {"listening": f"http://{_shown(receiver)}/deploy"}, as_json=as_json)
        while (call := desk.next()) is not None:
            try:
                _tell(screen, _deployed(project, target, call, screen), as_json=as_json)
            finally:
                desk.done()


def _deployed(project: Path, target: str, call: Call, screen: Screen) -> dict[str, object]:
    """What became of a call; an error ends its deploy, and not the receiver."""
    from towline.ops.webhook import deploy_call

    told: dict[str, object] = {"delivery": call.delivery, "source": call.source}
    screen.talk.print(
        f"{escape(call.trigger)}: {escape(', '.join(f'{name} = {one}' for name, one in call.images.items()))}"
    )
    try:
        with contextlib.closing(_opened(project, target, screen)) as hosts:
            verdict = deploy_call(hosts, project.resolve(), call, (screen.listener, screen.findings))
    except TowlineError as error:
        screen.error(error)
        return {**told, "ok": False, "verdict": error.sentence}
    screen.quiet()
    if verdict is None:
        return {**told, "ok": True, "verdict": "it runs already"}
    return {**told, "ok": verdict.ok, "verdict": verdict.summary}


def _tell(screen: Screen, plain: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(plain) + "\n")
        sys.stdout.flush()
    else:
        screen.answer.print(escape("  ".join(f"{name}: {value}" for name, value in plain.items() if value != "")))


def _opened(project: Path, target: str, screen: Screen) -> Hosts:
    from towline.ops.opening import open_hosts

    return open_hosts(project, target, datetime.now(UTC).date().isoformat(), screen.listener)


def _address(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and int(port) < 65536):
        raise UsageError(f"`{listen}` is no ADDRESS:PORT", hint="--listen 127.0.0.1:8710")
    return host.strip("[]") or "127.0.0.1", int(port)


def _shown(receiver: Receiver) -> str:
    where, port = str(receiver.server_address[0]), receiver.server_address[1]
    return f"[{where}]:{port}" if ":" in where else f"{where}:{port}"


@contextlib.contextmanager
def _serving(receiver: Receiver) -> Iterator[None]:
    thread = threading.Thread(target=receiver.serve_forever, name="webhook", daemon=True)
    thread.start()
    try:
        yield
    finally:
        receiver.shutdown()
        thread.join()


@contextlib.contextmanager
def _ending(desk: Desk) -> Iterator[None]:
    """The first Ctrl-C lets the deploy at work come to its end; a second one does not wait."""

    def end(number: int, frame: object) -> None:
        del frame
        signal.signal(number, signal.default_int_handler)
        desk.close()

    earlier = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
