"""Backups by the shell of a host, of a real Postgres: whole ones count, everything else is said; and the way back."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.real_servers import PASSWORD, Postgres, postgres_binaries

from towline.drivers.host.migration import back_up, restore
from towline.drivers.host.programs import part, quote
from towline.steps.migration import BackUp, Database, Restore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from towline.drivers.host.batch import StepProgram

pytestmark = pytest.mark.needs("sh", "awk", "flock")

ENGINE = """#!/bin/sh
# What is asked of a container is done here, next to a server that listens on a port of its own.
shift 2
case $1 in
  ps) echo store store ;;
  inspect) echo running ;;
  info) echo {folder} ;;
  exec)
    shift
    [ "$1" != -i ] || shift
    shift
    exec "$@" ;;
esac
"""
BROKEN = """#!/bin/sh
# The real one, of which less arrives.
{real} "$@" | {cut}
exit {status}
"""


@dataclass
class Site:
    """A host's folder of a target, with a database of its own on the server."""

    folder: Path
    server: Postgres
    name: str

    @property
    def backups(self) -> Path:
        return self.folder / "home/backups"

    def run(self, program: str) -> tuple[int, str, str]:
        """How a program of a step ends, what it says on its last line, and the sentence of its failure."""
        work = self.folder / "work"
        for one in (work, self.folder / "home"):
            one.mkdir(exist_ok=True)
        (work / "words").touch()
        (work / "sentence").write_text("")
        environ = {
            **os.environ,
            "PATH": f"{self.folder}/bin:{postgres_binaries()}:{os.environ['PATH']}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.server.port),
            "PGPASSWORD": PASSWORD,
            "home": str(self.folder / "home"),
            "work": str(work),
        }
        ran = subprocess.run(
            ["sh", "-c", f"umask 077\n{part('words.sh')}{program}"],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return ran.returncode, (ran.stdout.splitlines() or [""])[-1], (work / "sentence").read_text()

    def back_up(self, name: str, keep: int = 0) -> tuple[int, str, str]:
        """Back its database up under this name."""
        return self.run(self.programs(name, keep).apply)

    def programs(self, name: str, keep: int = 0) -> StepProgram:
        return back_up(BackUp(self.database, name, keep))

    @property
    def database(self) -> Database:
        return Database("db", "postgres", self.name)

    def sql(self, statement: str) -> list[str]:
        with psycopg.connect(self.server.url_of(self.name), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return [str(row[0]) for row in cursor] if cursor.description else []

    def program(self, name: str, text: str) -> None:
        """A program that goes before the real one."""
        file = self.folder / "bin" / name
        file.write_text(text)
        file.chmod(0o755)


@pytest.fixture
def site(tmp_path: Path, postgres: Postgres) -> Iterator[Site]:
    """A database with a table of some size."""
    name = f"kept_{uuid.uuid4().hex[:12]}"
    postgres.create(name)
    made = Site(tmp_path, postgres, name)
    (tmp_path / "bin").mkdir()
    made.program("docker", ENGINE.format(folder=tmp_path))
    made.sql("create table orders as select n as id, md5(n::text) as note from generate_series(1, 20000) n")
    yield made
    for one in made_of(made):
        postgres.drop(one)


def made_of(site: Site) -> list[str]:
    """Its database, and those that a restore has set beside it."""
    with psycopg.connect(site.server.url) as connection:
        found = connection.execute("select datname from pg_database where datname like %s", (f"{site.name}%",))
        return [str(row[0]) for row in found]


def test_a_backup_is_whole_and_known(site: Site) -> None:
    """Its record has size, digest and head; asked again, it is there; a byte that changes makes it another one."""
    status, said, _ = site.back_up("7", keep=2)
    assert status == 0
    assert "data of 1 tables" in said
    record = json.loads((site.backups / "7.db.json").read_text())
    dump = site.backups / "7.db.dump"
    assert (record["bytes"], record["tables"], record["why"]) == (dump.stat().st_size, 1, "release")
    assert record["head"] in said
    assert not [one for one in site.backups.iterdir() if one.stat().st_mode & 0o077]
    assert site.run(site.programs("7").holds)[0] == 0
    content = bytearray(dump.read_bytes())
    content[len(content) // 2] ^= 1
    dump.write_bytes(content)
    assert site.run(site.programs("7").holds)[0] == 1


@pytest.mark.parametrize(
    ("cut", "status"), [("head -c 40000", 0), ("cat", 1), ("head -c 0", 0)], ids=["cut off", "killed", "empty"]
)
def test_half_a_backup_is_none(site: Site, cut: str, status: int) -> None:
    """Whatever its program says of itself, a dump that cannot be read to its end is refused and not kept."""
    site.program("pg_dump", BROKEN.format(real=postgres_binaries() / "pg_dump", cut=cut, status=status))
    ended, _, sentence = site.back_up("7")
    assert ended == 1
    assert "cannot be dumped" in sentence or "cannot be read to its end" in sentence
    assert not list(site.backups.glob("*.json"))
    assert not list(site.backups.glob("*.dump"))


def test_no_room_is_said_with_numbers(site: Site) -> None:
    """Nothing is dumped that would fill the disk."""
    site.program("df", "#!/bin/sh\nprintf 'Filesystem x\\n/dev/one 1 1 1000000 1 /\\n'\n")
    ended, _, sentence = site.back_up("7")
    assert ended == 1
    assert "a backup of db takes up to" in sentence
    assert "1 MB are free" in sentence
    assert not list(site.backups.glob("*.dump"))


def test_the_newest_of_releases_are_kept_and_all_that_were_asked_for(site: Site) -> None:
    """By number, not by name: 10 is newer than 9."""
    for name, keep in (("8", 0), ("9", 2), ("10", 2), ("11", 2)):
        assert site.back_up(name, keep)[0] == 0
    assert {one.name for one in site.backups.glob("*.json")} == {"8.db.json", "10.db.json", "11.db.json"}
    assert {one.name for one in site.backups.glob("*.dump")} == {"8.db.dump", "10.db.dump", "11.db.dump"}


def test_a_restored_database_takes_the_place_of_the_other(site: Site) -> None:
    """While somebody is connected; what was there before is kept, closed; done again, nothing happens twice."""
    site.sql(f"alter database {site.name} set statement_timeout = '77s'")
    assert site.back_up("7")[0] == 0
    site.sql("drop table orders; create table parts (id int)")
    step = Restore(site.database, "7", "9", ("release",))
    with psycopg.connect(site.server.url_of(site.name), autocommit=True) as other:
        status, said, sentence = site.run(restore(step).apply)
        assert (status, sentence) == (0, ""), said
        with pytest.raises(psycopg.OperationalError):
            other.execute("select 1")
    assert site.sql("select count(*) from orders") == ["20000"]
    assert site.sql("show statement_timeout") == ["77s"]
    assert step.aside in made_of(site)
    assert len(made_of(site)) == 2
    site.sql("insert into orders values (0, 'since')")
    assert site.run(restore(step).apply)[0] == 0
    assert site.sql("select count(*) from orders") == ["20001"]
    assert len(list((site.folder / "home/tasks").iterdir())) == 1


def test_a_restore_that_broke_off_while_the_database_was_closed_is_done_again(site: Site) -> None:
    """Right before the two change names nobody can connect; power that fails there leaves it so."""
    assert site.back_up("7")[0] == 0
    site.sql("drop table orders")
    with psycopg.connect(site.server.url, autocommit=True) as beside:
        beside.execute(f"alter database {site.name} allow_connections false".encode())
    status, _, sentence = site.run(restore(Restore(site.database, "7", "9")).apply)
    assert (status, sentence) == (0, "")
    assert site.sql("select count(*) from orders") == ["20000"]


def test_a_backup_that_does_not_come_back_changes_nothing(site: Site) -> None:
    """The database goes on, and nothing half is left beside it."""
    assert site.back_up("7")[0] == 0
    site.program("pg_restore", "#!/bin/sh\necho no >&2\nexit 1\n")
    status, _, sentence = site.run(restore(Restore(site.database, "7", "9")).apply)
    assert status == 1
    assert "nothing was changed" in sentence
    assert made_of(site) == [site.name]
    status, _, sentence = site.run(restore(Restore(site.database, "8", "9")).apply)
    assert (status, "there is no whole backup 8" in sentence) == (1, True)


CATALOGUE = """
create table orders (id int generated always as identity primary key, note text not null default 'x', name varchar(20));
create schema shop; create table shop.parts (id int references orders);
create type state as enum ('new', 'paid');
create view open_orders as select id from orders;
create function total(a int) returns int language sql as 'select a';
create function touched() returns trigger language plpgsql as 'begin return new; end';
create trigger touch before update on orders for each row execute function touched();
create table alembic_version (version_num varchar(32) not null); insert into alembic_version values ('ab12');
create table schema_migrations (other int);
"""


def test_a_catalogue_tells_all_that_is_compared(site: Site) -> None:
    """Columns with type, need and default; other schemas by name; which migrations were applied."""
    site.sql("drop table orders")
    for statement in CATALOGUE.strip().split(";\n"):
        site.sql(statement)
    text = "".join(part(name) for name in ("files.sh", "docker.sh", "catalogue.sh"))
    file = site.folder / "catalogue"
    status, _, sentence = site.run(f"{text}catalogue store postgres {site.name} {quote(str(file))}\n")
    assert (status, sentence) == (0, "")
    found = file.read_text().splitlines()
    assert found == sorted(found)
    assert "column\torders.id\tinteger\trequired\tdefault\torders" in found
    assert "column\torders.name\tcharacter varying(20)\toptional\t\torders" in found
    assert "column\torders.note\ttext\trequired\tdefault\torders" in found
    assert "table\tshop.parts" in found
    assert "value\tstate.paid" in found
    assert "view\topen_orders" in found
    assert any(line.startswith("function\ttotal(integer)") for line in found)
    assert any(line.startswith("handler\ttouched()") for line in found)
    assert "applied\talembic_version public\tab12" in found
    kinds = {line.split("\t")[0] for line in found}
    assert {"constraint", "index", "trigger", "extension", "default"} <= kinds
