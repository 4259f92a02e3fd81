"""Walk the job path from outside: send a request, follow the job until it is done, load what it made."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import httpx

from towline.core.errors import CheckFailed
from towline.ops.report import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from towline.core.secret import Secret
    from towline.ops.through_door import Browser
    from towline.spec.model import JobCheck

PAUSE, MOST_PAUSE = 0.05, 0.5
"""Seconds between two looks at a job: short at first, since `verify` should see a job done as soon as a person would,
then a tenth of the time that has passed, so that a long job is no load on the app."""

PLACEHOLDER = re.compile(r"\{([^{}]+)\}")

Answer = dict[str, object]

ABSENT = object()
"""What a field is that an answer does not have: it may have one that is null."""


def walk(
    job: JobCheck,
    base: str,
    browser: Browser,
    *,
    token: Secret | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> dict[str, str]:
    """What was seen on the way: `accepted`, `done` and, where the job makes an object, `object`.

    `base` is the public address of the service, the only one that is shown the `token`. Raises CheckFailed, saying
    where the path ends.
    """
    if token is not None:
        browser.present(token, base)
    accepted = _send(job, base, browser)
    seen = {"accepted": f"{job.method} {job.path} answered {job.accepted}"}
    began = time.monotonic()
    answer = _follow(job, _joined(base, _filled(job.follow, accepted)), browser, pause)
    seen["done"] = f"done {time.monotonic() - began:.1f} s later"
    if job.object is not None:
        seen["object"] = _load(job, base, answer, browser)
    return seen


def walked(job: JobCheck, base: str, browser: Browser, token: Callable[[], Secret | None]) -> Iterator[Check]:
    """The same as checks; `token` may raise CheckFailed too."""
    try:
        seen = walk(job, base, browser, token=token())
    except CheckFailed as error:
        yield Check("a job is done from end to end", ok=False, saw=error.sentence, hint=error.hint or "towline logs")
        return
    yield Check("a job is accepted", ok=True, saw=seen["accepted"])
    yield Check("the job is done", ok=True, saw=seen["done"])
    if "object" in seen:
        yield Check("what it made loads at its public address", ok=True, saw=seen["object"])


def _send(job: JobCheck, base: str, browser: Browser) -> Answer:
    url = urljoin(base, job.path)
    try:
        if job.file is None:
            response = browser.ask(job.method, url, json=job.fields)
        else:
            field, path = job.file
            upload = {field: (path.name, path.read_bytes())}
            response = browser.ask(job.method, url, data=job.fields, files=upload)
    except (httpx.HTTPError, OSError) as error:
        raise CheckFailed(f"{job.method} {url} got no answer: {type(error).__name__}") from error
    if response.status_code != job.accepted:
        raise CheckFailed(f"{job.method} {url} answered {response.status_code}, not {job.accepted}")
    return _object(response, url)


def _follow(job: JobCheck, url: str, browser: Browser, pause: Callable[[float], None]) -> Answer:
    began = time.monotonic()
    deadline = began + job.within
    last = "nothing yet"
    while time.monotonic() < deadline:
        try:
            response = browser.ask("GET", url)
        except httpx.HTTPError as error:
            last = type(error).__name__
        else:
            answer = _object(response, url) if response.status_code == httpx.codes.OK else {}
            last = f"status {response.status_code}" if not answer else _short(answer, job)
            if answer and _matches(answer, job.until):
                return answer
            if answer and job.failed and _matches(answer, job.failed):
                raise CheckFailed(f"the job failed: {last}", hint="towline logs")
        pause(min(MOST_PAUSE, max(PAUSE, (time.monotonic() - began) / 10)))
    raise CheckFailed(f"the job was not done within {job.within:g} s; last seen at {url}: {last}", hint="towline logs")


def _load(job: JobCheck, base: str, answer: Answer, browser: Browser) -> str:
    found = _field(answer, job.object or "")
    if not isinstance(found, str) or not found:
        raise CheckFailed(f"the finished job has no address in `{job.object}`")
    url = _joined(base, found)
    shown = url.partition("?")[0]  # a signed link opens the object for whoever reads it
    try:
        response = browser.ask("GET", url)
    except httpx.HTTPError as error:
        raise CheckFailed(f"the object at {shown} got no answer: {type(error).__name__}") from error
    kind = response.headers.get("content-type", "none").split(";")[0]
    if response.status_code != httpx.codes.OK:
        raise CheckFailed(f"the object at {shown} answered {response.status_code}")
    if job.content_type is not None and kind != job.content_type:
        raise CheckFailed(f"the object at {shown} has the content type {kind}, not {job.content_type}")
    return f"{kind}, {len(response.content)} bytes at {shown}"


def _filled(template: str, answer: Answer) -> str:
    """The template with its {name} placeholders filled in one pass: braces in a value are the value's own."""
    if any(_field(answer, name) is ABSENT for name in PLACEHOLDER.findall(template)):
        raise CheckFailed(f"the answer has no field for `{template}`; it has {', '.join(sorted(answer)) or 'none'}")
    return PLACEHOLDER.sub(lambda found: _text(_field(answer, found[1])), template)


def _field(answer: Answer, name: str) -> object:
    """The field of that name, else the one inside fields that the dots of the name lead to; ABSENT without one."""
    if name in answer:
        return answer[name]
    found: object = answer
    for part in name.split("."):
        found = found.get(part, ABSENT) if isinstance(found, dict) else ABSENT
    return found


def _matches(answer: Answer, wanted: dict[str, str]) -> bool:
    return all(
        (found := _field(answer, name)) is not ABSENT and _text(found) == value for name, value in wanted.items()
    )


def _text(value: object) -> str:
    """A JSON value as the page writes it: `true` and not `True`."""
    return value if isinstance(value, str) else json.dumps(value)


def _joined(base: str, found: str) -> str:
    try:
        return urljoin(base, found)
    except ValueError as error:
        raise CheckFailed(f"`{found}` is no address") from error


def _short(answer: Answer, job: JobCheck) -> str:
    shown = {name: _field(answer, name) for name in (*job.until, *job.failed, "error")}
    return json.dumps({name: value for name, value in shown.items() if value is not ABSENT})


def _object(response: httpx.Response, url: str) -> Answer:
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise CheckFailed(f"{url} did not answer with a JSON object")
    return answer
