"""The steps about containers, as the programs of a batch (pure)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from towline.artifacts.host_door import HOLD, SLOTS
from towline.core.errors import Defect
from towline.drivers.host.batch import StepProgram
from towline.drivers.host.programs import part, quote, settings
from towline.drivers.host.tasks import file_name
from towline.steps.kinds import instance_to_json
from towline.steps.model import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from towline.steps.container import Container, Mount, Network
    from towline.steps.kinds import (
        ConfirmShift,
        ConfirmStopped,
        Drain,
        EndSite,
        InitStore,
        Instance,
        PrepareStore,
        PurgeData,
        RunTask,
        Shift,
        StartInstance,
        StopInstance,
        WaitReady,
    )

PREPARE_WITHIN = 120.0


# What is known on the host only. In a command a word may look like anything, but never hold what these begin with.
_OF_HOME, _FOLDER, _MACHINE = "\0home", "\0folder/", "\0door/"


def start_instance(step: StartInstance) -> StepProgram:
    """The container, made anew and started; what ran under its name is told first."""
    one = step.instance
    made = _of(one)
    digest = digest_of(instance_to_json(one))
    words = [*_labels(one, digest), "--restart", "unless-stopped", *_options(made, one), "@env", *_said(made)]
    body = _engine() + (part("door.sh") if one.runs == "door" else "")
    # A front door of the first form, to which a rollback may lead, has its routes elsewhere.
    routes = one.settings.get("routes") if one.runs == "door" else None
    first = f"give_routes {_words(one.revision, routes)}\n" if routes else ""
    if one.settings.get("keeps") == "data":
        kept = (mount.target for mount in made.mounts if mount.kind == "volume")
        body += part("data.sh")
        first += f"keeps_data {_words(made.image, *kept)}\n"
    call = f"started {_words(made.name, one.env or '', _networks(made), _more(made))} {_words(*words)}\n"
    return StepProgram(
        holds=f"{body}runs_as {_words(one.name, digest)}\n",
        before=f"{body}was {quote(one.name)}\n",
        apply=body + first + call,
        beside=one.runs == "service",
    )


def wait_ready(step: WaitReady) -> StepProgram:
    """Until its own test says so."""
    body = _engine()
    return StepProgram(
        holds=f"{body}ready_now {quote(step.name)}\n",
        apply=f"{body}ready {_words(step.name, _whole(step.within))}\n",
        beside=True,
    )


def drain(step: Drain) -> StepProgram:
    """Until nobody is connected to it."""
    return StepProgram(apply=f"{_engine()}drained {_words(step.name, _whole(step.within))}\n", beside=True)


def stop_instance(step: StopInstance) -> StepProgram:
    """Stopped, and kept for whoever wants to see its last words."""
    body = _engine()
    return StepProgram(
        before=f"{body}was {quote(step.name)}\n", apply=f"{body}ended {_words(step.name, _whole(step.within))}\n"
    )


def confirm_stopped(step: ConfirmStopped) -> StepProgram:
    """Nothing of it runs."""
    return StepProgram(apply=f"{_engine()}has_ended {quote(step.name)}\n")


def shift(step: Shift) -> StepProgram:
    """The slot files of the front door."""
    body = _door()
    return StepProgram(
        holds=f"{body}is_sent {_words(step.service, *(step.upstreams or (HOLD,)))}\n" if step.upstreams else "false",
        before=f"{body}was_sent {quote(step.service)}\n",
        apply=f"{body}send {_words(step.service, *step.upstreams)}\n",
    )


def confirm_shift(step: ConfirmShift) -> StepProgram:
    """Asked through the front door."""
    body = _door()
    return StepProgram(apply=f"{body}confirmed {_words(step.service, _whole(step.within), *step.upstreams)}\n")


def init_store(step: InitStore) -> StepProgram:
    """The volume of a store; a cache has none."""
    body, volume = _engine(), step.settings.get("volume", "")
    make = f"make_volume {_words(volume, step.store, step.store_kind, step.major)}\n"
    return StepProgram(holds=f"{body}volume_is_there {quote(volume)}\n", apply=body + make)


def prepare_store(step: PrepareStore) -> StepProgram:
    """A bucket is made by a container that runs to its end; inside a database its password is set."""
    name, marker = file_name(f"prepare:{step.store}"), digest_of(step.settings)
    mark = json.dumps({"name": f"prepare:{step.store}", "marker": marker})
    body = _engine()
    if step.container is not None:
        does = _runs(step.container, step.env, PREPARE_WITHIN)
    elif step.store_kind == "postgres":
        body += part("database.sh")
        told = (step.settings[name] for name in ("user", "database", "password"))
        does = f"set_password {_words(step.store, *told)}\n"
    else:
        does = "echo 'nothing to make'\n"
    return StepProgram(
        holds=f"{body}marked_with {_words(name, mark)}\n", apply=f"{body}{does}mark {_words(name, mark)}\necho made\n"
    )


def run_task(step: RunTask) -> StepProgram:
    """A container to its end."""
    if step.container is None:
        from towline.drivers.host.tasks import run_task as plain

        return plain(step)
    body = _engine()
    name = file_name(step.name)
    mark = "" if step.marker is None else json.dumps({"name": step.name, "marker": step.marker})
    does = _runs(step.container, step.env, step.within)
    return StepProgram(
        holds=f"{body}marked_with {_words(name, mark)}\n",
        apply=f"{body}{does}mark {_words(name, mark)}\necho 'it ended with status 0'\n",
    )


def end_site(_step: EndSite) -> StepProgram:
    """No container, no network, no public name and no task of the target is left; volumes are."""
    body = part("task.sh") + part("end.sh") + part("machine_door.sh")
    return StepProgram(
        holds=f"{body}nothing_left\nhas_left\nnothing_runs\n", apply=f"{body}remove_all\nleave_door\nend_all\n"
    )


def purge_data(step: PurgeData) -> StepProgram:
    """The volumes of a store, or all of the target's."""
    return StepProgram(apply=f"{_engine()}{part('end.sh')}purge {_words(step.store or '', *step.volumes)}\n")


