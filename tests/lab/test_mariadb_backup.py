"""Backups by the shell of a host, of a real MariaDB: what comes out is what went in; and the way back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.real_servers import until

from towline.drivers.host.migration import back_up, restore
from towline.drivers.host.programs import part
from towline.lab.docker import LabDocker
from towline.lab.images import bake
from towline.steps.migration import BackUp, Database, Restore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from towline.drivers.host.batch import StepProgram

pytestmark = [
    pytest.mark.needs("docker", "dockerd", "iptables", "mmdebstrap", "awk", "flock"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a Docker daemon"),
]

IMAGE, PASSWORD = "mariadb:10.11", "a word with 'quotes' and \\ more"
DATABASE = Database("db", "", "", "mysql")
ENGINE = """#!/bin/sh
# The engine of the lab in place of the host's own; `between` stands where a test puts something between.
shift 2
case "$*" in *" dump --single-transaction --skip-triggers"*) between=1 ;; *) between= ;; esac
[ -z "$between" ] || exec {folder}/bin/between "$@"
exec {docker} "$@"
"""
BETWEEN = '#!/bin/sh\n{docker} "$@" | {filter}\nexit {status}\n'
SHOP = """
create table parts (id int auto_increment primary key, name varchar(20) not null default 'x', picture blob);
create table orders (part int, note text, foreign key (part) references parts (id) on delete cascade);
create table written (what varchar(40));
insert into parts (name, picture) values ('bolt', x'00ff270a5c'), ('nut', null);
insert into orders values (1, 'it''s\\nUSE `other`;\\n'), (2, 'ünïcode ✓');
create view some as select name from parts;
create view of_some as select name from some;
create trigger counts after insert on orders for each row insert into written values (new.note);
create procedure tidy() delete from orders where note = '-- towline: what runs in the server follows';
create event nightly on schedule every 1 day do delete from written;
"""


@dataclass
class Site:
    """The folder of a target, and its MariaDB; the host's shell runs on this machine."""

    folder: Path
    docker: LabDocker
    container: str

    @property
    def backups(self) -> Path:
        return self.folder / "home/backups"

    def run(self, program: str) -> tuple[int, str, str]:
        """How a program of a step ends, what it says on its last line, and the sentence of its failure."""
        work = self.folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        for one in (work, self.folder / "home"):
            one.mkdir(exist_ok=True)
        (work / "words").touch()
        (work / "sentence").write_text("")
        environ = {
            **self.docker.environment,
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
            "home": str(self.folder / "home"),
            "work": str(work),
        }
        text = f"umask 077\n{part('words.sh')}{program}"
        ran = subprocess.run(["sh", "-c", text], env=environ, capture_output=True, text=True, check=False, timeout=300)
        said = (ran.stdout.splitlines() or [""])[-1] if ran.returncode == 0 else ran.stdout + ran.stderr
        return ran.returncode, said, (work / "sentence").read_text()

    def back_up(self, name: str, keep: int = 0) -> tuple[int, str, str]:
        """Back all of it up under this name."""
        return self.run(self.programs(name, keep).apply)

    def has_backup(self) -> None:
        """Backup 7 of the shop as it is at first; the second one who asks gets a copy of the first one's."""
        kept = self.folder / "kept"
        if kept.exists():
            shutil.copytree(kept, self.backups, dirs_exist_ok=True)
            return
        status, said, sentence = self.back_up("7")
        assert (status, sentence) == (0, ""), said
        shutil.copytree(self.backups, kept)

    def programs(self, name: str, keep: int = 0) -> StepProgram:
        return back_up(BackUp(DATABASE, name, keep))

    def restore(self, name: str, run: str, instead: str = "") -> tuple[int, str, str]:
        """Restore a backup in this run; `instead` are functions in place of its own."""
        program = restore(Restore(DATABASE, name, run, ("release",))).apply
        return self.run(program.replace("\nrestore_mysql ", f"\n{instead}\nrestore_mysql "))

    def sql(self, statement: str, database: str = "shop") -> list[str]:
        """What root gets."""
        words = (
            "exec",
            "-e",
            f"MYSQL_PWD={PASSWORD}",
            self.container,
            "mariadb",
            "-uroot",
            "-Nse",
            statement,
            database,
        )
        return self.docker.run(*words).splitlines()

    def databases(self) -> set[str]:
        """All that are not the server's own."""
        own = {"information_schema", "performance_schema", "mysql", "sys"}
        return set(self.sql("show databases", "mysql")) - own

    def between(self, filtered: str, status: int = 0) -> None:
        """Put a filter between the program that dumps and whoever reads it; it ends with this status."""
        self.program("between", BETWEEN.format(docker=shutil.which("docker"), filter=filtered, status=status))

    def program(self, name: str, text: str) -> None:
        file = self.folder / "bin" / name
        file.write_text(text)
        file.chmod(0o755)


@pytest.fixture(scope="module")
def docker() -> Iterator[LabDocker]:
    """A daemon with the image."""
    with LabDocker(os.environ) as docker:
        bake(docker, (IMAGE,))
        yield docker


