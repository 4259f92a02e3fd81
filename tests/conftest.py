"""What all rooms of tests share: the rule for missing servers, and names that no other checkout uses.

Servers and labs are imported by the fixtures that start them: most rooms need none.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from tests.real_servers import Bucket, Postgres, Sqs, Valkey

    from towline.lab.host import Lab, LabHost

ROOT = Path(__file__).resolve().parent.parent
FAILED = pytest.StashKey[bool]()
ROOMS = ("lab", "acceptance", "contract", "unit")
"""Those with files of minutes first: processes side by side end at about the same time when what is left is short."""

settings.register_profile("towline", settings.default, deadline=None)  # a machine may be busy with other things
settings.load_profile("towline")


def pytest_configure(config: pytest.Config) -> None:
    """Files go to the processes in our order, and not by how many tests they have: a guide is one test of minutes."""
    config.option.loadscopereorder = False


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The rooms one after the other; inside a room the order stays as random as it was."""
    places = {ROOT / "tests" / room: number for number, room in enumerate(ROOMS)}
    items.sort(key=lambda item: min(places.get(folder, len(ROOMS)) for folder in item.path.parents))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A missing program skips on a laptop and fails where CI=true."""
    for mark in item.iter_markers("needs"):
        missing = [name for name in mark.args if shutil.which(name) is None and not Path("/usr/sbin", name).exists()]
        if missing and os.environ.get("CI") == "true":
            pytest.fail(f"missing here, and CI must have it: {', '.join(missing)}", pytrace=False)
        if missing:
            pytest.skip(f"missing here: {', '.join(missing)}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test logged goes to another process as UTF-8, which has no half characters; some tests log them."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture
def failed(request: pytest.FixtureRequest) -> Callable[[], bool]:
    """Whether the test has failed: asked at the end of fixtures that put right what it may have left half done."""
    return lambda: bool(request.node.stash.get(FAILED, False))


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of this checkout."""
    return ROOT


@pytest.fixture(scope="session")
def checkout_name() -> str:
    """A short name that differs between two checkouts on one machine."""
    return hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A real Postgres whose database `migrated` has the runtime's tables: the template of each test's own."""
    import asyncio

    from tests.real_servers import Postgres

    from towline_runtime.migrations import migrate

    with Postgres(tmp_path_factory.mktemp("postgres")) as server:
        asyncio.run(migrate(server.create("migrated")))
        yield server


@pytest.fixture
def database_url(postgres: Postgres) -> Iterator[str]:
    """A database of the test's own, with the runtime's tables, on the server that all tests share."""
    name = f"test_{uuid.uuid4().hex}"
    yield postgres.create(name, template="migrated")
    postgres.drop(name)


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A real Valkey that tests share: nobody stops or flushes it."""
    from tests.real_servers import Valkey

    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def sqs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sqs]:
    """An SQS server that tests share, each with queues of its own name."""
    from tests.real_servers import Sqs

    with Sqs(tmp_path_factory.mktemp("sqs")) as server:
        yield server


@pytest.fixture(scope="session")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """A real S3 server that tests share, each with a prefix of its own."""
    from tests.real_servers import Bucket

    with Bucket(tmp_path_factory.mktemp("bucket")) as server:
        yield server


@pytest.fixture(scope="session")
def lab(checkout_name: str) -> Iterator[Lab]:
    """A lab of this run's own, empty at first; tests that use its hosts reset them before and leave them on."""
    from tests.lab_slot import spare_lab

    with spare_lab(checkout_name) as lab:
        yield lab


@pytest.fixture(scope="session")
def lab_hosts(lab: Lab) -> tuple[LabHost, LabHost]:
    """Two Debian hosts that tests share: names, addresses and ports stay, whatever is reset."""
    first, second = lab.up(2)
    return first, second
