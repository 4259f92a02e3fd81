"""`compose.yaml` for a host: its containers as Docker Compose reads them."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from towline.artifacts.front_door import hosts, infix
from towline.artifacts.host_layout import layout
from towline.artifacts.host_services import REGISTRY, Ground, image_of
from towline.artifacts.rendered import MARK, RenderedFile
from towline.artifacts.yaml_text import Alias, Anchored, Inline, Noted, Quoted, yaml_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from towline.artifacts.containers import (
        Attached,
        HealthTest,
        HostContainer,
        HostLayout,
        Need,
        Published,
        Setting,
        Text,
    )
    from towline.artifacts.rendered import Material
    from towline.spec.model import Service, Site

_COMMON = "container"
ASKED = "set it in .env"
"""What Compose says of a setting that nobody told."""

_DEFAULT = re.compile(r"[^{}$\n]*")
_CONDITIONS = {
    "started": "service_started",
    "healthy": "service_healthy",
    "completed": "service_completed_successfully",
}


def files(material: Material) -> tuple[RenderedFile, ...]:
    """`compose.yaml` for a host, `compose.SITE.yaml` for each of several."""
    return tuple(
        RenderedFile(
            f"compose{infix(material.target, site)}.yaml",
            text(material, site),
            f"everything that runs on `{site.name}`, for Docker Compose",
        )
        for site in hosts(material.target)
    )


def text(material: Material, site: Site) -> str:
    """The whole file of one host."""
    found = layout(material, site)
    lines = [*_head(material, site, found), "", *_spaced(yaml_text(document(found)).splitlines())]
    return "\n".join(lines) + "\n"


def _spaced(lines: list[str]) -> Iterator[str]:
    """A blank line before each section, and before each service but the first, with the comment above it."""
    section = before = ""
    for line in lines:
        if re.match(r"[^ #]", line):
            section = line
        opens = not line.startswith(" ") or (section == "services:" and re.match(r"  [^ ]", line))
        if opens and before and before != "services:" and not before.lstrip().startswith("#"):
            yield ""
        yield line
        before = line


def document(found: HostLayout) -> dict[str, object]:
    """The file as data, comments included."""
    return {
        "name": f"{found.app}-{found.target}",
        f"x-{_COMMON}": Noted(Anchored(_COMMON, common()), above="What holds for every container."),
        "services": {one.name: _noted(one) for one in found.containers},
        "networks": {
            one.name: Noted({"internal": True} if one.internal else {}, above=f"{one.why[0].upper()}{one.why[1:]}.")
            for one in found.networks
        },
        **({"volumes": {name: {} for name in found.volumes}} if found.volumes else {}),
    }


def interpolated(value: Text) -> str:
    """A text as Compose reads it back, with its settings taken from `.env` or the shell."""
    return "".join(part.replace("$", "$$") if isinstance(part, str) else _asked(part) for part in value)


def _asked(setting: Setting) -> str:
    if setting.default is not None and _DEFAULT.fullmatch(setting.default):
        return f"${{{setting.name}:-{setting.default}}}"
    return f"${{{setting.name}:?{ASKED}}}"


def _head(material: Material, site: Site, found: HostLayout) -> list[str]:
    name = f"compose{infix(material.target, site)}.yaml"
    ask = "docker compose" if name == "compose.yaml" else f"docker compose -f {name}"
    doors = [f"{door.attached[0].source} and " for door in found.of_role("door")]
    lines = [
        MARK.format(target=material.target.name),
        "",
        f"All of {found.app} that runs on {site.name}. Beside this file: {''.join(doors)}.env, with the settings",
        "that are asked for below (.env.example lists them). Then, and for every version after:",
        f"  {ask} pull",
    ]
    once = [one for one in found.containers if one.profile == "release"]
    lines += [f"  {ask} run --rm {one.name}" for one in once]
    lines += [f"  {ask} up --detach --wait --remove-orphans"]
    ground = Ground(material, site)
    built = [_build(material, one) for one in ground.services if image_of(ground, one)[0] == REGISTRY]
    if built:
        lines += [
            "",
            "Images are built elsewhere, so that a build never takes the server's memory. By hand, in the project:",
        ]
        lines += [f"  {line}" for line in built]
    return [f"# {line}".rstrip() for line in lines]


def _build(material: Material, service: Service) -> str:
    """The line that builds the image of a service, to be typed in the folder of the Compose file."""
    root, written = material.app.root.as_posix(), material.containers.get(service.name)
    build = written.build if written is not None else None
    rendered = f"deploy/{material.target.name}/dockerfiles/{service.name}.Dockerfile"
    file = rendered if service.dockerfile is None else posixpath.relpath(service.dockerfile.as_posix(), root)
    context = "." if service.context is None else posixpath.relpath(service.context.as_posix(), root)
    stage = f" --target {build.stage}" if build is not None and build.stage else ""
    return f"docker build --tag $REGISTRY/{material.app.name}-{service.name}:$VERSION --file {file}{stage} {context}"


def common() -> dict[str, object]:
    """What holds for every container."""
    return {
        "restart": Noted("always", above="Also after the machine, or Docker, has started again."),
        "cap_drop": Inline(("ALL",)),
        "security_opt": Inline(("no-new-privileges:true",)),
        "logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}},
    }


def _noted(one: HostContainer) -> object:
    body = {"<<": Alias(_COMMON), **body_of(one)}
    return Noted(body, above=one.why) if one.why else body


def body_of(one: HostContainer) -> dict[str, object]:
    """Keys in the order of reading: what runs, with what, where, how far it may go, how it starts and ends."""
    found: dict[str, object] = {"image": interpolated(one.image)}
    if one.profile is not None:
        found["profiles"] = Inline((one.profile,))
    if not one.restarts:
        found["restart"] = "no"
    if one.entrypoint is not None:
        found["entrypoint"] = Inline(tuple(word.replace("$", "$$") for word in one.entrypoint))
    if one.command is not None:
        found["command"] = _words(one.command)
    if one.environment:
        found["environment"] = {name: _text(interpolated(value)) for name, value in one.environment.items()}
    found |= _reach(one)
    found |= _confines(one)
    found |= _life(one)
    found["labels"] = dict(one.labels)
    return found


def _reach(one: HostContainer) -> dict[str, object]:
    """Networks, ports and what is mounted."""
    found: dict[str, object] = {}
    if one.namespace is not None:
        found["network_mode"] = f"service:{one.namespace}"
    elif one.networks:
        found["networks"] = Inline(one.networks)
    if one.hosts:
        found["extra_hosts"] = [f"{name}={address}" for name, address in one.hosts]
    if one.published:
        found["ports"] = [_port(port) for port in one.published]
    if one.attached:
        found["volumes"] = [_mounted(each) for each in one.attached]
    return found


def _confines(one: HostContainer) -> dict[str, object]:
    """Who it runs as, and what it may use."""
    found: dict[str, object] = {}
    if one.working_dir is not None:
        found["working_dir"] = one.working_dir
    if one.user is not None:
        found["user"] = one.user
    read_only = interpolated(one.read_only)
    if read_only != "false":
        found["read_only"] = True if read_only == "true" else read_only
        found |= {"tmpfs": Inline(one.tmpfs)} if one.tmpfs else {}
    if one.capabilities:
        found["cap_add"] = Inline(one.capabilities)
    if one.memory:
        found["mem_limit"] = interpolated(one.memory)
    if one.cpus is not None:
        found["cpus"] = one.cpus
    if one.cpu_shares is not None:
        found["cpu_shares"] = one.cpu_shares
    found["pids_limit"] = one.pids
    if one.oom_score:
        found["oom_score_adj"] = one.oom_score
    if one.shared_memory is not None:
        found["shm_size"] = f"{one.shared_memory // 2**20}m"
    return found | ({"ulimits": dict(map(_ulimit, one.ulimits))} if one.ulimits else {})


def _ulimit(limit: str) -> tuple[str, object]:
    """`nofile=1024:4096` as a Compose file has it."""
    name, _, value = limit.partition("=")
    soft, colon, hard = value.partition(":")
    return name, {"soft": int(soft), "hard": int(hard)} if colon else int(soft)


def _life(one: HostContainer) -> dict[str, object]:
    """How it starts, how it is known to be well, how it ends."""
    found: dict[str, object] = {"init": True} if one.init else {}
    if one.replicas != 1:
        found["deploy"] = {"replicas": one.replicas}
    if one.needs:
        found["depends_on"] = {need.name: _needed(need) for need in one.needs}
    if one.health is not None:
        found["healthcheck"] = _tested(one.health)
    if one.stop_signal is not None:
        found["stop_signal"] = one.stop_signal
    found["stop_grace_period"] = f"{one.stop_within:g}s"
    return found


def _needed(need: Need) -> dict[str, object]:
    return {"condition": _CONDITIONS[need.until]}


def _tested(health: HealthTest) -> dict[str, object]:
    if not health.argv:
        return {"disable": True}
    words = tuple(word.replace("$", "$$") for word in health.argv)
    shell = words[:2] == ("/bin/sh", "-c") and "\n" in words[-1]
    test: object = ["CMD-SHELL", _text(words[-1])] if shell else Inline(("CMD", *words))
    return {
        "test": test,
        "interval": f"{health.interval:g}s",
        "timeout": f"{health.timeout:g}s",
        "start_period": f"{health.start_within:g}s",
        "retries": health.retries,
    }


def _words(command: Iterable[Text]) -> object:
    words = [interpolated(word) for word in command]
    return [_text(word) for word in words] if any("\n" in word for word in words) else Inline(tuple(words))


def _text(text: str) -> object:
    """Lines as lines where that gives the same text back, else in quotes."""
    lines = text.split("\n")
    whole = lines[-1] == "" and lines[0][:1].strip() and all(one == one.rstrip() for one in lines) and len(lines) > 1
    plain = whole and lines[-2] and all(one.isprintable() for one in lines)
    return text if "\n" not in text or plain else Quoted(text)


def _port(port: Published) -> str:
    return f"{port.port}:{port.port}" + ("/udp" if port.protocol == "udp" else "")


def _mounted(each: Attached) -> str:
    source = f"./{each.source}" if each.kind == "file" else each.source
    return f"{source}:{each.target}" + (":ro" if each.read_only else "")