@pytest.fixture(scope="module")
def server(
    docker: LabDocker, checkout_name: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """A container as a deploy leaves it: its name, and the folder of the target that its label tells of."""
    folder = tmp_path_factory.mktemp("mariadb")
    name = f"towline-test-{checkout_name}-kept"
    docker.ask("rm", "--force", "--volumes", name)
    labels = ("--label", f"towline.home={folder / 'home'}", "--label", "towline.service=db")
    docker.run(
        "run", "--detach", "--name", name, "--network", "none", "--memory", "512m", *labels,
        "-e", f"MARIADB_ROOT_PASSWORD={PASSWORD}", "-e", "MARIADB_DATABASE=shop",
        "-e", "MARIADB_USER=ada", "-e", "MARIADB_PASSWORD=ada's word",
        IMAGE, "mariadbd", "--event-scheduler=ON",
    )  # fmt: skip
    test = ("exec", name, "healthcheck.sh", "--connect", "--innodb_initialized")
    until(lambda: docker.ask(*test).status == 0, "MariaDB takes connections", 90)
    yield name, folder
    docker.ask("rm", "--force", "--volumes", name)


@pytest.fixture
def site(server: tuple[str, Path], docker: LabDocker) -> Site:
    """A shop with all that a database can hold, and nothing that another test has left."""
    name, folder = server
    for one in ("home", "bin", "work"):
        shutil.rmtree(folder / one, ignore_errors=True)
    (folder / "bin").mkdir()
    made = Site(folder, docker, name)
    made.program("docker", ENGINE.format(folder=folder, docker=shutil.which("docker")))
    made.between("cat")
    for one in made.databases():
        made.sql(f"drop database {one}", "mysql")
    made.sql("create database shop", "mysql")
    made.sql(SHOP)
    return made


def test_a_backup_is_whole_and_known(site: Site) -> None:
    """Read into another server and compared; its record has size, digest and head; nothing of that server is left."""
    site.sql("create database stock; create table stock.shelves (id int); insert into stock.shelves values (1), (2)")
    status, said, sentence = site.back_up("7", keep=2)
    assert (status, sentence) == (0, ""), said
    record = json.loads((site.backups / "7.db.json").read_text())
    dump = site.backups / "7.db.dump"
    assert (record["bytes"], record["tables"], record["why"]) == (dump.stat().st_size, 4, "release")
    assert (record["database"], record["head"] in said) == ("shop stock", True)
    assert "rows\tshop.orders\t2" in (site.backups / "7.db.rows").read_text().splitlines()
    assert not [one for one in site.backups.iterdir() if one.stat().st_mode & 0o077]
    assert site.docker.run("ps", "-aq", "--filter", "label=towline.rehearsal").split() == []
    assert site.run(site.programs("7").holds)[0] == 0
    dump.write_bytes(dump.read_bytes() + b"x")
    assert site.run(site.programs("7").holds)[0] == 1


@pytest.mark.parametrize(
    ("filtered", "status", "expected"),
    [
        ("head -c 2500", 0, "cannot be dumped"),
        ("cat", 1, "cannot be dumped"),
        ("sed '/^INSERT INTO .orders/,/;$/d'", 0, "rows are missing"),
        ("sed 's/varchar(20)/varchar(19)/'", 0, "is not what went in"),
    ],
    ids=["cut off", "killed", "rows gone", "another type"],
)
def test_half_a_backup_is_none(site: Site, filtered: str, status: int, expected: str) -> None:
    """Whatever its program says of itself, a dump that does not give the same again is refused and not kept."""
    site.between(filtered, status)
    ended, said, sentence = site.back_up("7")
    assert (ended, expected in sentence) == (1, True), f"{said}\n{sentence}"
    assert not list(site.backups.glob("*.json"))
    assert not list(site.backups.glob("*.dump"))
    assert site.docker.run("ps", "-aq", "--filter", "label=towline.rehearsal").split() == []


def test_the_tables_of_a_backup_take_the_place_of_the_others(site: Site) -> None:
    """While somebody holds on to them; all of before is kept beside; done again, nothing happens twice."""
    site.has_backup()
    parts = site.sql("select id, name, hex(picture) from parts order by id")
    site.sql("insert into parts (name) values ('late'); drop view of_some; create view newer as select 1 as one;"
             "drop table orders; create table added (id int)")  # fmt: skip
    words = ("docker", "exec", "-i", "-e", f"MYSQL_PWD={PASSWORD}", site.container, "mariadb", "-uroot", "-Nn", "shop")
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(site.docker.environment)
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write(b"begin; select count(*) from parts;\n")
        other.stdin.flush()
        assert other.stdout.readline() == b"3\n"
        status, said, sentence = site.restore("7", "9")
        assert (status, sentence) == (0, ""), said
        other.stdin.close()
    assert "shop_before_9" in said
    assert site.databases() == {"shop", "shop_before_9"}
    assert site.sql("select id, name, hex(picture) from parts order by id") == parts
    assert site.sql("select * from of_some") == ["bolt", "nut"]
    assert site.sql("show tables like 'added'") == site.sql("show tables like 'newer'") == []
    assert site.sql("select name from parts order by id", "shop_before_9") == ["bolt", "nut", "late"]
    assert site.sql("select * from newer", "shop_before_9") == ["1"]
    events = "select status from information_schema.events where event_name = 'nightly' order by event_schema"
    assert site.sql(events) == ["ENABLED", "DISABLED"]
    site.sql("insert into orders values (1, 'since')")
    assert site.sql("select * from written where what = 'since'") == ["since"]
    assert site.restore("7", "9")[0] == 0
    assert site.sql("select count(*) from orders") == ["3"]
    assert len(list((site.folder / "home/tasks").iterdir())) == 1
    # What was set aside is no database of the app: the next backup leaves it out.
    assert site.back_up("10")[0] == 0
    assert json.loads((site.backups / "10.db.json").read_text())["database"] == "shop"


def test_a_backup_that_does_not_come_back_changes_nothing(site: Site) -> None:
    """The server goes on with what it has, and nothing half is left beside it; one that is not there is said."""
    site.has_backup()
    with (site.backups / "7.db.rows").open("a") as rows:
        rows.write("rows\tshop.zzz\t1\n")
    status, _, sentence = site.restore("7", "9")
    assert (status, "nothing was changed" in sentence) == (1, True)
    assert site.databases() == {"shop"}
    status, _, sentence = site.restore("8", "9")
    assert (status, "there is no whole backup 8" in sentence) == (1, True)


@pytest.mark.parametrize("died", ["others_gone", "programs_of", "with_suffix"])
def test_a_restore_that_broke_off_is_done_again(site: Site, died: str) -> None:
    """Before the exchange and after it: the same end, with all of before in its place beside."""
    site.has_backup()
    site.sql("drop table orders; insert into parts (name) values ('late')")
    assert site.restore("7", "9", f"{died}() {{ kill -9 $$; }}")[0] != 0
    status, said, sentence = site.restore("7", "9")
    assert (status, sentence) == (0, ""), said
    assert site.databases() == {"shop", "shop_before_9"}
    assert site.sql("select count(*) from orders") == ["2"]
    assert site.sql("select * from of_some") == ["bolt", "nut"]
    assert site.sql("select name from some order by name", "shop_before_9") == ["bolt", "late", "nut"]


def test_an_exchange_that_is_refused_leaves_all_as_it_was(site: Site) -> None:
    """What no table can take along is taken away for it, and is there again."""
    site.has_backup()
    site.sql("insert into parts (name) values ('late')")
    status, _, sentence = site.restore(
        "7", "9", "all_names() { echo 'rename table nothing to none;'; }\nsleep() { :; }"
    )
    assert (status, "nothing was changed" in sentence) == (1, True)
    assert site.sql("select * from of_some order by name") == ["bolt", "late", "nut"]
    site.sql("insert into orders values (1, 'since')")
    assert site.sql("select * from written where what = 'since'") == ["since"]


def test_what_cannot_be_done_is_said(site: Site) -> None:
    """Too little room, a name that a shell would take apart, and a server that lets its own programs in no more."""
    site.program("df", "#!/bin/sh\nprintf 'Filesystem x\\n/dev/one 1 1 1000 1 /\\n'\n")
    status, _, sentence = site.back_up("7")
    assert (status, "a backup of db takes up to 1 MB" in sentence) == (1, True)
    (site.folder / "bin/df").unlink()
    site.sql("create database `two words`", "mysql")
    status, _, sentence = site.back_up("7")
    assert (status, "whose name holds more than letters" in sentence) == (1, True)
    site.sql("drop database `two words`; alter user root@localhost identified by 'another'")
    try:
        status, _, sentence = site.back_up("7")
    finally:
        word = PASSWORD.replace("\\", "\\\\").replace("'", "''")
        again = f"alter user root@localhost identified by '{word}'"
        site.docker.run("exec", "-e", "MYSQL_PWD=another", site.container, "mariadb", "-uroot", "-Nse", again)
    assert (status, "lets its own programs in no more" in sentence) == (1, True)


def test_without_the_word_of_root_the_app_s_own_account_makes_a_backup(site: Site) -> None:
    """As where root has a random one. It may make no database, so that it restores nothing, and nothing is changed."""
    known, unknown = "told ROOT_PASSWORD", "told NO_PASSWORD"
    site.sql("drop procedure tidy")
    program = site.programs("7").apply
    assert program.count(known) == 1
    status, said, sentence = site.run(program.replace(known, unknown))
    assert (status, sentence) == (0, ""), said
    again = restore(Restore(DATABASE, "7", "9")).apply.replace(known, unknown)
    status, _, sentence = site.run(again)
    assert (status, "nothing was changed" in sentence) == (1, True)
    assert site.databases() == {"shop"}
