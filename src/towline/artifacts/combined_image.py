"""One image that holds every process of the app, with the supervisor as its first: what the shape `combined` runs."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from towline.artifacts.docker import node, python
from towline.artifacts.docker.entry import start_program
from towline.artifacts.docker.gaps import gaps
from towline.artifacts.docker.health import instruction
from towline.artifacts.docker.ignore import ignored
from towline.artifacts.docker.place import Place, variables
from towline.artifacts.docker.processes import PORT, Inside, processes
from towline.artifacts.docker.weights import weights_lines, weights_variables
from towline.artifacts.dockerfiles import BUILDER, HOME, PYTHON_USER, files_at, mounted
from towline.artifacts.rendered import RenderedFile
from towline.artifacts.variables import on_a_server
from towline.core.errors import Finding, Findings, Where
from towline.spec.service import host_label
from towline.spec.stacks.known import DEFAULT_NODE, DEFAULT_PYTHON

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.artifacts.rendered import Material
    from towline.spec.model import Service
    from towline.spec.stack import Stack

KINDS = frozenset({"web", "private", "worker", "stateful"})
"""What runs in the container; a static service's files lie elsewhere, and a task is run by hand."""

FOLDER = "combined"
_SUPERVISOR = "towline_supervisor"
_HEALTH = (
    "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', {port}, timeout=2); "
    "c.request('GET', '{path}'); raise SystemExit(c.getresponse().status >= 400)"
)


def files(material: Material) -> tuple[RenderedFile, ...]:
    """The files in `combined/`, where the target has that shape and more than one process.

    Raises Findings with everything that stands in the way of one image.
    """
    services = inside_of(material)
    if not services:
        return ()
    found = tuple(_gaps(material, services))
    if found:
        raise Findings(found)
    lead = next((one for one in services if one.kind == "web"), services[0])
    inside = Inside(material, tuple(_place(material, service) for service in services), lead)
    kept = posixpath.join(files_at(material), FOLDER)
    return (
        RenderedFile(f"{FOLDER}/Dockerfile", _dockerfile(inside), "How the one image of all processes is built."),
        RenderedFile(
            f"{FOLDER}/Dockerfile.dockerignore",
            ignored(inside.places, f"{files_at(material)}/*", (kept,)),
            "What stays outside the one image.",
        ),
        RenderedFile(f"{FOLDER}/processes.toml", processes(inside), "The processes of the container, in their order."),
        RenderedFile(f"{FOLDER}/start.py", start_program(inside.default_port, PORT), "Starts the processes."),
        *(
            RenderedFile(
                f"{FOLDER}/{_SUPERVISOR}/{name}", text, "Part of the supervisor, the container's first process."
            )
            for name, text in sorted(material.supervisor.items())
        ),
    )


def inside_of(material: Material) -> tuple[Service, ...]:
    """The services that share the container, in the order of the app; none where there is no such container."""
    if material.target.shape != "combined":
        return ()
    found = tuple(one for one in material.app.services if one.kind in KINDS)
    return found if len(found) > 1 else ()


def _place(material: Material, service: Service) -> Place:
    name = host_label(service.name)
    variables_of = material.variables_of(service.name)
    return Place(service, material.stacks[service.name], variables_of, "", f"{HOME}/{name}", prefix=f"{name}-")


def _gaps(material: Material, services: tuple[Service, ...]) -> Iterator[Finding]:
    for service in services:
        where = Where("compose.yaml", service.line)
        stack = material.stacks.get(service.name)
        if stack is None:
            sentence = f"`{service.name}` is only an image, and an image cannot be put into another"
            hint = f"build it from its sources: {service.name}: {{build: FOLDER}} in the Compose file"
            yield Finding("no-dockerfile", sentence, where, hint)
            continue
        yield from gaps(material, service)
        if stack.context.startswith(".."):
            sentence = f"`{service.name}` is built from outside of the project, which the one image cannot be"
            yield Finding("no-context", sentence, where, "move the Compose file up to the folder that holds both")
        if service.kind == "stateful":
            sentence = f"`{service.name}` keeps data of its own, and what is in the container goes with it"
            yield Finding("wrong-value", sentence, where, "place it on a site that keeps volumes")
    yield from _one_door(services)
    yield from _one_python(material, services)


