"""The memory of the demo app's own part after 100 jobs: supervisor, API and worker, as the sum of PSS.

PSS (proportional set size, /proc/PID/smaps_rollup) counts a page shared by n processes as 1/n in each, so the sum is
what the machine really gives. The servers are left out: every way to run the app has them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import Goals, machine, table
from towline.core.errors import CheckFailed
from towline.ops.job_path import walk
from towline.ops.through_door import Browser
from towline.ops.workspace import open_workspace

JOBS = 100
ROOT = Path(__file__).resolve().parent.parent
TOWLINE = [sys.executable, "-m", "towline.cli.main"]


def pss(pid: int) -> int:
    """Bytes of a process and all its descendants."""
    total = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            total = int(line.split()[1]) * 1024
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return total + sum(pss(int(child)) for child in children)


def own_pss(pid: int) -> int:
    """Bytes of one process without its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return pss(pid) - sum(pss(int(child)) for child in children)


def towline(*words: str, project: Path) -> str:
    """Run the command line; what it prints."""
    done = subprocess.run([*TOWLINE, *words, "--project", str(project)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return done.stdout


def copy_of_postcards(folder: Path) -> Path:
    """The demo app in a folder of its own."""
    source, project = ROOT / "examples" / "postcards", folder / "postcards"
    names = subprocess.run(["git", "ls-files", "."], cwd=source, capture_output=True, text=True, check=True).stdout
    for name in names.split():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_bytes((source / name).read_bytes())
    return project


def main() -> int:
    """Start, do the jobs, add up."""
    machine()
    with tempfile.TemporaryDirectory(prefix="towline-bench-") as name:
        project = copy_of_postcards(Path(name))
        towline("up", "--detach", project=project)
        try:
            workspace = open_workspace(project, "laptop")
            job, base = workspace.app.job, workspace.addresses().public_url("api")
            if job is None:
                raise CheckFailed("the demo app has lost its job path")
            began = time.monotonic()
            with Browser() as browser:
                for _ in range(JOBS):
                    walk(job, base, browser)
            took = time.monotonic() - began
            status = json.loads(towline("status", "--json", project=project))["instances"]
            pids = {one["service"]: one["pid"] for one in status}
            parent = int(Path(f"/proc/{pids['api']}/stat").read_text().rsplit(")", 1)[1].split()[1])
            sizes = {"supervisor": own_pss(parent), "api": pss(pids["api"]), "worker": pss(pids["worker"])}
            others = {one: pss(pids[one]) for one in ("db", "queue", "media", "door")}
        finally:
            towline("down", project=project)
    rows = [(one, f"{size / 1e6:.1f} MB", "counts") for one, size in sizes.items()]
    rows += [(one, f"{size / 1e6:.1f} MB", "for comparison") for one, size in others.items()]
    table(("process", "PSS", ""), rows)
    print(f"{JOBS} jobs in {took:.1f} s, one after the other")
    goals = Goals("memory")
    goals.at_most("supervisor_api_worker", sum(sizes.values()) / 1e6, "MB", 160)
    return goals.close()


if __name__ == "__main__":
    sys.exit(main())
