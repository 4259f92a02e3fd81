"""Throwaway hosts to rehearse on: made, looked at, broken in known ways, and removed."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from towline.cli.options import HERE, AsJson, Project
from towline.cli.show import Screen
from towline.core.errors import Refused, UsageError
from towline.core.process import as_a_shell_has_it
from towline.core.units import byte_count, show_bytes, show_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from towline.lab.host import Lab, LabHost

HostNumber = Annotated[int, typer.Argument(metavar="N", help="Which host: 1 is host1.", min=1)]

WITH = ("docker",)

commands = typer.Typer(
    no_args_is_help=True,
    help="Throwaway hosts on this machine's Docker, to rehearse on: real Debian with systemd, sshd and Docker inside.",
)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this family."""
    app.add_typer(commands, name="lab")


@commands.command()
def up(
    hosts: Annotated[int, typer.Option("--hosts", "-n", help="How many: host1, host2, ...")] = 1,
    suite: Annotated[str, typer.Option("--suite", help="Which Debian: bookworm (12) or trixie (13).")] = "bookworm",
    having: Annotated[
        list[str] | None, typer.Option("--with", metavar="WHAT", help="`docker`: with Debian's Docker in it.")
    ] = None,
    memory: Annotated[str, typer.Option("--memory", help="Memory of each host.")] = "2GiB",
    disk: Annotated[str, typer.Option("--disk", help="Disk of each host; room is taken as it is used.")] = "8GiB",
    project: Project = HERE,
) -> None:
    """Make the hosts of this project and wait until they are up; those that are stay as they are.

    The Debian that they start from is made once, with mmdebstrap. Where no Docker answers and you are root, one is
    started for the lab; it ends with `down`.
    """
    screen = Screen()
    unknown = [one for one in having or () if one not in WITH]
    if unknown:
        sentence = f"a host comes with `docker` or without, not with `{unknown[0]}`"
        raise UsageError(sentence, hint="towline lab up --with docker")
    with _lab(project, screen, must_exist=False) as lab:
        made = lab.up(hosts, suite, docker=bool(having), memory=_size(memory), disk=_size(disk))
        _show(screen, lab, made)
        screen.talk.print(f"\nhint: towline lab ssh 1, or ssh -F {lab.ssh_config} host1")


@commands.command()
def status(project: Project = HERE, as_json: AsJson = False) -> None:
    """Show each host: its state, where ssh and a browser reach it, and its addresses among the hosts."""
    screen = Screen(as_json)
    with _lab(project, screen) as lab:
        _show(screen, lab, lab.hosts())


