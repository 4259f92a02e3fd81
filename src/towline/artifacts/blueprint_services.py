"""One service of a Blueprint, field by field."""

from __future__ import annotations

import math
import re
import shlex
from typing import TYPE_CHECKING

from towline.artifacts.blueprint_builds import build_filter, inner_folder, made_of, runtime_of, versions_of
from towline.artifacts.blueprint_plans import service_plan
from towline.artifacts.blueprint_platform import NOT_PRIVATE
from towline.artifacts.blueprint_wiring import shell_prefix
from towline.artifacts.yaml_text import Noted
from towline.core.errors import Finding, Findings, Where

if TYPE_CHECKING:
    from towline.artifacts.blueprint_groups import Shared
    from towline.artifacts.blueprint_platform import Platform, Unit
    from towline.artifacts.blueprint_wiring import Wire
    from towline.spec.model import Service

LONGEST_STOP = 300
"""Seconds that Render waits at most for a process to end (maxShutdownDelaySeconds of its API)."""

_USUAL_STOP = 30
_CPU_TARGET = 70
_SINGLE_PAGE = frozenset({"vite", "react-scripts", "@angular/core"})
_PAGE_EACH = frozenset({"next", "nuxt", "astro", "@remix-run/node", "@sveltejs/kit"})


def service_entry(platform: Platform, unit: Unit, wires: tuple[Wire, ...], shared: Shared) -> dict[str, object]:
    """The entry of a unit below `services:`; Findings where Render cannot do what the app needs."""
    prefix = shell_prefix(wires)
    entry: dict[str, object] = {"type": unit.type, "name": unit.name, **made_of(platform, unit, prefix)}
    if unit.lead.kind == "static":
        entry |= _domains(unit.lead) | _delivery(platform, unit.lead)
    else:
        entry |= _running(platform, unit)
    if runtime_of(platform, unit) != "image":
        deploys = f".github/workflows/deploy-{platform.material.target.name}.yml"
        entry["autoDeployTrigger"] = Noted("off", behind=f"{deploys} deploys what passed; `checksPass` without it")
        entry |= build_filter(platform, unit)
    variables = _variables(platform, unit, shared)
    return {**entry, "envVars": variables} if variables else entry


def variable_entry(wire: Wire) -> object:
    """One entry of `envVars`."""
    fields = {key: dict(value) if isinstance(value, tuple) else value for key, value in wire.fields}
    entry: dict[str, object] = {"key": Noted(wire.key, behind=wire.note) if wire.note else wire.key, **fields}
    return entry


def _variables(platform: Platform, unit: Unit, shared: Shared) -> list[object]:
    entries: list[object] = [{"fromGroup": name} for name in shared.groups_of(unit.name)]
    own = {wire.key: variable_entry(wire) for wire in shared.left[unit.name]}
    for key, value in versions_of(platform, unit).items():
        own.setdefault(key, {"key": key, "value": value})
    return entries + [own[key] for key in sorted(own)]


def _running(platform: Platform, unit: Unit) -> dict[str, object]:
    """The fields of a unit that runs code."""
    lead = unit.lead
    fields: dict[str, object] = {"region": unit.region} if unit.region else {}
    fields["plan"] = service_plan(platform, unit)
    if unit.type == "cron":
        return {**fields, "schedule": _schedule()}
    if unit.type == "pserv" and lead.port in NOT_PRIVATE:
        raise Findings((_bad_port(lead),))
    fields |= _copies(unit)
    if unit.type == "web" and lead.health.path:
        fields["healthCheckPath"] = lead.health.path
    fields |= _domains(lead) | _released(platform, unit, fields["plan"]) | _stop(unit)
    return fields | _disk(unit)


def _schedule() -> Noted:
    reason = "never by itself (February has no 31st): start it with `Trigger Run`, or write when it is to run"
    return Noted("0 0 31 2 *", behind=reason)


def _copies(unit: Unit) -> dict[str, object]:
    lead = unit.lead
    most = lead.most or lead.replicas
    if lead.single or unit.combined or lead.kind == "stateful" or most <= 1:
        return {}
    if most > lead.replicas:
        least = max(lead.replicas, 1)
        return {"scaling": {"minInstances": least, "maxInstances": most, "targetCPUPercent": _CPU_TARGET}}
    return {"numInstances": lead.replicas}


