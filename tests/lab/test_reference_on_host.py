"""The reference app whole on one real host, as its own Dockerfile makes it: API, workers, relay, sweeper and stores."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.lab.hosted_app import ON_HOSTS, HostedApp
from tests.real_servers import until

from towline.lab.images import bake

if TYPE_CHECKING:
    from pathlib import Path

    from towline.lab.host import Lab, LabHost

pytestmark = [pytest.mark.timeout(900), *ON_HOSTS]

IMAGE = "cooly-whole:1"
BASES = ("python:3.11-slim", "postgres:18.6", "valkey/valkey:9", "chrislusf/seaweedfs:4.48", "caddy:2.11.7")
BUILD = "  build:\n    context: ..\n    dockerfile: reference/Dockerfile\n"
TARGET = """
targets:
  production:
    sites:
      box: {{kind: host, ssh: root@{name}, ssh_config: ssh_config, address: {address}}}
"""
COUNT = """
select json_agg(json_build_object('state', g.state, 'job', j.state, 'attempt', j.attempt,
  'lines', (select json_agg(l.kind order by l.id) from ledger l where l.generation_id = g.id)))
from generation g join towline.job j on j.id = g.job_id
"""


@pytest.fixture
def cooly(checkout: Path, tmp_path: Path, lab: Lab, lab_hosts: tuple[LabHost, LabHost]) -> HostedApp:
    """A copy of its project with one target more; its image and those of its stores are on the host."""
    bake(lab.docker, BASES)
    host = lab_hosts[0].reset(suite="bookworm", docker=True)
    project = tmp_path / "reference"
    shutil.copytree(checkout / "reference", project, ignore=shutil.ignore_patterns(".venv", ".towline", "__pycache__"))
    (project / "ssh_config").write_text(lab.ssh_config.read_text())
    compose = project / "compose.yaml"
    told = compose.read_text()
    assert told.count(BUILD) == 1
    compose.write_text(told.replace(BUILD, f"  image: {IMAGE}\n").replace("${GENERATOR_SECONDS:-2}", "0.2"))
    with (project / "towline.yaml").open("a") as page:
        page.write(TARGET.format(name=host.name, address=host.ipv4))
    dockerfile = str(checkout / "reference/Dockerfile")
    lab.docker.run("build", "--network", "host", "-t", IMAGE, "-f", dockerfile, str(checkout), within=600)
    host.load(IMAGE, *BASES[1:])
    return HostedApp(project, host)


def test_it_is_deployed_whole_and_makes_pictures(cooly: HostedApp) -> None:
    """Orders through the machine's door become pictures in its bucket, each paid for once, also over another deploy."""
    cooly.deploy()
    first = [order(cooly, number) for number in range(3)]
    compose = cooly.folder / "compose.yaml"
    compose.write_text(
        compose.read_text().replace("  environment: &environment\n", "  environment: &environment\n    MORE: yes\n")
    )
    cooly.deploy()
    shown = [done(cooly, one) for one in [*first, order(cooly, 3)]]
    assert len(shown) == 4
    picture = httpx.URL(shown[0]["imageUrl"])
    with httpx.Client(trust_env=False, timeout=20) as browser:
        found = browser.get(picture.copy_with(host=cooly.host.ipv4), headers={"Host": picture.host})
    assert (found.status_code, found.headers["content-type"]) == (200, "image/jpeg")
    rows = until(lambda: settled(cooly), "all are paid for", 60)
    assert [(row["state"], row["job"], row["lines"]) for row in rows] == [("done", "done", ["reserve", "capture"])] * 4


def ask(app: HostedApp, method: str, path: str, body: object = None) -> httpx.Response:
    """A request of the account that has the token, through the machine's door."""
    token = app.said("secrets", "reveal", "VERIFY_TOKEN", "-t", "production").strip()
    headers = {"Host": app.host.name, "Authorization": f"Bearer {token}"}
    with httpx.Client(trust_env=False, timeout=30) as browser:
        return browser.request(method, f"http://{app.host.ipv4}{path}", json=body, headers=headers)


def order(app: HostedApp, number: int) -> str:
    """Ask for a picture; its id."""
    answer = ask(app, "POST", "/api/generations", {"prompt": f"order number {number}"})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["data"]["id"])


def done(app: HostedApp, generation: str) -> dict[str, str]:
    """The picture once it is there."""

    def seen() -> dict[str, str] | None:
        found: dict[str, str] = ask(app, "GET", f"/api/generations/{generation}").json()["data"]
        return found if found["state"] == "done" else None

    return until(seen, f"picture {generation}", 120)


def settled(app: HostedApp) -> list[dict[str, object]]:
    """All orders as the database has them, once each has ended and been captured; none before."""
    psql = 'psql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -Atq'
    ran = app.host.ssh(
        "docker exec -i $(docker ps -q --filter label=towline.service=db) "
        f"sh -c '{psql}' <<'END'\n{COUNT.strip()}\nEND\n"
    )
    assert ran.status == 0, ran.stderr
    rows: list[dict[str, object]] = json.loads(ran.stdout)
    return rows if all(isinstance(row["lines"], list) and len(row["lines"]) > 1 for row in rows) else []
