"""An app on two lab hosts: web, database, queue and a private service on one, a worker and a sweeper on the other."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.hosted_app import WEB, HostedApp
from tests.real_servers import until

if TYPE_CHECKING:
    from towline.lab.host import Lab, LabHost

IMAGE = "pair-app:1"
BASES = ("python:3.11-slim", "postgres:18.6", "valkey/valkey:9", "caddy:2.11.7")
FRONT, BACK = (IMAGE, *BASES[1:]), (IMAGE,)

DOCKERFILE = """
FROM python:3.11-slim
RUN pip install -q --no-cache-dir asyncpg==0.30.0 pydantic==2.12.5 anyio==4.12.0
COPY towline_runtime /usr/lib/python3/dist-packages/towline_runtime
COPY app /app
WORKDIR /app
"""
JOBS = """
import asyncio, os, socket, urllib.request
from urllib.parse import urlsplit
from towline_runtime import Jobs, Running

jobs = Jobs()

@jobs.kind("work", attempts=9, max_job=5)
async def work(job: Running, seconds: float) -> None:
    await asyncio.sleep(seconds)
    async with job.finish() as tx:
        await tx.execute("insert into effect values ($1, $2)", job.id, job.attempt)

@jobs.kind("look", attempts=3, limit=60)
def look(job: Running, fill: int) -> str:
    asked = urllib.request.Request(os.environ["INNER_URL"], headers={"X-Fill": str(fill)})
    body = urllib.request.urlopen(asked, timeout=20).read()
    url = urlsplit(os.environ["REDIS_URL"])
    with socket.create_connection((url.hostname, url.port), timeout=20) as redis:
        redis.sendall(f"AUTH {url.password}\\r\\nPING\\r\\n".encode())
        said = redis.recv(100)
    return f"{body[:40].rstrip(b'.').decode()} {len(body)} {'PONG' in said.decode()}"
"""
FIRST = """
import os
if os.environ["TEXT"] == "greedy":
    print("the worker takes all it can get", flush=True)
    hoard = b"x" * (500 * 2**20)
"""
ADD = """
import asyncio, json, os, sys, asyncpg
from jobs import look, work

async def main():
    kind, many, number = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    await connection.execute("create table if not exists effect (job bigint, attempt integer)")
    made = (work.enqueue(seconds=number) if kind == "work" else look.enqueue(fill=int(number)) for _ in range(many))
    print(json.dumps([(await connection.fetchrow(*one.asyncpg()))[0] for one in made]))

