"""Ask a machine what it is: one program, and what it answers, parsed."""

from __future__ import annotations

import base64
import binascii

from towline.core.errors import SiteUnreachable
from towline.drivers.host.programs import part
from towline.steps.machine import Door, Engine, Machine

_PREFERENCE = ("docker-ce", "docker.io", "snap", "podman-docker")


def look_program() -> str:
    """The POSIX program; to be run as root."""
    return part("look.sh")


def parse(text: str) -> Machine:
    """What the program printed. Raises SiteUnreachable when it did not come to its end."""
    told: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, tab, value = line.partition("\t")
        if tab:
            told.setdefault(name, []).append(value.strip())
    if "end" not in told:
        raise SiteUnreachable("the machine did not tell what it is", hint="towline provision HOST --check")
    one = {name: values[0] for name, values in told.items()}
    return Machine(
        system=one.get("system", ""),
        version=one.get("version", ""),
        title=one.get("title", ""),
        systemd="systemd" in told,
        apt="apt" in told,
        engine=_engine(told),
        door=_door(told),
        firewalls=tuple(told.get("firewall", ())),
        bridges=tuple(told.get("bridge", ())),
        apparmor="apparmor" in told,
        ipv6="ipv6" in told,
        swap=_number(one.get("swap")),
        disk_free=_number(one.get("disk_free")),
        filesystem=one.get("filesystem", ""),
        ignored=tuple(dict.fromkeys(told.get("ignored", ()))),
        armed="armed" in told,
    )


def _engine(told: dict[str, list[str]]) -> Engine:
    there = told.get("engine", ())
    package = next((name for name in _PREFERENCE if name in there), None)
    settings = told.get("settings")
    return Engine(package, "swarm" in told, None if settings is None else _decoded(settings[0]))


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("utf-8", "replace")
    except binascii.Error as error:
        raise SiteUnreachable("the machine told its Docker settings in pieces") from error


def _door(told: dict[str, list[str]]) -> Door:
    client, _, _, port = (told.get("connection", [""])[0].split() + [""] * 4)[:4]
    ports = tuple(_number(one) for one in told.get("port", ()))
    return Door(ports, _number(port) or None, client or None, "socket" in told)


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0
