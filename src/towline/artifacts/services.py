"""The services of a laptop as instances and tasks, named after what they are made of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from towline.artifacts import environment
from towline.artifacts.model import SEEDED, ServiceArtifact
from towline.artifacts.proxy import has_traffic
from towline.core.secret import Secret
from towline.steps.kinds import Instance, Probe, RunTask
from towline.steps.model import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.artifacts.addresses import Local
    from towline.artifacts.ports import Ports
    from towline.spec.model import App, Service

SETUP_WITHIN = 1800.0
BUILD_WITHIN = 1800.0
TASK_WITHIN = 600.0


@dataclass(frozen=True)
class Sources:
    """The identities of code and lock files: by service, digests made by reading them."""

    code: Mapping[str, str]
    locks: Mapping[str, str]


@dataclass
class Bench:
    """What the parts of one bundle are made with; `contents` fills up while they are."""

    app: App
    addresses: Local
    ports: Ports
    sources: Sources
    machine: Mapping[str, str]
    salt: bytes
    contents: dict[str, Secret] = field(default_factory=dict)

    def stash(self, secret: Secret) -> str:
        """Keep a secret among the contents; its digest stands for it everywhere else."""
        digest = secret.digest(self.salt)
        self.contents[digest] = secret
        return digest


def of_service(service: Service, bench: Bench) -> ServiceArtifact:
    """A service as it should be on a laptop."""
    tasks = tuple(task for task in (_setup(service, bench), _build(service, bench)) if task is not None)
    if service.kind == "task":
        tasks = (*tasks, _task(service, bench))
    instances = _instances(service, bench) if service.kind not in ("task", "static") else ()
    swap, reason = _swap(service)
    return ServiceArtifact(
        name=service.name,
        instances=instances,
        upstreams=_upstreams(service, instances, tasks),
        swap=swap,
        swap_reason=reason,
        tasks=tasks,
        after=service.after,
    )


def release_task(bench: Bench) -> RunTask | None:
    """The release command in the environment of its service, with a marker that changes with code or environment."""
    release = bench.app.release
    if release is None:
        return None
    service = bench.app.service(release.service)
    env = bench.stash(environment.as_contents(_environment(service, bench)))
    made_of = (release.command, _told(service, bench), bench.sources.code.get(service.name))
    return RunTask(
        name="release",
        service=service.name,
        command=release.command,
        cwd=str(service.folder),
        within=release.within,
        env=env,
        marker=digest_of(made_of),
    )


def seed_task(bench: Bench) -> RunTask | None:
    """The seed in the environment of its service, with a marker that never changes."""
    seed = bench.app.seed
    if seed is None:
        return None
    service = bench.app.service(seed.service)
    env = bench.stash(environment.as_contents(_environment(service, bench)))
    folder = str(service.folder)
    return RunTask("seed", service.name, seed.command, folder, seed.within, env=env, marker=SEEDED)


def _environment(service: Service, bench: Bench) -> environment.Environment:
    return environment.of_service(bench.app, service, bench.addresses, bench.machine)


def _told(service: Service, bench: Bench) -> str:
    """What the files tell a process, as a digest: another terminal with another PATH makes no other release of it."""
    return environment.as_contents(environment.of_service(bench.app, service, bench.addresses, {})).digest(bench.salt)


def _swap(service: Service) -> tuple[Literal["beside", "after"], str]:
    if service.single:
        return "after", "it is `single`: never two at once"
    if service.kind == "stateful":
        return "after", "its data is in one place"
    if has_traffic(service) and service.kind != "static" and service.port_variable is None:
        return "after", f"it always listens on port {service.port}: let it read PORT to be swapped without a pause"
    return "beside", ""


def _instances(service: Service, bench: Bench) -> tuple[Instance, ...]:
    env = bench.stash(environment.as_contents(_environment(service, bench)))
    template = Instance(
        name="",
        service=service.name,
        revision=_revision(service, bench),
        runs="service",
        ready=_probe(service),
        command=service.command.argv if service.command else (),
        cwd=str(service.folder),
        env=env,
        stop_signal=service.stop_signal,
        stop_within=service.max_job,
        # Open requests and WebSockets of an old copy are its jobs: they may last as long.
        drain=service.max_job if has_traffic(service) else 0.0,
        memory=service.memory,
    )
    return tuple(_copy(service, template, number, bench) for number in range(1, service.replicas + 1))


def _copy(service: Service, template: Instance, number: int, bench: Bench) -> Instance:
    name = f"{service.name}.{template.revision}.{number}"
    if not has_traffic(service):
        return replace(template, name=name)
    if service.port_variable is None:
        return replace(template, name=name, port=service.port)
    port = bench.ports.of_instance(name)
    variables = {**_environment(service, bench), service.port_variable: Secret(str(port))}
    return replace(template, name=name, port=port, env=bench.stash(environment.as_contents(variables)))


def _revision(service: Service, bench: Bench) -> str:
    """Eight digits over all that a copy is made of, except the port that it happens to get."""
    made_of = {
        "command": service.command.argv if service.command else (),
        "cwd": str(service.folder),
        "code": bench.sources.code.get(service.name),
        "locks": bench.sources.locks.get(service.name),
        "env": _told(service, bench),
        "health": service.health.path,
        "memory": service.memory,
        "stop": (service.stop_signal, service.max_job),
        "port": service.port if service.port_variable is None else None,
    }
    return digest_of(made_of)[:8]


def _probe(service: Service) -> Probe:
    if service.health.path is not None and has_traffic(service):
        return Probe("http", within=service.health.within, path=service.health.path)
    return Probe("tcp" if has_traffic(service) else "lives", within=service.health.within)


def _setup(service: Service, bench: Bench) -> RunTask | None:
    if service.setup is None:
        return None
    return _shell(service, bench, f"setup {service.name}", service.setup, SETUP_WITHIN)


def _build(service: Service, bench: Bench) -> RunTask | None:
    if service.kind != "static" or service.output is None:
        return None
    built = _shell(service, bench, f"build {service.name}", service.build or "true", BUILD_WITHIN)
    code = bench.sources.code.get(service.name)
    told = environment.as_contents(environment.of_build(bench.app, service, bench.addresses, {})).digest(bench.salt)
    return replace(built, output=service.output, marker=digest_of((built.marker, code, told)))


def _shell(service: Service, bench: Bench, name: str, line: str, within: float) -> RunTask:
    variables = environment.of_build(bench.app, service, bench.addresses, bench.machine)
    return RunTask(
        name=name,
        service=service.name,
        command=("/bin/sh", "-c", line),
        cwd=str(service.folder),
        within=within,
        env=bench.stash(environment.as_contents(variables)),
        marker=digest_of((line, str(service.folder), bench.sources.locks.get(service.name))),
    )


def _task(service: Service, bench: Bench) -> RunTask:
    env = bench.stash(environment.as_contents(_environment(service, bench)))
    command = service.command.argv if service.command else ()
    return RunTask(
        name=f"task {service.name}",
        service=service.name,
        command=command,
        cwd=str(service.folder),
        within=TASK_WITHIN,
        env=env,
        marker=digest_of((command, _told(service, bench), bench.sources.code.get(service.name))),
    )


def _upstreams(service: Service, instances: tuple[Instance, ...], tasks: tuple[RunTask, ...]) -> tuple[str, ...]:
    if service.kind == "static":
        return tuple(task.marker for task in tasks if task.output is not None and task.marker is not None)
    return tuple(f"127.0.0.1:{one.port}" for one in instances if one.port is not None)