def _one_door(services: tuple[Service, ...]) -> Iterator[Finding]:
    """A platform leads requests to one port of a container."""
    ports: dict[int, str] = {}
    for service in services:
        other = ports.setdefault(service.port, service.name) if service.port is not None else service.name
        if other != service.name:
            sentence = f"`{service.name}` and `{other}` listen on port {service.port} of one container"
            hint = f"services: {{{service.name}: {{port: ...}}}}"
            yield Finding("wrong-value", sentence, Where("compose.yaml", service.line), hint)
    doors = [one for one in services if one.kind == "web"]
    if len(doors) > 1:
        names = " and ".join(f"`{one.name}`" for one in doors)
        sentence = f"{names} take requests from the internet, and a container has one port for them"
        yield Finding("wrong-value", sentence, Where("compose.yaml", doors[1].line), "make one of them `private`")


def _one_python(material: Material, services: tuple[Service, ...]) -> Iterator[Finding]:
    """The supervisor and every service in Python run on the one Python of the image."""
    known = [(one, material.stacks[one.name]) for one in services if one.name in material.stacks]
    pinned = {stack.version: one for one, stack in known if stack.language == "python" and stack.version is not None}
    minors = {_minor(version): one for version, one in pinned.items()}
    if len(minors) > 1:
        told = " and ".join(f"`{one.name}` wants {version}" for version, one in pinned.items())
        yield Finding("wrong-value", f"{told}, and one image has one Python", hint="let them agree in .python-version")
    elif any(minor < _minor(DEFAULT_PYTHON) for minor in minors):
        sentence = f"the supervisor of the container needs Python {DEFAULT_PYTHON}, and the services an older one"
        yield Finding("wrong-value", sentence, hint=f"write {DEFAULT_PYTHON} into .python-version")


