"""Which processes belong to a process, since when they live, and who listens on a port."""

# ruff: noqa: PTH115, PTH123, PTH208
# /proc is read by the dozen, and a Path costs more than the read.

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys

LINUX = sys.platform == "linux"
_LISTEN = "0A"


def started(pid: int) -> str | None:
    """A text that tells this process from an earlier one of the same pid; None when there is none, or a zombie."""
    if LINUX:
        fields = _stat(pid)
        return None if fields is None or fields[0] in {"Z", "X"} else fields[19]
    out = _ps("-o", "stat=,lstart=", "-p", str(pid)).split(maxsplit=1)
    return None if len(out) < 2 or out[0].startswith("Z") else out[1].strip()


def descendants(pid: int) -> list[int]:
    """This process and everything below it, parents first; zombies of others included."""
    found = [pid]
    children = _children if LINUX else _children_by_ps
    for parent in found:
        found.extend(child for child in children(parent) if child not in found)
    return found


def family(leader: int) -> list[int]:
    """The tree of a leader, and what once belonged to it and was adopted by this process: its session tells."""
    found = descendants(leader)
    for adopted in _children(os.getpid()) if LINUX else []:
        if adopted not in found and session(adopted) == leader:
            found.extend(descendants(adopted))
    return found


def session(pid: int) -> int | None:
    """The session of a process; None when there is no such process."""
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def listeners(leader: int, host: str, port: int) -> set[str]:
    """Inodes of the sockets that would accept a connection to this address, as the leader's network sees it."""
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for name, family_of in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in _read(f"/proc/{leader}/net/{name}").splitlines()[1:]:
            fields = line.split()
            if fields[3] != _LISTEN or int(fields[1].rpartition(":")[2], 16) != port:
                continue
            address = _address(fields[1].rpartition(":")[0], family_of)
            if address in _accepting(host):
                found[address == host].add(fields[9])
    return found[True] or found[False]  # the exact address is served before the wildcard


def holds_socket(pid: int, inodes: set[str]) -> bool:
    """Whether one of these sockets is open in the process."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return False
    return any(_link(f"/proc/{pid}/fd/{name}") in wanted for name in names)


def is_hidden(pid: int) -> bool:
    """Whether we are not allowed to see which files the process has open."""
    folder = f"/proc/{pid}/fd"
    try:
        for name in os.listdir(folder)[
            :1
        ]:  # root may list them without the right to trace, but not look where they lead
            os.readlink(f"{folder}/{name}")
    except OSError as error:
        return isinstance(error, PermissionError)
    return False


def holder(inodes: set[str]) -> int | None:
    """The first process of this machine that holds one of these sockets, as far as we may look."""
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return next((pid for pid in pids if holds_socket(pid, inodes)), None)


def with_variable(name: str, value: str) -> list[int]:
    """Processes whose environment held this variable when they started."""
    wanted = f"{name}={value}".encode()
    found = []
    for entry in os.listdir("/proc") if LINUX else []:
        if entry.isdigit() and int(entry) != os.getpid():
            environ = _read_bytes(f"/proc/{entry}/environ")
            if wanted in environ.split(b"\0"):
                found.append(int(entry))
    return found


def program(pid: int) -> str:
    """The short name of a process' program."""
    return _read(f"/proc/{pid}/comm").strip() if LINUX else _ps("-o", "comm=", "-p", str(pid)).strip()


def boot() -> str:
    """A text that changes with every start of the machine; pids of another boot mean nothing."""
    return _read("/proc/sys/kernel/random/boot_id").strip()


def _accepting(host: str) -> tuple[str, ...]:
    return ("0.0.0.0", "::", host) if ":" not in host else ("::", host)  # noqa: S104 - compared, not bound


def _address(text: str, family_of: socket.AddressFamily) -> str:
    # /proc/net/tcp prints each 32-bit word of the address in the byte order of the machine.
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    address = socket.inet_ntop(family_of, struct.pack(f"={len(words)}I", *words))
    return address.removeprefix("::ffff:")


def _children(pid: int) -> list[int]:
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [int(child) for task in tasks for child in _read(f"/proc/{pid}/task/{task}/children").split()]


def _children_by_ps(pid: int) -> list[int]:
    pairs = (line.split() for line in _ps("-axo", "pid=,ppid=").splitlines())
    return [int(child) for child, parent in pairs if parent == str(pid)]


def _stat(pid: int) -> list[str] | None:
    # The program's name may hold spaces and brackets: the fields begin behind the last bracket.
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields or None


def _read(path: str) -> str:
    return _read_bytes(path).decode("utf-8", "replace")


def _read_bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _ps(*arguments: str) -> str:
    done = subprocess.run(["ps", *arguments], capture_output=True, text=True, check=False)
    return done.stdout
