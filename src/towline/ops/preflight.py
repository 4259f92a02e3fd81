"""What would stop a deploy on this machine, with numbers, before anything is started."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from towline.artifacts.environment import of_service
from towline.core.errors import Finding, Findings, Where
from towline.core.units import show_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.ops.workspace import Workspace
    from towline.spec.model import Service
    from towline.steps.model import Facts

LEAST_DISK = 1_000_000_000
"""A new database, queue and object store take 130 MB together; the rest is for the app's data and logs."""

LEAST_MEMORY = 400_000_000
"""The servers take about 200 MB idle; the app's own processes come on top."""

INSTALL = {
    "python3": "sudo apt-get install -y python3 python3-venv",
    "python": "sudo apt-get install -y python3 python3-venv",
    "node": "sudo apt-get install -y nodejs npm",
    "npm": "sudo apt-get install -y nodejs npm",
    "npx": "sudo apt-get install -y nodejs npm",
    "go": "sudo apt-get install -y golang-go",
    "ruby": "sudo apt-get install -y ruby-full",
    "bundle": "sudo apt-get install -y ruby-full",
    "php": "sudo apt-get install -y php-cli",
    "java": "sudo apt-get install -y default-jre-headless",
}
"""What to type on Debian and Ubuntu for the programs that Compose files start most."""

PAGE = "towline.yaml"

CODES = {
    "disk-full": ("error", "Too little of the disk is free to start a database and a bucket."),
    "memory-short": ("warning", "Little memory is free; the servers alone take about 200 MB."),
    "data-of-another-major": ("error", "A store's data was written by a major version that the server cannot open."),
    "port-taken": ("error", "A port that the page or a service asks for by number is taken; the holder is named."),
    "no-program": ("error", "A service starts a program that is not installed."),
    "no-backup": ("warning", "`backup_first` is on, and this site makes no backup before the release command."),
}
"""What preflight finds, with its level and its meaning; printed as part of the reference."""


def preflight(workspace: Workspace) -> tuple[Finding, ...]:
    """Everything that is in the way, errors and warnings together."""
    facts = workspace.site.observe()
    found = [*_room(facts), *_majors(workspace, facts), *_ports(workspace, facts), *_backup(workspace)]
    for service in workspace.app.services:
        found += _program(workspace, service)
    return tuple(found)


def refuse(findings: tuple[Finding, ...]) -> None:
    """Raises Findings when one of them is an error."""
    if any(one.level == "error" for one in findings):
        raise Findings(findings)


def _room(facts: Facts) -> Iterator[Finding]:
    room = facts.room
    if room.disk_free < LEAST_DISK:
        yield Finding(
            "disk-full",
            f"only {show_bytes(room.disk_free)} of disk are free, and {show_bytes(LEAST_DISK)} are needed",
            hint="df -h . ; du -xh --max-depth=1 . | sort -h | tail",
        )
    if room.memory_free < LEAST_MEMORY:
        yield Finding(
            "memory-short",
            f"only {show_bytes(room.memory_free)} of memory are free; the servers and the app want more",
            hint="ps -eo rss,pid,args --sort=-rss | head",
            level="warning",
        )


def _majors(workspace: Workspace, facts: Facts) -> Iterator[Finding]:
    """PostgreSQL opens data of its own major version only; the other servers also what an older one wrote."""
    for store in facts.stores:
        if store.major is None:
            continue
        server = workspace.site.server_major(store.kind)
        if store.major == server or (store.kind != "postgres" and int(store.major) < int(server)):
            continue
        yield Finding(
            "data-of-another-major",
            f"the data of `{store.name}` was written by {store.kind} {store.major}, and the server here is {server}",
            where=Where(str(workspace.home / "data" / store.name)),
            hint="dump it with the Towline version that wrote it (`towline exec SERVICE -- pg_dump ...`), then\n"
            f"`towline down --purge {store.name}`, and load the dump into the new store",
        )


def _backup(workspace: Workspace) -> Iterator[Finding]:
    """Said rather than left out in silence: a site on this machine makes no backup yet."""
    release = workspace.app.release
    if release is not None and release.backup_first and workspace.target.sites[0].kind == "local":
        yield Finding(
            "no-backup",
            "`backup_first` is kept for other sites: on this machine nothing is backed up before the release command",
            where=Where(PAGE),
            hint="towline exec SERVICE -- pg_dump ...",
            level="warning",
        )


def _ports(workspace: Workspace, facts: Facts) -> Iterator[Finding]:
    """Ports that somebody chose by name must be free, or ours already."""
    ours = {one.port for one in facts.instances if one.state != "stopped"}
    wanted = {}
    chosen = workspace.target.sites[0].options.get("port")
    if chosen is not None:
        wanted[int(chosen)] = "the front door (`port` of the site)"
    for service in workspace.app.services:
        if service.port is not None and service.port_variable is None and service.kind in ("web", "private"):
            wanted[service.port] = f"service `{service.name}`, which always listens there"
    for port, who in sorted(wanted.items()):
        holder = _holder(port)
        if port not in ours and holder is not None:
            yield Finding(
                "port-taken",
                f"port {port} is taken by {holder}, and {who} needs it",
                where=Where(PAGE, workspace.target.line),
                hint=f"end that program, or choose another port; who has it: ss -ltnp 'sport = :{port}'",
            )


def _holder(port: int) -> str | None:
    try:
        sockets = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return None  # macOS tells only root: then the start of the service says it
    for one in sockets:
        if one.status == psutil.CONN_LISTEN and one.laddr[1:2] == (port,):
            try:
                return f"{psutil.Process(one.pid).name()} (pid {one.pid})" if one.pid else "another program"
            except psutil.Error:
                return "another program"
    return None


def _program(workspace: Workspace, service: Service) -> Iterator[Finding]:
    """The first word of a service's command must be a program on its own PATH, unless `setup` will still bring it."""
    addresses = workspace.addresses()
    path = of_service(workspace.app, service, addresses, workspace.machine)["PATH"].reveal()
    folder = service.context or workspace.project
    for line in (service.setup, service.build):
        yield from _missing(_first_word(line), path, folder, service)
    if service.command is not None and not _setup_pending(workspace, service):
        argv = service.command.argv
        word = _first_word(argv[2]) if argv[:2] == ("/bin/sh", "-c") else argv[0]
        yield from _missing(word, path, folder, service)


def _setup_pending(workspace: Workspace, service: Service) -> bool:
    return any(other.setup is not None and other.context == service.context for other in workspace.app.services)


def _first_word(line: str | None) -> str | None:
    """The program that a shell line starts with; None where only the shell can tell."""
    if line is None:
        return None
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return None
    words = [word for word in words if "=" not in word.split("/")[0]]
    return words[0] if words and words[0].replace("-", "").replace(".", "").replace("/", "").isalnum() else None


SHELL_WORDS = frozenset({"exec", "cd", "set", "if", "test", "export", "true", "echo", "for", "while", "trap", "ulimit"})


def _missing(word: str | None, path: str, folder: Path, service: Service) -> Iterator[Finding]:
    if word is None or word in SHELL_WORDS:
        return
    found = shutil.which(word, path=path) if "/" not in word else shutil.which(str(folder / word))
    if found is None:
        program = Path(word).name
        yield Finding(
            "no-program",
            f"service `{service.name}` starts `{word}`, and there is no such program here",
            where=Where(PAGE, service.line),
            hint=INSTALL.get(program, f"install `{program}`, or say how the service gets it with `setup:`"),
        )