def _minor(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def _version(inside: Inside, language: str, default: str) -> str:
    return next((v for one in inside.places if (v := _pinned(one.stack, language)) is not None), default)


def _pinned(stack: Stack, language: str) -> str | None:
    return stack.version if stack.language == language else None


def _dockerfile(inside: Inside) -> str:
    nodes = [place for place in inside.places if place.stack.language == "node"]
    lines = [*_head(inside, nodes), *_arguments(inside, nodes)]
    for place in inside.places:
        lines += ["", f"# {place.service.name}", *_stages(place)]
    return "\n".join((*lines, "", *_run(inside, nodes))) + "\n"


def _head(inside: Inside, nodes: list[Place]) -> list[str]:
    app, at = inside.material.app.name, posixpath.join(files_at(inside.material), FOLDER)
    names = ", ".join(place.service.name for place in inside.places)
    pins = " or ".join((*(("NODE_IMAGE",) if nodes else ()), "PYTHON_IMAGE"))
    return [
        f"# One image with {names}, and the supervisor that runs them. In the project's folder:",
        f"#   docker build --file {at}/Dockerfile --tag {app} .",
        *BUILDER,
        f"# To pin what it starts from: --build-arg {pins}=...@sha256:...",
        f"# {_SUPERVISOR} lies beside this file as it is (Apache-2.0): Python's own library is all that it needs.",
    ]


def _arguments(inside: Inside, nodes: list[Place]) -> list[str]:
    """What it starts from. Both are of Debian, for a Node that is made for Alpine does not run beside this Python."""
    image = f"node:{_version(inside, 'node', DEFAULT_NODE)}-slim"
    own = [f"ARG NODE_IMAGE={image}"] if nodes else []
    return [*own, f"ARG PYTHON_IMAGE=python:{_version(inside, 'python', DEFAULT_PYTHON)}-slim"]


def _stages(place: Place) -> list[str]:
    if place.stack.language == "python":
        return python.build_stages(place)
    return [*node.build_stages(place, alpine=False), "", *node.production_stage(place)]


def _run(inside: Inside, nodes: list[Place]) -> list[str]:
    material, user = inside.material, f"{PYTHON_USER}:{PYTHON_USER}"
    system = {one for place in inside.places for one in _system(place)}
    lines = [
        "# All of it",
        "FROM ${PYTHON_IMAGE} AS run",
        *node.system(tuple(sorted(system)), alpine=False),
        *([f"COPY --from={nodes[0].stage('base')} /usr/local/bin/node /usr/local/bin/node"] if nodes else []),
        f"RUN useradd --uid {PYTHON_USER} --create-home app",
        *(line for place in inside.places for line in mounted(material, place.service, user)),
    ]
    at = posixpath.join(files_at(material), FOLDER)
    lines += [f"WORKDIR {HOME}", f"COPY {at}/{_SUPERVISOR} {_SUPERVISOR}"]
    copied = [(place, _copied(place)) for place in inside.places]
    for place, (packages, _) in copied:
        lines += [f"WORKDIR {place.home}", *packages]
    for place, (_, code) in copied:
        lines += [f"WORKDIR {place.home}", *code]
    return [
        *lines,
        f"WORKDIR {HOME}",
        f"COPY {at}/start.py {at}/processes.toml ./",
        variables(*_settings(inside, nodes)),
        f"USER {user}",
        f"EXPOSE {inside.default_port}",
        *_health(inside),
        'CMD ["python", "start.py"]',
    ]


def _system(place: Place) -> tuple[str, ...]:
    return place.stack.run_packages if place.stack.language == "python" else node.libraries(place, alpine=False)


def _copied(place: Place) -> tuple[list[str], list[str]]:
    """The COPY lines of its packages, which change rarely, and of its code."""
    if place.stack.language == "node":
        packages, code = node.run_lines(place)
    else:
        packages, code = python.run_lines(place)
    return [*weights_lines(place), packages], [code]


def _settings(inside: Inside, nodes: list[Place]) -> tuple[str, ...]:
    """What all processes are told, unless the platform tells them otherwise."""
    pythons = [place for place in inside.places if place not in nodes]
    fixed = [*(("NODE_ENV=production",) if nodes else ()), *python.VARIABLES]
    fixed += [one for place in pythons for one in weights_variables(place)]
    fixed.append(f"PORT={inside.default_port}")
    names = {one.partition("=")[0] for one in fixed}
    ports = {place.service.port_variable for place in inside.places}
    told: dict[str, set[str | None]] = {}
    for place in inside.places:
        for one in map(on_a_server, place.variables):
            told.setdefault(one.name, set()).add(one.value)
    shared = {name: next(iter(values)) for name, values in sorted(told.items()) if len(values) == 1}
    plain = {name: value for name, value in shared.items() if value is not None and name not in names | ports}
    return (*dict.fromkeys(fixed), *(f"{name}={_quoted(value)}" for name, value in plain.items()))


def _quoted(value: str) -> str:
    """A value of ENV, in which nothing is filled in."""
    if value and all(letter.isalnum() or letter in "-_./:,@+" for letter in value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("\n", "\\n")
    return f'"{escaped}"'


def _health(inside: Inside) -> list[str]:
    lead = inside.lead
    if lead.port is None:
        return [
            "# Nothing in it takes requests, so there is nothing to ask it: it is well while it runs.",
            "HEALTHCHECK NONE",
        ]
    port = 'int(os.environ["PORT"])' if lead.port_variable else str(lead.port)
    code = _HEALTH.format(port=port, path=lead.health.path or "/")
    return instruction(("python", "-c", code), lead.health.within)
