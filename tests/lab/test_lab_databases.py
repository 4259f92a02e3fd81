"""The stand-ins for MariaDB and Redis: the version of their tag, an ordinary user, and data that outlives them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.real_servers import until

from towline.lab.docker import LabDocker
from towline.lab.images import bake

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("dockerd", "iptables", "mmdebstrap")

MARIADB, REDIS = "mariadb:10.11", "redis:7.0.15"
PASSWORD = "a word with 'quotes' and \\ more"


@pytest.fixture(scope="module")
def docker() -> Iterator[LabDocker]:
    """One daemon with both images."""
    with LabDocker(os.environ) as docker:
        bake(docker, (MARIADB, REDIS))
        yield docker


@pytest.fixture
def name(docker: LabDocker, checkout_name: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A name for the container and the volume of one test, which are gone at its end."""
    name = f"towline-test-{checkout_name}-{request.node.originalname.replace('_', '-')}"
    gone = (("rm", "--force", name), ("volume", "rm", "--force", name))
    for words in gone:
        docker.ask(*words)
    yield name
    for words in gone:
        docker.ask(*words)


def test_mariadb_makes_its_database_once(docker: LabDocker, name: str) -> None:
    """User, password and database as told; its own health check; the next container finds what the first one kept."""
    told = ("-e", "MARIADB_DATABASE=shop", "-e", "MYSQL_USER=ada", "-e", f"MARIADB_PASSWORD={PASSWORD}",
            "-e", "MARIADB_RANDOM_ROOT_PASSWORD=1")  # fmt: skip
    asks = ("exec", name, "mariadb", "--host=127.0.0.1", "--user=ada", f"--password={PASSWORD}", "shop", "-Nse")
    test = ("exec", name, "healthcheck.sh", "--connect", "--innodb_initialized")
    for statement in ("CREATE TABLE goods (name TEXT); INSERT INTO goods VALUES ('tea')", "SELECT 1"):
        docker.run("run", "--detach", "--name", name, "--volume", f"{name}:/var/lib/mysql", *told, MARIADB)
        until(lambda: docker.ask(*test).status == 0, "MariaDB takes connections")
        docker.run(*asks, statement)
        assert docker.run(*asks, "SELECT name FROM goods").strip() == "tea"
        assert docker.run(*asks, "SELECT version()").startswith("10.11.")
        assert docker.run("exec", name, "stat", "-c", "%U", "/proc/1").strip() == "mysql"
        docker.run("rm", "--force", name)


def test_mariadb_wants_a_password(docker: LabDocker, name: str) -> None:
    """Without one for root it does not begin, and says what to set."""
    ran = docker.ask("run", "--rm", "--name", name, MARIADB)
    assert ran.status != 0
    assert "set MARIADB_ROOT_PASSWORD" in ran.stderr


def test_redis_is_the_one_of_its_tag(docker: LabDocker, name: str) -> None:
    """As an ordinary user, with its data in /data."""
    docker.run("run", "--detach", "--name", name, "--volume", f"{name}:/data", REDIS, "redis-server", "--save", "60 1")
    until(lambda: docker.ask("exec", name, "redis-cli", "ping").stdout.strip() == "PONG", "Redis answers")
    assert "redis_version:7.0.15" in docker.run("exec", name, "redis-cli", "info", "server")
    docker.run("exec", name, "redis-cli", "set", "tea", "green")
    assert docker.run("exec", name, "stat", "-c", "%U", "/proc/1").strip() == "redis"
    docker.run("restart", name)
    until(lambda: docker.ask("exec", name, "redis-cli", "get", "tea").stdout.strip() == "green", "its data is back")
