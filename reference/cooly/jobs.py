"""The two kinds of jobs: `generate` makes a picture, `capture` settles what it cost."""

# No deferred annotations here: the runtime reads them from functions that are defined inside a function.
import base64
import io
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from uuid import UUID, uuid4

import anyio.to_thread

from cooly import settlement
from cooly.generator.port import Generator, Order, Picture, Refused, Tell, Unavailable
from towline_runtime.database import Database
from towline_runtime.jobs import Jobs, Kind
from towline_runtime.retry import Backoff
from towline_runtime.running import Running
from towline_runtime.storage import Storage

log = logging.getLogger(__name__)

GEN, CAPTURE = "gen", "capture"
QUEUES = (GEN, CAPTURE)
SMALL = 512  # pixels of the gallery's copy
LOST = "Something went wrong on our side."
ENDINGS = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}


@dataclass(frozen=True)
class Tools:
    """What the jobs work with; `nudge` wakes a queue after a commit."""

    database: Database
    storage: Storage
    generator: Generator
    nudge: Callable[[str], None]


@dataclass(frozen=True)
class Kinds:
    """The app's kinds, and the registry that workers serve."""

    jobs: Jobs
    generate: Kind[[UUID], None]
    capture: Kind[[UUID], None]


@dataclass(frozen=True)
class Made:
    """A finished picture in the bucket."""

    object_key: str
    small_key: str
    width: int
    height: int


def declare(tools: Tools, longest: float) -> Kinds:
    """The kinds over these tools; `longest` is how many seconds one attempt at a picture may take."""
    jobs = Jobs()

    @jobs.kind("capture", queue=CAPTURE, attempts=20, backoff=Backoff(first=0.5, most=60), max_job=15)
    async def capture(job: Running, generation: UUID) -> None:
        async with job.finish() as transaction:
            await settlement.settle(transaction, generation)

    @jobs.kind("generate", queue=GEN, attempts=4, backoff=Backoff(first=1, most=60), limit=longest, max_job=longest)
    async def generate(job: Running, generation: UUID) -> None:
        await _generate(tools, capture, job, generation)

    return Kinds(jobs, generate, capture)


async def _generate(tools: Tools, capture: Kind[[UUID], None], job: Running, generation: UUID) -> None:
    async with tools.database.transaction() as transaction:
        order = await transaction.fetchrow(settlement.BEGIN, generation)
    if order is None:
        return  # it has ended already: another attempt's transaction was committed, or its account is gone
    log.info("Processing job gen.%s", tools.generator.name, extra={"job": job.id, "attempt": job.attempt})
    then = capture.with_(key=str(generation)).enqueue(generation).asyncpg()
    try:
        made = await _make(tools, job, f"generations/{order['account_id']}/{generation}", order["prompt"])
    except (Refused, Unavailable) as error:
        if isinstance(error, Unavailable) and job.attempt < job.attempts:
            raise
        log.warning("no picture", extra={"job": job.id, "reason": type(error).__name__})
        async with job.finish({"state": "failed"}) as transaction:
            await settlement.fail(transaction, generation, _sentence(error), then)
    else:
        values = (generation, made.object_key, made.small_key, made.width, made.height)
        async with job.finish({"state": "done"}) as transaction:
            await transaction.execute(settlement.MADE, *values)
            await transaction.execute(*then)
        log.info("picture done", extra={"job": job.id, "attempt": job.attempt})
    tools.nudge(CAPTURE)


async def _make(tools: Tools, job: Running, folder: str, prompt: str) -> Made:
    """Make and store the picture, or go on from where an earlier attempt was ended.

    The request's id is kept before the generator is asked, so that a picture that is paid for is not paid for again.
    """
    known = job.remembered or {}
    if "made" in known:
        return Made(**known["made"])
    if "request_id" not in known:
        known = {"request_id": uuid4().hex}
        await job.remember(known)
    picture = await tools.generator.make(Order(prompt, known["request_id"], job.attempt), _teller(job))
    job.progress(0.97, "Hanging it up")
    made = await store(tools, folder, picture)
    await job.remember(known | {"made": asdict(made)})
    return made


async def store(tools: Tools, folder: str, picture: Picture) -> Made:
    """Keep a picture and the gallery's smaller copy of it."""
    small = await anyio.to_thread.run_sync(_small, picture)
    made = Made(f"{folder}.{ENDINGS[picture.content_type]}", f"{folder}.small.jpg", picture.width, picture.height)
    await tools.storage.put(made.object_key, picture.data, picture.content_type)
    await tools.storage.put(made.small_key, small, "image/jpeg")
    return made


async def settle_lost(tools: Tools, kinds: Kinds, most: int = 100) -> int:
    """End the pictures whose job ended without them, since its worker died at every attempt; gives how many."""
    async with tools.database.transaction() as transaction:
        rows = await transaction.fetch(settlement.LOST, most)
        for row in rows:
            then = kinds.capture.with_(key=str(row["id"])).enqueue(row["id"]).asyncpg()
            await settlement.fail(transaction, row["id"], LOST, then)
    for row in rows:
        log.error("a picture was lost", extra={"generation": str(row["id"]), "job_state": row["job_state"]})
        tools.nudge(CAPTURE)
    return len(rows)


def _teller(job: Running) -> Tell:
    def tell(done: float, note: str, preview: bytes | None) -> None:
        # Small enough to travel with the progress: about 700 characters.
        more = {} if preview is None else {"preview": base64.b64encode(preview).decode()}
        job.progress(done, note, **more)

    return tell


def _sentence(error: Refused | Unavailable) -> str:
    return error.sentence if isinstance(error, Refused) else f"{error} We tried several times."


def _small(picture: Picture) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(picture.data)) as image:
        copy = image.convert("RGB")
    copy.thumbnail((SMALL, SMALL), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    copy.save(out, "JPEG", quality=84, optimize=True, progressive=True)
    return out.getvalue()
