"""The image of a static service: its files, and a server that does nothing but give them out."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from towline.artifacts.docker import node
from towline.artifacts.docker.health import instruction
from towline.artifacts.docker.place import joined

if TYPE_CHECKING:
    from towline.artifacts.docker.place import Place

IMAGE = "caddy:2-alpine"
PORT = 8080

_ROOT, _CADDY = "/srv", "/usr/bin/caddy"
# A path that is no file belongs to the page: it draws that itself.
_CADDYFILE = (
    "{", "\\tadmin off", "\\tauto_https off", "}", ":{$PORT}", "root * /srv", "encode", "try_files {path} /index.html",
    "file_server",
)  # fmt: skip


def built(place: Place) -> bool:
    """Whether something makes the files."""
    return place.stack.language == "node"


def arguments(place: Place, version: str) -> list[str]:
    """What it starts from."""
    own = [f"ARG NODE_IMAGE=node:{version}-{'slim' if place.stack.glibc else 'alpine'}"] if built(place) else []
    return [*own, f"ARG CADDY_IMAGE={IMAGE}"]


def stages(place: Place) -> list[str]:
    """All stages; `files` holds nothing but the files, for `docker build --target files --output FOLDER`."""
    output = posixpath.normpath(posixpath.join(place.folder, place.service.output or "."))
    lines: list[str] = []
    copied = f"COPY {place.source(posixpath.join(place.stack.folder, place.service.output or '.'))} "
    if built(place):
        lines += [*node.build_stages(place, alpine=not place.stack.glibc), ""]
        copied = f"COPY --from={place.stage('build')} {output} "
    told = " ".join(("'%b\\n'", *(_quoted(line) for line in _CADDYFILE)))
    return [
        *lines,
        "# The files alone: docker build --target files --output FOLDER",
        "FROM scratch AS files",
        f"{copied}/",
        "",
        "FROM ${CADDY_IMAGE} AS run",
        f"ENV PORT={PORT} XDG_CONFIG_HOME=/tmp/config XDG_DATA_HOME=/tmp/data",
        "# Its right to low ports is of no use here, and where rights are dropped it would not start with it.",
        f"RUN {joined(f'setcap -r {_CADDY}', f'printf {told} > /etc/caddy/Caddyfile')}",
        f"COPY --from=files / {_ROOT}",
        "USER 1000:1000",
        f"EXPOSE {PORT}",
        *instruction(("/bin/sh", "-c", 'wget -q -O /dev/null "http://127.0.0.1:$PORT/"'), 10.0),
        'CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile"]',
    ]


def _quoted(line: str) -> str:
    return '"' + line.replace("\\", "\\\\").replace("$", "\\$") + '"'
