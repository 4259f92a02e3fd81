"""Stores: the place for their data, what the app needs inside them, and the end of it all."""

from __future__ import annotations

import shutil
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from towline.core.errors import StepFailed
from towline.core.files import write_atomic
from towline.core.process import run
from towline.drivers.local import bucket, data, postgres, servers, usable
from towline.drivers.local.ground import Handler
from towline.drivers.local.starts import refuse_other_writer
from towline.drivers.local.supervisor import kept_environment
from towline.steps.model import digest_of

if TYPE_CHECKING:
    from pathlib import Path

    from towline.drivers.local.ground import Ground
    from towline.steps.kinds import InitStore, PrepareStore, PurgeData

_INITDB = 120.0
_SERVES = 20.0
"""Seconds for a server that was ready to answer in its own protocol."""
_LOOK = 0.1

_OUTLIVES_A_PURGE = ("journal.jsonl", "lock.json", ".lock.json.lock", "salt")


class Stores:
    """The steps that make and delete data."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._home = ground.home

    def handlers(self) -> dict[str, Handler[Any]]:
        """By kind of step."""
        return {
            "init-store": Handler(self._init, self._there),
            "prepare-store": Handler(self._prepare, self._prepared),
            "purge-data": Handler(self._purge),
        }

    def _there(self, step: InitStore) -> str | None:
        found = data.written(self._home.data, step.store)
        if found is None:
            return None
        server = data.Written(step.store_kind, self._ground.programs.major(step.store_kind))
        refuse_other_writer(step.store, found, server)
        return f"data of {found.kind} {found.major} is there"

    def _init(self, step: InitStore) -> str:
        place = data.folder(self._home.data, step.store)
        if place.exists() and any(place.iterdir()):
            raise StepFailed(f"{place} holds something that is no data of a store", hint=f"ls -la {place}")
        # A crash leaves this name only: whatever is in it was never used by a server.
        half = place.with_name(f".{step.store}.new")
        shutil.rmtree(half, ignore_errors=True)
        self._home.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        major = self._ground.programs.major(step.store_kind)
        if step.store_kind == "postgres":
            self._initdb(half, step)
        else:
            half.mkdir(mode=0o700)
            data.mark(half, step.store_kind, major)
        if place.exists():
            place.rmdir()
        half.rename(place)
        return f"made for {step.store_kind} {major}"

    def _initdb(self, place: Path, step: InitStore) -> None:
        programs = self._ground.programs
        password_file = self._home.config / f"{step.store}.password"
        write_atomic(password_file, self._ground.blobs.text(step.settings["admin_password"]) + "\n")
        argv = servers.initdb(programs.postgres("initdb"), programs.as_user(), data=place, password_file=password_file)
        env = {**kept_environment(self._ground.environ), "LC_ALL": "C.UTF-8"}
        try:
            ran = run(argv, within=_INITDB, cwd=self._home.path, env=env)
        finally:
            password_file.unlink()
        if ran.status != 0:
            shutil.rmtree(place, ignore_errors=True)
            raise StepFailed(
                f"the data of {step.store} could not be made: initdb ended with status {ran.status}",
                hint="df -h .",
                evidence=self._ground.blobs.clean(ran.last_lines),
            )

    def _prepared(self, step: PrepareStore) -> str | None:
        if self._ground.tasks.read().get(_marker(step.store)) != digest_of(step.settings):
            return None
        if step.store_kind == "postgres" and self._why_no_login(step) is not None:
            return None
        return "made before with these settings"

    def _why_no_login(self, step: PrepareStore) -> str | None:
        password, settings = self._ground.blobs.text(step.settings["password"]), step.settings
        return postgres.why_no_login(step.port, settings["user"], password, settings["database"])

    def _prepare(self, step: PrepareStore) -> str:
        self._wait_for(step)
        changed = {"postgres": self._prepare_postgres, "bucket": self._prepare_bucket}.get(
            step.store_kind, lambda _step: []
        )(step)
        self._ground.tasks.set(_marker(step.store), digest_of(step.settings))
        return f"made {', '.join(changed)}" if changed else "everything is there"

    def _wait_for(self, step: PrepareStore) -> None:
        deadline = time.monotonic() + _SERVES
        ask = partial(usable.why_not, step.store_kind, step.port, step.settings, self._ground.blobs)
        while (reason := ask()) is not None:
            if time.monotonic() > deadline:
                sentence = self._ground.blobs.clean([f"{step.store} does not serve: {reason}"])[0]
                raise StepFailed(sentence, hint=f"towline logs {step.store}")
            time.sleep(_LOOK)

    def _prepare_postgres(self, step: PrepareStore) -> list[str]:
        import psycopg

        text, settings = self._ground.blobs.text, step.settings
        user, database, password = settings["user"], settings["database"], text(settings["password"])
        try:
            changed = postgres.prepare(
                step.port, text(settings["admin_password"]), user=user, password=password, database=database
            )
        except psycopg.Error as error:
            raise self._failed(step, error) from error
        reason = self._why_no_login(step)
        if reason is not None:
            raise StepFailed(f"{user} cannot log in to {database} of {step.store}", evidence=(reason,))
        return changed

    def _prepare_bucket(self, step: PrepareStore) -> list[str]:
        from botocore.exceptions import BotoCoreError, ClientError

        settings = step.settings
        try:
            client = bucket.administrator(step.port, settings, self._ground.blobs)
            return bucket.prepare(
                client,
                settings["bucket"],
                public=settings.get("public"),
                external_url=settings.get("external_url", ""),
            )
        except (BotoCoreError, ClientError) as error:
            raise self._failed(step, error) from error

    def _failed(self, step: PrepareStore, error: Exception) -> StepFailed:
        evidence = self._ground.blobs.clean(str(error).splitlines())
        return StepFailed(
            f"{step.store} refused what the app needs in it", hint=f"towline logs {step.store}", evidence=evidence
        )

    def _purge(self, step: PurgeData) -> str:
        running = [one for one in self._ground.supervisor.processes() if one.runs]
        if step.store is None:
            if running:
                raise StepFailed(f"{running[0].name} still runs, so nothing is deleted", hint="towline down")
            return self._purge_all()
        using = [one.name for one in running if one.labels.get("service") == step.store]
        if using:
            raise StepFailed(f"{using[0]} still runs, so its data is not deleted", hint="towline down")
        return self._purge_store(step.store)

    def _purge_store(self, store: str) -> str:
        # What may be started on half of the data would be worse than none of it: first it loses its name.
        place = data.folder(self._home.data, store)
        gone = place.with_name(f".{store}.gone")
        shutil.rmtree(gone, ignore_errors=True)
        if place.exists():
            place.rename(gone)
        _delete(gone)
        self._ground.ports.forget(store)
        # A migration or a seed may have written to it: every task is due again.
        self._ground.tasks.change(lambda _entries: {})
        return f"the data of {store} is deleted"

    def _purge_all(self) -> str:
        self._ground.supervisor.shutdown()
        for path in self._home.path.iterdir():
            if path.name in _OUTLIVES_A_PURGE:
                continue
            if path.is_dir() and not path.is_symlink():
                _delete(path)
            else:
                path.unlink(missing_ok=True)
        return "everything is deleted but the journal"


def _marker(store: str) -> str:
    return f"prepare:{store}"


def _delete(place: Path) -> None:
    if not place.exists():
        return
    try:
        shutil.rmtree(place)
    except OSError as error:
        raise StepFailed(f"{place} cannot be deleted: {error.strerror}", hint=f"ls -la {place}") from error
