"""What a command line tells of the process that it starts: worker, schedule, migration, port."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_WORKERS = (
    (r"\bcelery\b.*\bworker\b|celery[-_]?worker", "`celery worker`"),
    (r"\bsidekiq\b", "`sidekiq`"),
    (r"\brq(?:worker)?\b.*\bworker\b|\brqworker\b", "`rq worker`"),
    (r"\bdramatiq\b", "`dramatiq`"),
    (r"\bhuey_consumer\b|\brun_huey\b", "`huey`"),
    (r"(?:^|\s|/)arq\s+\S", "`arq`"),
    (r"\btaskiq\s+worker\b", "`taskiq worker`"),
    (r"\bprocrastinate\b.*\bworker\b", "`procrastinate worker`"),
    (r"\bqcluster\b", "`qcluster`"),
    (r"\bresque:work|\bresque-pool\b", "`resque`"),
    (r"\bgood_job\b", "`good_job`"),
    (r"\bsolid_queue\b|\bbin/jobs\b", "`solid_queue`"),
    (r"\bjobs:work\b|\bdelayed_job\b", "`delayed_job`"),
    (r"\bqueue:work\b|\bqueue:listen\b", "`queue:work`"),
    (r"\bartisan\s+horizon\b", "`horizon`"),
    (r"\bmessenger:consume\b", "`messenger:consume`"),
    (r"\btemporal\b.*\bworker\b|\bfaktory\b|\bgraphile-worker\b", "a job library"),
)
_WORKER_WORD = re.compile(r"(?:^|[\s/._:]|(?<=\w)-)(?:workers?|consumers?)(?:[\s/._:-]|$)")
# They have workers of their own: `gunicorn -k uvicorn.workers.UvicornWorker`.
_SERVERS = re.compile(
    r"\b(?:gunicorn|uvicorn|hypercorn|daphne|granian|waitress-serve|uwsgi|puma|unicorn|thin|php-fpm|fastapi)\b"
    r"|\bnext\s+(?:start|dev)\b|\brails\s+s|\bflask\b.*\brun\b|\brunserver\b|\bphx\.server\b"
)

_SINGLES = (
    (
        r"\bcelery\b.*\bbeat\b|celery[-_]?beat|\bcelery\b.*\bworker\b.*\s(?:-B|--beat)\b",
        "`celery beat` starts every entry itself",
    ),
    (r"\bschedule:(?:work|run)\b", "`schedule:work` starts every entry itself"),
    (r"\brqscheduler\b|\brq-scheduler\b|\brq\s+scheduler\b", "`rqscheduler` starts every entry itself"),
    (r"\bclockwork\b", "`clockwork` starts every entry itself"),
    (r"\bsupercronic\b|\bcrond\b|\bcron\s+-f\b", "cron starts every entry itself"),
    (r"\btaskiq\s+scheduler\b", "`taskiq scheduler` starts every entry itself"),
    (r"\bapscheduler\b", "`apscheduler` starts every entry itself"),
)
_SINGLE_NAME = re.compile(
    r"(?:^|[-_.])(?:beat|schedulers?|cron|cronjobs?|crontab|clock|relay|outbox|ticker|timer)(?:$|[-_.])"
)
_SINGLE_WORD = re.compile(r"(?:^|[\s/._:-])(?:beat|scheduler|cron|clock|relay|outbox)(?:\.\w{1,4})?(?:\s|$)")
_WORKER_NAME = re.compile(
    r"(?:^|[-_.])(?:\w*workers?|consumers?|sidekiq|celery|queue|jobs?|processor|horizon)(?:$|[-_.\d])"
)

_MIGRATIONS = re.compile(
    r"\balembic\b.*\bupgrade\b|\bmanage\.py\s+migrate\b|\bdb:migrate\b|\bdb:prepare\b|\bprisma\s+(?:migrate\s+deploy|db\s+push)"
    r"|\bartisan\s+migrate\b|\bmigrate:latest\b|\bmigration:run\b|\bmigrations?:migrate\b|\bflask\s+db\s+upgrade\b"
    r"|\becto\.migrate\b|\bdrizzle-kit\s+(?:migrate|push)\b|\bgoose\b.*\bup\b|\bmigrate\b|\bmigrations?\b|\bflyway\b|\bliquibase\b"
)
_DEVELOPMENT = (
    (r"\bmanage\.py\s+runserver\b", "`runserver`"),
    (r"\bflask\b.*\brun\b", "`flask run`"),
    (r"\buvicorn\b.*--reload\b|\bfastapi\s+dev\b", "`--reload`"),
    (r"\bnext\s+dev\b", "`next dev`"),
    (r"\bnodemon\b|\bts-node-dev\b|\btsx\s+watch\b|\bnest\s+start\s+--watch\b|\bnode\s+--watch\b", "a watching server"),
    (r"\bvite\b(?!\s+(?:build|preview))", "`vite`"),
    (
        r"\bng\s+serve\b|\breact-scripts\s+start\b|\bvue-cli-service\s+serve\b|\bwebpack(?:-dev-server|\s+serve)\b",
        "a server for development",
    ),
    (r"\bspring-boot:run\b|\bair\b\s*(?:-c\b|$)|\bphp\s+artisan\s+serve\b", "a server for development"),
    (r"\b(?:npm|pnpm|yarn|bun)\s+(?:run\s+)?(?:start:)?dev\b", "`dev`"),
)
_SITES = re.compile(
    r"\bvite\b(?!\s+build)|\breact-scripts\s+start\b|\bng\s+serve\b|\bvue-cli-service\s+serve\b|\bhttp-server\b"
    r"|(?:^|\s|/)serve\s+(?:-\S+\s+)*\S+|\bastro\s+(?:dev|preview)\b|\bgatsby\s+(?:develop|serve)\b"
)
_PORTS = (
    re.compile(r"(?:--port|--http-port|--listen-port)[=\s]+(\d{2,5})\b"),
    re.compile(r"(?:--bind|-b|--listen|--addr|--address|-l)[=\s]+\S*:(\d{2,5})\b"),
    re.compile(r"(?:0\.0\.0\.0|\[::\]|127\.0\.0\.1|localhost):(\d{2,5})\b"),
    re.compile(r"\s-p[=\s]*(\d{2,5})\b"),
)
_FRAMEWORK_PORTS = (
    (r"\buvicorn\b|\bfastapi\b|\bgunicorn\b|\bhypercorn\b|\bmanage\.py\s+runserver\b|\bdaphne\b", 8000),
    (r"\bflask\b.*\brun\b", 5000),
    (r"\brails\s+s|\bpuma\b|\bnext\s+(?:start|dev)\b|\bnest\s+start\b|\bnuxt\b", 3000),
    (r"\bphx\.server\b", 4000),
    (r"\bartisan\s+serve\b|\boctane:start\b", 8000),
    (r"\bstreamlit\s+run\b", 8501),
    (r"\.jar\b|\bspring-boot:run\b", 8080),
)
_SCRIPT = re.compile(
    r"\b(?:npm|pnpm|yarn|bun)\s+(?:run(?:-script)?\s+)?(?:-\S+\s+)*([\w:.-]+)|\bnode\s+--run\s+([\w:.-]+)"
)
_NOT_SCRIPTS = frozenset({"ci", "install", "exec", "dlx", "npx", "run"})


@dataclass(frozen=True)
class Line:
    """A command as one text, with the npm scripts that it calls behind it; it may hold values, so it is never shown."""

    text: str

    def __repr__(self) -> str:
        return "Line(...)"

    @property
    def worker(self) -> str | None:
        """What tells that it takes jobs from a queue."""
        told = _first(_WORKERS, self.text)
        if told is None and _WORKER_WORD.search(self.text) and not _SERVERS.search(self.text):
            return "its command"
        return told

    @property
    def single(self) -> str | None:
        """What tells that two of it would do everything twice."""
        return _first(_SINGLES, self.text) or ("the word in its command" if _SINGLE_WORD.search(self.text) else None)

    @property
    def migrates(self) -> bool:
        """Whether it brings a database up to date."""
        return _MIGRATIONS.search(self.text) is not None

    @property
    def development(self) -> str | None:
        """What tells that it is for development only."""
        return _first(_DEVELOPMENT, self.text)

    @property
    def serves_files(self) -> bool:
        """Whether it serves the files of a page and runs no code of its own for each request."""
        return _SITES.search(self.text) is not None

    @property
    def port(self) -> int | None:
        """The port that it is told to listen on."""
        for pattern in _PORTS:
            match = pattern.search(self.text)
            if match and 0 < int(match[1]) < 65536:
                return int(match[1])
        return None

    @property
    def usual_port(self) -> int | None:
        """The port on which its framework listens when nobody says."""
        return next((port for pattern, port in _FRAMEWORK_PORTS if re.search(pattern, self.text)), None)


def line_of(argv: Iterable[str], scripts: Mapping[str, str]) -> Line:
    """The Line of an argument list; scripts of package.json are followed three deep."""
    parts = [" ".join(argv)]
    for _ in range(3):
        called = [one for match in _SCRIPT.finditer(parts[-1]) for one in match.groups() if one]
        known = [scripts[name] for name in called if name in scripts and name not in _NOT_SCRIPTS]
        if not known:
            break
        parts.append(" ".join(known))
    return Line(" ".join(" ".join(parts).split()))


def named_single(name: str) -> bool:
    """Whether a service's name says that there must be one of it."""
    return _SINGLE_NAME.search(name.lower()) is not None


def named_worker(name: str) -> bool:
    """Whether a service's name says that it takes jobs."""
    return _WORKER_NAME.search(name.lower()) is not None


def _first(table: Iterable[tuple[str, str]], text: str) -> str | None:
    return next((said for pattern, said in table if re.search(pattern, text)), None) or None
