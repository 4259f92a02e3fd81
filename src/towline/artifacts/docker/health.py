"""How a container is asked whether it is well, by a program that its image has anyway."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from towline.spec.model import Service

_NODE = (
    "require('http').get({{host:'127.0.0.1',port:{port},path:'{path}',timeout:2000}},"
    "r=>process.exit(r.statusCode<400?0:1)).on('timeout',()=>process.exit(1)).on('error',()=>process.exit(1))"
)
_NODE_PORT = (
    "require('net').connect({port},'127.0.0.1').on('connect',()=>process.exit(0)).on('error',()=>process.exit(1))"
)
# `http.client`, since the simpler `urllib` would ask a proxy that the environment names.
_PYTHON = (
    "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', {port}, timeout=2); "
    "c.request('GET', '{path}'); raise SystemExit(c.getresponse().status >= 400)"
)
_PYTHON_PORT = "import os, socket; socket.create_connection(('127.0.0.1', {port}), timeout=2).close()"


def healthcheck(service: Service, language: Literal["node", "python"]) -> list[str]:
    """The HEALTHCHECK of a service; a comment for one that nobody can ask."""
    if service.port is None:
        return ["# It takes no requests, so there is nothing to ask it: it is well while it runs.", "HEALTHCHECK NONE"]
    return instruction(probe(service, language), service.health.within)


def instruction(argv: tuple[str, ...], within: float) -> list[str]:
    """The HEALTHCHECK that runs `argv`; failures do not count for the `within` seconds that a start may take."""
    spans = f"--interval=10s --timeout=3s --start-period={within:.0f}s --retries=3"
    return [f"HEALTHCHECK {spans} \\", f"    CMD {json.dumps(list(argv), ensure_ascii=False)}"]


def probe(service: Service, language: Literal["node", "python"]) -> tuple[str, ...]:
    """The argument list that ends with 0 when the service is well, run in its own environment."""
    path, variable = service.health.path, service.port_variable
    if language == "node":
        port = f"process.env.{variable}" if variable else str(service.port)
        return ("node", "-e", (_NODE if path else _NODE_PORT).format(port=port, path=path))
    port = f'int(os.environ["{variable}"])' if variable else str(service.port)
    return ("python", "-c", (_PYTHON if path else _PYTHON_PORT).format(port=port, path=path))