@commands.command(context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
def ssh(
    number: HostNumber,
    command: Annotated[list[str] | None, typer.Argument(help="What to run there; a shell when nothing is.")] = None,
    project: Project = HERE,
) -> None:
    """Log in to a host as root, or run a command there: its exit status is the answer."""
    with _lab(project, Screen()) as lab:
        host = lab.host(number)
        argv = ("ssh", *host.ssh_options(), f"root@{host.address}", *(command or ()))
        raise typer.Exit(as_a_shell_has_it(subprocess.run(argv, check=False).returncode))


@commands.command()
def cut(number: HostNumber, project: Project = HERE) -> None:
    """Cut a host's power: nothing on it gets to say goodbye."""
    _act(project, number, lambda host: host.cut(), "is off")


@commands.command()
def on(number: HostNumber, project: Project = HERE) -> None:
    """Give a host power again, and wait until it is up."""
    _act(project, number, lambda host: host.on(), "is up")


@commands.command()
def freeze(number: HostNumber, project: Project = HERE) -> None:
    """Let a host hang: it takes connections and answers nothing."""
    _act(project, number, lambda host: host.freeze(), "hangs")


@commands.command()
def thaw(number: HostNumber, project: Project = HERE) -> None:
    """Let a frozen host go on."""
    _act(project, number, lambda host: host.thaw(), "goes on")


@commands.command()
def reboot(number: HostNumber, project: Project = HERE) -> None:
    """Shut a host down in order and start it again, and wait until it is up."""
    _act(project, number, lambda host: host.reboot(), "is up again")


@commands.command()
def reset(
    number: HostNumber,
    suite: Annotated[str | None, typer.Option("--suite", help="Another Debian than it had.")] = None,
    docker: Annotated[bool | None, typer.Option("--docker/--no-docker", help="With Docker in it, or without.")] = None,
    project: Project = HERE,
) -> None:
    """Replace a host by a new machine: an empty disk, other host keys, the same name and addresses."""
    _act(project, number, lambda host: host.reset(suite=suite, docker=docker), "is a new machine")


@commands.command(name="fill-disk")
def fill_disk(
    number: HostNumber,
    leave: Annotated[str, typer.Option("--leave", help="How much stays free, for example 50MB.")] = "0",
    undo: Annotated[bool, typer.Option("--undo", help="Give the room back.")] = False,
    project: Project = HERE,
) -> None:
    """Fill a host's disk, for root too: whatever writes then gets ENOSPC."""
    if undo:
        _act(project, number, lambda host: host.free_disk(), "has room on its disk again")
        return
    room = _size(leave)
    _act(project, number, lambda host: host.fill_disk(leave=room), f"has {show_bytes(room)} left on its disk")


@commands.command()
def slow(
    number: HostNumber,
    ms: Annotated[int, typer.Option("--ms", help="What is added to each round trip; 0 ends it.")] = 100,
    project: Project = HERE,
) -> None:
    """Put a slow way before a host's ssh, half of the delay in each direction, at a port of its own."""
    told = f"is {ms} ms further away" if ms else "is near again"
    _act(project, number, lambda host: host.slow(ms), told)


@commands.command()
def load(
    number: HostNumber,
    images: Annotated[list[str], typer.Argument(help="Images that the lab's Docker has.")],
    project: Project = HERE,
) -> None:
    """Copy images from the Docker of this machine into the Docker inside a host."""
    screen = Screen()
    with _lab(project, screen) as lab:
        host = lab.host(number)
        host.load(*images)
        screen.talk.print(f"{host.name} has {', '.join(images)}")


@commands.command()
def down(project: Project = HERE) -> None:
    """Remove all hosts of this project with their disks, network and keys. What is dear to make again is kept."""
    screen = Screen()
    with _lab(project, screen, must_exist=False) as lab:
        count = len(lab.hosts())
        lab.down()
        screen.talk.print(f"The lab of {lab.project} is gone, and {count} hosts with it.")


@contextmanager
def _lab(project: Path, screen: Screen, *, must_exist: bool = True) -> Iterator[Lab]:
    from towline.lab.host import Lab

    lab = Lab(os.environ, project, screen.listener)
    if must_exist and not lab.exists:
        raise Refused(f"{lab.project} has no lab", hint="towline lab up --hosts 1")
    with lab:
        yield lab
    screen.quiet()


def _act(project: Path, number: int, act: Callable[[LabHost], LabHost], told: str) -> None:
    screen = Screen()
    began = time.monotonic()
    with _lab(project, screen) as lab:
        host = act(lab.host(number))
        took = show_seconds(time.monotonic() - began)
        where = f"; ssh reaches it at {host.address}:{host.port}" if host.state == "running" else ""
        screen.talk.print(f"{host.name} {told}{where} ({took})")


def _show(screen: Screen, lab: Lab, hosts: tuple[LabHost, ...]) -> None:
    if screen.as_json:
        screen.json({"lab": lab.name, "ssh_config": str(lab.ssh_config), "hosts": [_json(one) for one in hosts]})
        return
    head = ("host", "state", "ssh", "http", "https", "IPv4", "IPv6", "Debian", "")
    screen.table(head, [_row(one) for one in hosts])


def _row(host: LabHost) -> tuple[str, ...]:
    notes = [*(["with docker"] if host.wish.docker else []), *([f"{host.slow_ms} ms away"] if host.slow_ms else [])]
    ports = [f"{host.address}:{port}" for port in (host.port, host.http_port, host.https_port)]
    return (host.name, host.state, *ports, host.ipv4, host.ipv6, host.wish.suite, ", ".join(notes))


def _json(host: LabHost) -> dict[str, object]:
    return {
        "name": host.name,
        "number": host.number,
        "state": host.state,
        "address": host.address,
        "port": host.port,
        "direct_port": host.direct_port,
        "http_port": host.http_port,
        "https_port": host.https_port,
        "ipv4": host.ipv4,
        "ipv6": host.ipv6,
        "suite": host.wish.suite,
        "docker": host.wish.docker,
        "memory": host.wish.memory,
        "disk": host.wish.disk,
        "slow_ms": host.slow_ms,
        "key": str(host.key),
        "known_hosts": str(host.known_hosts),
    }


def _size(text: str) -> int:
    try:
        return byte_count(text)
    except ValueError as error:
        raise UsageError(str(error), hint="towline lab up --memory 2GiB --disk 8GiB") from error
