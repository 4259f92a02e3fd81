"""The reference app whole on a lab host, for benchmarks: its project, people who are logged in, and their orders."""

from __future__ import annotations

import json
import shlex
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hosted import DOOR, Hosted

if TYPE_CHECKING:
    from load import Ask

ROOT = Path(__file__).resolve().parent.parent
IMAGE = "towline-reference:1"
STORES = ("postgres:18.6", "valkey/valkey:9", "chrislusf/seaweedfs:4.48")
PEOPLE, GIFT = 50, 1_000_000
ORDER_EVERY, REFUSED_EVERY = 300, 10
"""Of the requests, how far apart are those that order a picture, and those that the app refuses with 422."""

BUILD = "  build:\n    context: ..\n    dockerfile: reference/Dockerfile\n"
ENVIRONMENT = "  environment: &environment\n"
TARGET = """
targets:
  box:
    sites:
      box: {{kind: host, ssh: root@{name}, ssh_config: near.conf, address: {address}, certificates: internal}}
"""
COME = """
import asyncio, json, os, sys
from cooly import accounts
from cooly.parts import open_parts
from cooly.settings import Settings
async def main(count, gift):
    async with open_parts(Settings.read(os.environ)) as parts:
        made = []
        for number in range(count):
            email, csrf = f"person-{number}@load.example", f"csrf-{number}"
            account = await accounts.make(parts, email, None, gift)
            made.append((await parts.sessions.create(str(account), {"email": email, "csrf": csrf}), csrf))
        print(json.dumps(made))
asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
"""
COUNT = """
import asyncio, json, os
from cooly.parts import open_parts
from cooly.settings import Settings
QUERY = '''
select g.prompt, g.state, g.object_key, j.state::text as job, j.attempt,
       array(select l.kind from ledger l where l.generation_id = g.id order by l.id) as lines
from generation g left join towline.job j on j.id = g.job_id where g.prompt like 'order number %'
'''
async def main():
    async with open_parts(Settings.read(os.environ)) as parts:
        async with parts.database.transaction() as transaction:
            rows = [dict(row) for row in await transaction.fetch(QUERY)]
        for row in rows:
            key = row.pop("object_key")
            row["kept"] = key is not None and await parts.storage.stat(key) is not None
        print(json.dumps(rows))
asyncio.run(main())
"""


@dataclass
class Outcome:
    """What became of the orders: those that did not end in one picture that is kept and paid for once, and pictures
    besides those. `again` is how many needed more than one attempt.
    """

    ordered: int
    lost: int
    other: int
    again: int


@dataclass
class Reference:
    """The app on its host; `ordered` is how many orders were sent, which are numbered."""

    app: Hosted
    people: list[tuple[str, str]]
    ordered: int = 0

    def ask(self, count: int) -> Ask:
        """The request of this number, and the status that answers it."""
        session, csrf = self.people[count % len(self.people)]
        who = f"Host: {self.app.host.name}\r\nCookie: __Host-cooly_session={session}\r\n"
        if count % REFUSED_EVERY:
            path = ("/api/me", "/api/generations?limit=10")[count % 2]
            return f"GET {path} HTTP/1.1\r\n{who}\r\n".encode(), 200
        order = count % ORDER_EVERY == 0
        body = json.dumps({"prompt": f"order number {self.ordered}" if order else "?"})
        self.ordered += order
        told = f"X-CSRF-Token: {csrf}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return f"POST /api/generations HTTP/1.1\r\n{who}{told}\r\n{body}".encode(), 202 if order else 422

    def outcome(self, within: float = 180.0) -> Outcome:
        """What became of all orders, once each has ended and been paid for or `within` seconds are over."""
        until = time.monotonic() + within
        while True:
            rows = run_inside(self.app, COUNT)
            good = [row for row in rows if is_whole(row)]
            if len(good) == self.ordered or time.monotonic() > until:
                break
            time.sleep(2)
        whole = {row["prompt"] for row in good} & {f"order number {number}" for number in range(self.ordered)}
        again = sum(row["attempt"] > 1 for row in rows)
        return Outcome(self.ordered, self.ordered - len(whole), len(rows) - len(whole), again)


def is_whole(row: dict[str, Any]) -> bool:
    """Whether an order has ended in one picture that is kept, and that was reserved and captured once."""
    return (row["state"], row["job"], row["lines"], row["kept"]) == ("done", "done", ["reserve", "capture"], True)


def write(app: Hosted, version: str, extra: str = "") -> None:
    """Another version, or another variable, of every service."""
    text = (ROOT / "reference" / "compose.yaml").read_text()
    told = f'    VERSION: "{version}"\n    EXTRA: "{extra}"\n    RATE_LIMIT_MAX_REQUESTS: "1000000"\n'
    for old, new in ((BUILD, f"  image: {IMAGE}\n"), (ENVIRONMENT, ENVIRONMENT + told)):
        if text.count(old) != 1:
            raise SystemExit(f"reference/compose.yaml has changed: {old!r} is not there once")
        text = text.replace(old, new)
    (app.folder / "compose.yaml").write_text(text.replace("${GENERATOR_SECONDS:-2}", "0.2"))


def project(app: Hosted) -> Hosted:
    """Its project, and its images on the host."""
    folder = app.folder.parent / "reference"
    shutil.copytree(ROOT / "reference", folder, ignore=shutil.ignore_patterns(".venv", ".towline", "__pycache__"))
    for conf in ("direct.conf", "far.conf"):
        shutil.copy(app.folder / conf, folder / conf)
    with (folder / "towline.yaml").open("a") as page:
        page.write(TARGET.format(name=app.host.name, address=app.host.ipv4))
    app.lab.docker.run(
        "build", "--network", "host", "-t", IMAGE, "-f", str(ROOT / "reference" / "Dockerfile"), str(ROOT), within=600
    )
    app.host.load(IMAGE, *STORES, DOOR)
    made = Hosted(folder, app.lab, app.host)
    write(made, "v0")
    return made


def deployed(app: Hosted) -> Reference:
    """Deploy it, and let people come."""
    made = project(app)
    made.towline("deploy", "box", "--yes")
    people = [(session, csrf) for session, csrf in run_inside(made, COME, str(PEOPLE), str(GIFT))]
    return Reference(made, people)


def run_inside(app: Hosted, program: str, *words: str) -> Any:
    """What a Python program prints as JSON inside one of the containers of its API."""
    api = "$(docker ps -q --filter label=towline.app=cooly --filter label=towline.service=api | head -n 1)"
    call = shlex.join(("python", "-c", program, *words))
    ran = app.host.ssh(f"docker exec {api} {call}", within=120)
    if ran.status != 0:
        raise SystemExit(f"a program inside the API ended with {ran.status}:\n{ran.stderr[-3000:]}")
    return json.loads(ran.stdout)
