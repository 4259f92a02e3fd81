"""The whole environment of a process: what the machine gives, what the user's files say, what the bindings fill in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from towline.core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from towline.artifacts.addresses import Local
    from towline.spec.model import App, Service

OF_THE_MACHINE = (
    "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip
"""What a process on a laptop gets of the machine's own environment; the rest stays outside, as in a container."""

OF_THE_INSTALLERS = ("PIP_", "UV_", "NPM_CONFIG_", "npm_config_", "YARN_", "PNPM_", "POETRY_", "BUNDLE_", "GIT_")
"""Prefixes of what `setup` and `build` get besides: where the installers find packages."""

Environment = dict[str, Secret]


def of_service(app: App, service: Service, addresses: Local, machine: Mapping[str, str]) -> Environment:
    """What the service's processes get, without their own port."""
    bound = {
        binding.variable: addresses.value(binding.of, binding.attribute) for binding in app.bindings_of(service.name)
    }
    given = _of_machine(service.folder, machine)
    # A PATH or a HOST in the Compose file is about the inside of a container.
    ours = {"PATH": given["PATH"], "HOST": Secret("127.0.0.1")}
    return {**given, "PYTHONUNBUFFERED": Secret("1"), **service.environment, **ours, **bound}


def of_build(app: App, service: Service, addresses: Local, machine: Mapping[str, str]) -> Environment:
    """What `setup` and `build` get: for a static service the build variables and its bindings, never a store's key."""
    installers = {name: Secret(value) for name, value in machine.items() if name.startswith(OF_THE_INSTALLERS)}
    bound = {}
    if service.kind == "static":
        bound = {one.variable: addresses.value(one.of, one.attribute) for one in app.bindings_of(service.name)}
    return {**_of_machine(service.folder, machine), **installers, **service.build_environment, **bound}


def as_contents(environment: Environment) -> Secret:
    """The JSON object that a site stashes and hands to the process, names in order."""
    return Secret(json.dumps({name: environment[name].reveal() for name in sorted(environment)}))


def path_of(folder: Path, machine: Mapping[str, str]) -> str:
    """The PATH of what starts in `folder`: what is installed there goes before what the machine has."""
    own = [str(folder / ".venv" / "bin"), str(folder / "node_modules" / ".bin")]
    return ":".join([*own, machine.get("PATH", "/usr/local/bin:/usr/bin:/bin")])


def _of_machine(folder: Path, machine: Mapping[str, str]) -> Environment:
    given = {name: Secret(machine[name]) for name in OF_THE_MACHINE if name in machine}
    return {**given, "PATH": Secret(path_of(folder, machine))}
