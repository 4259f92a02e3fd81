"""The previous runtime on the present schema: while a release goes out, and after it was rolled back, both run.

The frozen copy is renewed at each release, after the new version is tagged, by

    git archive --format=zip -9 -o tests/contract/previous/towline_runtime-VERSION.zip vVERSION src/towline_runtime

and the copy before it is removed. It is never edited.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.job_scenes import a_job, add, ask, claims_of, in_a_loop

from towline_runtime.database import Database
from towline_runtime.migrations import migrate

FOLDER = Path(__file__).parent / "previous"


def previous(url: str) -> dict[str, Any]:
    """Run the program of the previous runtime on a database."""
    (frozen,) = FOLDER.glob("towline_runtime-*.zip")
    ran = subprocess.run(
        [sys.executable, "-P", str(FOLDER / "old_worker.py"), url],
        env=os.environ | {"PYTHONPATH": f"{frozen}/src"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    said: dict[str, Any] = json.loads(ran.stdout)
    assert said["from"].startswith(str(frozen))
    return said


@in_a_loop
async def test_it_does_all_its_work_on_the_present_schema(database_url: str) -> None:
    """Adding, claiming, every write of a worker and the relay's drain work, and it finds nothing to migrate."""
    said = previous(database_url)
    assert said["applied"] == []
    assert said["added"] == 6
    assert said["key"] == [True, False]
    assert {"photo": "a.jpg", "width": 3} in said["payloads"]
    assert said["held"]
    assert said["ends"] == [1, 2, 1, 1, 1, 1, 0]
    assert [state for _, state in said["states"]] == ["done", "ready", "dead", "ready", "cancelled", "done"]
    assert said["drained"]
    assert said["depth"] == [{"queue": "images", "state": "ready", "jobs": 2, "oldest_seconds": 0}]
    async with Database.open(database_url) as database:
        assert await migrate(database_url) == []
        rows = await ask(database, "select state::text, result, error from towline.job order by id")
        assert tuple(rows[0]) == ("done", '"ok"', None)


@in_a_loop
async def test_each_takes_the_jobs_of_the_other(database_url: str) -> None:
    """Jobs that the present runtime added are finished by the previous one, and what that hands back by the present."""
    async with Database.open(database_url) as database:
        photos = [a_job(queue="images", payload=json.dumps({"photo": f"new-{n}.jpg"})) for n in range(3)]
        await add(database, *photos)
        said = previous(database_url)
        assert {"photo": "new-0.jpg", "width": 800} in said["payloads"]
        claims = claims_of(database)
        left = await claims.claim([("images", 0)], ["resize"], 100)
        assert {claim.attempt for claim in left} == {1, 2}
        assert len(await claims.finish([(claim, None) for claim in left])) == 2
        states = await ask(database, "select state::text, count(*) from towline.job group by 1 order by 1")
        assert {row[0]: row[1] for row in states} == {"done": 7, "dead": 1, "cancelled": 1}