def _engine() -> str:
    return part("files.sh") + part("docker.sh")


def _door() -> str:
    return settings(hold=HOLD, slots=SLOTS) + part("door.sh") + _engine()


def _of(one: Instance) -> Container:
    if one.container is None:
        raise Defect(f"{one.name} has no container, and a host runs nothing else")
    return one.container


def asked_for(made: Container, env: str | None, *options: str) -> str:
    """The words after `started` for a container that is no instance; `options` go before its environment."""
    words = ["--label", _OF_HOME, *_options(made, None), *options, "@env", *_said(made)]
    return f"{_words(made.name, env or '', _networks(made), _more(made))} {_words(*words)}"


def _runs(made: Container, env: str | None, within: float) -> str:
    words = ["--label", _OF_HOME, *_options(made, None), "@env", *_said(made)]
    return f"ran {_words(made.name, _whole(within), env or '', _networks(made), _more(made))} {_words(*words)}\n"


def _labels(one: Instance, digest: str) -> Iterator[str]:
    made = _of(one)
    told = {
        "instance": one.name,
        "service": one.service,
        "revision": one.revision,
        "digest": digest,
        "drain": f"{one.drain:g}",
        "stop_within": f"{one.stop_within:g}",
        "settle": _whole(one.ready.settle),
        "port": str(one.port) if one.port else "",
        "test": _test(made.test.argv) if made.test is not None else "",
        "runs": one.runs,
        "is": json.dumps(instance_to_json(one), separators=(",", ":")),
    }
    yield from ("--label", _OF_HOME)
    for name, value in told.items():
        yield from ("--label", f"towline.{name}={value}")
    for name, value in made.labels.items():
        yield from ("--label", f"{name}={value}")