asyncio.run(main())
"""
ONCE = """
import os, signal, sys
print("only once", os.environ["TEXT"], flush=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while True:
    signal.pause()
"""
COMPOSE = """
x-app: &app
  image: {image}
  stop_grace_period: 6s
services:
  api:
    <<: *app
    command: [python3, server.py]
    ports: ["8000:8000"]
    environment: {{TEXT: api {text}}}
  inner:
    <<: *app
    command: [python3, server.py]
    expose: ["8000"]
    environment: {{TEXT: inner {text}}}
  gen:
    <<: *app
    command:
      - sh
      - -c
      - "python3 first.py && touch /tmp/up && exec python3 -m towline_runtime worker jobs:jobs --concurrency 20"
    healthcheck: {{test: [CMD-SHELL, "test -e /tmp/up ||\\n exit 1"], interval: 2s}}
    environment: {{TEXT: {gen}, JOB_LEASE_SECONDS: "10"}}
  once:
    <<: *app
    command: [python3, once.py]
    environment: {{TEXT: {text}}}
  db:
    image: postgres:18.6
  queue:
    image: valkey/valkey:9
"""
PAGE = """
app: pair
services:
  api: {{kind: web, ready: /health, scale: 2}}
  inner: {{kind: private, port: 8000, ready: /health}}
  gen: {{kind: worker, max_job: 5s, memory: 256m}}
  once: {{kind: worker, single: true}}
stores:
  db: {{kind: postgres}}
  queue: {{kind: redis, use: queue}}
bind:
  api: {{DATABASE_URL: db.url}}
  gen: {{DATABASE_URL: db.url, REDIS_URL: queue.url, INNER_URL: inner.internal_url}}
release: {{in: api, run: "python3 -m towline_runtime migrate"}}
targets:
  production:
    sites:
      front: {{kind: host, ssh: root@{names[0]}, ssh_config: ssh_config, address: {addresses[0]}}}
      back: {{kind: host, ssh: root@{names[1]}, ssh_config: ssh_config, address: {addresses[1]}}}
    place: {{gen: back, once: back, "*": front}}
"""
TRIAL = """
  trial:
    sites:
      front: {{kind: host, ssh: root@{names[0]}, ssh_config: ssh_config, address: {addresses[0]},
              domain: trial.pair.example, certificates: internal}}
      back: {{kind: host, ssh: root@{names[1]}, ssh_config: ssh_config, address: {addresses[1]}}}
    place: {{gen: [front, back], once: back, "*": front}}
"""
"""A second target, whose workers are on both hosts."""


@dataclass
class Pair(HostedApp):
    """The app; `host` has what browsers ask, `back` is the other host of its only target."""

    back: LabHost

    @property
    def front(self) -> LabHost:
        """The host that has all but the workers."""
        return self.host

    def write(self, text: str, gen: str = "") -> None:
        """What everything says from the next deploy on; `gen` is what the worker is told instead."""
        (self.folder / "compose.yaml").write_text(COMPOSE.format(image=IMAGE, text=text, gen=gen or text))

    def running(self) -> tuple[set[str], set[str]]:
        """The names of the containers that run, by host; not of those that finish by themselves."""
        front, back = (one.ssh("docker ps --format '{{.Names}}'").stdout.split() for one in (self.front, self.back))
        return {one for one in front if ".leaving." not in one}, {one for one in back if ".leaving." not in one}

    def add(self, kind: str, many: int, number: float, target: str = "production") -> list[int]:
        """Commit jobs, from the host that has the database; their numbers."""
        name = next(one for one in sorted(self.running()[0]) if one.startswith(f"pair-{target}-api."))
        ran = self.front.ssh(f"docker exec {name} python3 add.py {kind} {many} {number}")
        assert ran.status == 0, ran.stderr
        found: list[int] = json.loads(ran.stdout)
        return found

    def ask(self, query: str, target: str = "production") -> str:
        """What the database answers, as bare text."""
        ran = self.front.ssh(f'docker exec pair-{target}-db psql -U pair -d pair -tAc "{query}"')
        assert ran.status == 0, ran.stderr
        return ran.stdout.strip()

    def result(self, job: int, target: str = "production") -> str:
        """What a job has ended with, once it has."""
        query = f"select result from towline.job where id = {job} and state = 'done'"
        return str(json.loads(until(lambda: self.ask(query, target), f"the end of job {job}", 120)))

    def count(self, state: str, jobs: list[int]) -> int:
        """How many of these jobs are in a state."""
        numbers = ",".join(map(str, jobs))
        return int(self.ask(f"select count(*) from towline.job where state = '{state}' and id in ({numbers})"))


def pair(folder: Path, lab: Lab, front: LabHost, back: LabHost) -> Pair:
    """The project, and its images on the hosts."""
    project = folder / "pair"
    app = project / "app"
    app.mkdir(parents=True)
    for name, text in (("server", WEB), ("jobs", JOBS), ("add", ADD), ("once", ONCE), ("first", FIRST)):
        (app / f"{name}.py").write_text(text)
    source = Path(__file__).resolve().parents[2] / "src" / "towline_runtime"
    shutil.copytree(source, project / "towline_runtime", ignore=shutil.ignore_patterns("__pycache__"))
    (project / "Dockerfile").write_text(DOCKERFILE)
    lab.docker.run("build", "-t", IMAGE, str(project), within=300)
    front.load(*FRONT)
    back.load(*BACK)
    (project / "ssh_config").write_text(lab.ssh_config.read_text())
    (project / "towline.yaml").write_text(page_with(front, back))
    made = Pair(project, front, back)
    made.write("one")
    return made


def page_with(*hosts: LabHost, trial: bool = False) -> str:
    """The page of the app on two hosts, with the second target or without."""
    text = PAGE + TRIAL if trial else PAGE
    return text.format(names=[one.name for one in hosts], addresses=[one.ipv4 for one in hosts])