def _domains(lead: Service) -> dict[str, object]:
    return {"domains": [lead.domain]} if lead.domain and lead.kind in {"web", "static"} else {}


def _released(platform: Platform, unit: Unit, plan: object) -> dict[str, object]:
    """The release command: it runs in an instance of its own, and when it fails the running version stays."""
    release = platform.material.app.release
    if release is None or all(one.name != release.service for one in unit.members):
        return {}
    argv = release.command
    plain = argv[2] if argv[:2] == ("/bin/sh", "-c") and len(argv) == 3 else shlex.join(argv)
    service = platform.material.app.service(release.service)
    stack = platform.material.stacks.get(release.service)
    native = stack is not None and runtime_of(platform, unit) in {"node", "python"}
    inner = inner_folder(platform.material, service, stack) if stack is not None and native else ""
    line: object = f"cd {shlex.quote(inner)} && {plain}" if inner else plain
    if not native and re.search(r"[;&|<>()$`]", plain):
        # A container's command is started as it is: only a shell makes several of one line.
        line = f"/bin/sh -c {shlex.quote(plain)}"
    if plan == "free":
        line = Noted(line, behind="needs a paid plan: the free one runs no command before a deploy")
    return {"preDeployCommand": line}


def _stop(unit: Unit) -> dict[str, object]:
    findings = [_too_long(one) for one in unit.members if one.max_job > LONGEST_STOP]
    if findings:
        raise Findings(tuple(findings))
    longest = max(1, *(math.ceil(one.max_job) for one in unit.members))
    if unit.type != "worker" and longest <= _USUAL_STOP:
        return {}
    return {"maxShutdownDelaySeconds": Noted(longest, behind="its longest job is finished before it ends")}


def _disk(unit: Unit) -> dict[str, object]:
    lead = unit.lead
    if lead.kind == "stateful":
        mounts = [volume.split(":")[1] for volume in lead.volumes]
        if len(mounts) > 1:
            raise Findings((_two_disks(lead, mounts),))
        return {"disk": {"name": f"{unit.name}-data", "mountPath": mounts[0], "sizeGB": 10}} if mounts else {}
    if not any(one.single for one in unit.members):
        return {}
    why = "never two at once: a service with a disk is stopped before its new version starts"
    mount = {"name": Noted(f"{unit.name}-single", behind=why), "mountPath": "/var/lib/single", "sizeGB": 1}
    return {"disk": mount}


def _delivery(platform: Platform, lead: Service) -> dict[str, object]:
    """Headers of a static site; and the rewrite of a single page, when its files say that it is one."""
    stack = platform.material.stacks.get(lead.name)
    used = frozenset(stack.frameworks) if stack is not None else frozenset()
    headers = [
        {"path": "/*", "name": "X-Content-Type-Options", "value": "nosniff"},
        {"path": "/*", "name": "Referrer-Policy", "value": "strict-origin-when-cross-origin"},
    ]
    if "vite" in used:
        # Vite puts a digest of the contents into the name of everything below assets/.
        headers.append({"path": "/assets/*", "name": "Cache-Control", "value": "public, max-age=31536000, immutable"})
    fields: dict[str, object] = {"headers": headers}
    if used & _SINGLE_PAGE and not used & _PAGE_EACH:
        fields["routes"] = [{"type": "rewrite", "source": "/*", "destination": "/index.html"}]
    return fields


def _too_long(service: Service) -> Finding:
    asked = f"{service.max_job:g}"
    return Finding(
        "wrong-value",
        f"`{service.name}` may need {asked} s to finish a job, and Render kills it {LONGEST_STOP} s after asking",
        Where("towline.yaml", service.line),
        f"`max_job: {LONGEST_STOP}s` with shorter jobs, or place it on a site of kind `host`",
    )


def _bad_port(lead: Service) -> Finding:
    return Finding(
        "wrong-value",
        f"`{lead.name}` listens on {lead.port}, which Render keeps from other services",
        Where("towline.yaml", lead.line),
        "port: 8080",
    )


def _two_disks(lead: Service, mounts: list[str]) -> Finding:
    return Finding(
        "wrong-value",
        f"`{lead.name}` has {len(mounts)} volumes ({', '.join(mounts)}), and a service at Render has one disk",
        Where("compose.yaml", lead.line),
        "put both below one folder, or place it on a site of kind `host`",
    )