def _options(made: Container, one: Instance | None) -> Iterator[str]:
    yield from ("--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    yield from _each("--cap-add", made.capabilities)
    yield from _each("--tmpfs", made.tmpfs)
    yield from _each("--ulimit", made.ulimits)
    yield from (word for mount in made.mounts for word in ("--mount", _mount(mount)))
    yield from _each("--publish", [_published(port) for port in made.published])
    yield from _each("--add-host", [f"{name}:{address}" for name, address in made.hosts])
    yield from ("--log-driver", "json-file", "--log-opt", "max-size=10m", "--log-opt", "max-file=5")
    yield from ("--pids-limit", str(made.pids), "--oom-score-adj", str(made.oom_score))
    if made.read_only:
        yield "--read-only"
    if made.init:
        yield "--init"
    if made.memory is not None:
        # Without room to swap: what is over its limit is killed, and the others stay quick.
        yield from ("--memory", str(made.memory), "--memory-swap", str(made.memory))
    known = {"--user": made.user, "--workdir": made.working_dir, "--cpus": made.cpus, "--cpu-shares": made.cpu_shares,
             "--shm-size": made.shared_memory}  # fmt: skip
    for name, value in known.items():
        if value is not None:
            yield from (name, str(value))
    if one is not None:
        yield from ("--stop-signal", f"SIG{one.stop_signal}", "--stop-timeout", _whole(one.stop_within))
    yield from _tested(made)
    yield from _joined(made)
    if made.entrypoint:
        yield from ("--entrypoint", made.entrypoint[0])


def _tested(made: Container) -> Iterator[str]:
    test = made.test
    if test is None:
        return
    if not test.argv:
        yield "--no-healthcheck"
        return
    yield from ("--health-cmd", _test(test.argv), "--health-interval", f"{test.interval:g}s")
    yield from ("--health-timeout", f"{test.timeout:g}s", "--health-retries", str(test.retries))
    yield from ("--health-start-period", f"{test.start_within:g}s")


def _joined(made: Container) -> Iterator[str]:
    if made.namespace is not None:
        yield from ("--network", f"container:{made.namespace}")
    elif made.networks:
        yield from ("--network", made.networks[0].name)
        yield from _each("--network-alias", made.networks[0].aliases)


def _said(made: Container) -> tuple[str, ...]:
    """The image and the words after it: of an entrypoint the engine takes the first word only."""
    return (made.exact or made.image, *(made.entrypoint or ())[1:], *(made.command or ()))


def _networks(made: Container) -> str:
    """What `make_networks` reads: a name, and the options that the network is made with."""
    return "\n".join(f"{one.name} {_made_with(one)}".strip() for one in made.networks)


def _made_with(one: Network) -> str:
    if one.inward:
        return " ".join(f"-o com.docker.network.bridge.{name}=false" for name in ("enable_ip_masquerade", "enable_icc"))
    return "--internal" if one.internal else ""


def _published(port: str) -> str:
    """As the engine is asked for it: `443:443/tcp`, or with the address first."""
    address, _, own = port.rpartition(":")
    return f"{address}{':' if address else ''}{own.partition('/')[0]}:{own}"


def _more(made: Container) -> str:
    return "\n".join(" ".join((one.name, *_each("--alias", one.aliases))) for one in made.networks[1:])


def _mount(mount: Mount) -> str:
    places = {"volume": ("volume", ""), "folder": ("bind", _FOLDER), "door": ("bind", _MACHINE),
              "file": ("bind", f"{_FOLDER}files/")}  # fmt: skip
    how, place = places[mount.kind]
    fields = (f"type={how}", f"source={place}{mount.source}", f"target={mount.target}")
    return ",".join(map(_field, (*fields, *(("readonly",) if mount.read_only else ()))))


def _field(text: str) -> str:
    """One field of the line of commas that the engine reads."""
    return '"' + text.replace('"', '""') + '"' if set(text) & {",", '"'} else text


def _test(argv: Sequence[str]) -> str:
    return " ".join(map(quote, argv)) if argv else ""


def _each(option: str, words: Sequence[str]) -> Iterator[str]:
    for word in words:
        yield from (option, word)


def _words(*words: str) -> str:
    """Words of a shell; the home of the target and what lies there are only known on the host."""
    return " ".join(_word(word) for word in words)


def _word(word: str) -> str:
    if word == _OF_HOME:
        return '"towline.home=$home"'
    for mark, folder in ((_FOLDER, '"$home"/'), (_MACHINE, '"${home%/*/*}"/.door/')):
        head, found, rest = word.partition(mark)
        if found:
            return f"{quote(head)}{folder}{quote(rest)}"
    return quote(word)


def _whole(span: float) -> str:
    return str(max(0, round(span)))
