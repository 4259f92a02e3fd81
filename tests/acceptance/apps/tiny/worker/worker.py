"""The worker of a very small app: does jobs that are files, shows that it lives, and notes when it is not alone."""

import fcntl
import json
import os
import signal
import sys
import time
from pathlib import Path

NOTES = Path(os.environ["NOTES"])
JOBS = NOTES / "jobs"
CODE = "first"


def note(what):
    """Add a line to the diary, which outlives the worker."""
    line = {"pid": os.getpid(), "what": what, "version": os.environ["VERSION"], "code": CODE, "at": time.monotonic()}
    with (NOTES / "worker.diary").open("a") as diary:
        diary.write(json.dumps(line) + "\n")


def one_job():
    """Do a job if there is one that no other worker has taken."""
    for todo in sorted(JOBS.glob("*.todo")):
        doing = todo.with_suffix(".doing")
        try:
            todo.rename(doing)
        except FileNotFoundError:
            continue
        note("job")
        time.sleep(float(os.environ["JOB_SECONDS"]))
        doing.rename(doing.with_suffix(".done"))
        note("job done")
        return


def say(line):
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main():
    """Work until SIGTERM; the job in hand is finished."""
    JOBS.mkdir(parents=True, exist_ok=True)
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
    with (NOTES / "worker.alone").open("a") as alone:
        try:
            fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note("overlap")
        note("begin")
        say(f"worker {os.environ['VERSION']} takes jobs")
        while not stopping:
            (NOTES / "heartbeat").write_text(str(time.monotonic()))
            if (NOTES / "crash-worker").exists():
                say("worker cannot live: its switch says so")
                sys.exit(3)
            one_job()
            time.sleep(0.02)
        note("end")
    say(f"worker {os.environ['VERSION']} ends")


main()
