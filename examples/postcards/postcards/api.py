"""The page and its API: `python -m postcards.api`."""

import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Annotated, cast
from uuid import UUID, uuid4

import psycopg
import uvicorn
from fastapi import Depends, FastAPI, File, Form, HTTPException, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from obstore.exceptions import BaseError
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException as AnyHTTPException

from postcards import health, logs, settings
from postcards.database import Card
from postcards.edge import Edge, security_headers
from postcards.logs import say
from postcards.parts import Parts, open_parts
from postcards.photo import FORMATS, MAX_BYTES, NotAPhotoError, PhotoTooLargeError, open_photo
from postcards.settings import Settings
from postcards.views import CardView, follow, view

GALLERY = 24
STATIC = files("postcards") / "static"


def parts_of(request: Request) -> Parts:
    """Give the opened servers of the running app."""
    return cast("Parts", request.app.state.parts)


async def card_of(card_id: UUID, parts: Annotated[Parts, Depends(parts_of)]) -> Card:
    """Give the card that the path names, or answer 404."""
    card = await parts.cards.find(card_id)
    if card is None:
        raise HTTPException(404, "There is no such card.")
    return card


OpenParts = Annotated[Parts, Depends(parts_of)]
NamedCard = Annotated[Card, Depends(card_of)]


def create_app(config: Settings, closing: Callable[[], bool]) -> FastAPI:
    """Build the app; `closing` tells open streams that the server wants to stop."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_parts(config, connections=5) as parts:
            app.state.parts = parts
            yield

    app = FastAPI(title="Postcards", lifespan=lifespan, docs_url=None, redoc_url=None)
    _add_errors(app)
    _add_page(app, config)
    _add_cards(app, config, closing)
    # Four times the limit still gets a proper answer about the photo; beyond it nobody means well.
    app.add_middleware(Edge, headers=security_headers(config.public_origin), max_body=4 * MAX_BYTES)
    return app


def _add_page(app: FastAPI, config: Settings) -> None:
    page = (STATIC / "index.html").read_text("utf-8").replace("{{greeting_limit}}", str(config.greeting_limit))
    app.mount("/static", StaticFiles(directory=str(STATIC)))

    @app.get("/", include_in_schema=False)
    async def index() -> HTMLResponse:
        return HTMLResponse(page, headers={"Cache-Control": "no-cache"})

    @app.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/health")
    async def ready(parts: OpenParts, response: Response) -> dict[str, object]:
        checks = await health.check(parts)
        good = all(check.ok for check in checks.values())
        response.status_code = 200 if good else 503
        return {"status": "ok" if good else "unavailable", "checks": checks}


def _add_cards(app: FastAPI, config: Settings, closing: Callable[[], bool]) -> None:
    @app.post("/api/cards", status_code=202)
    async def create(
        request: Request,
        parts: OpenParts,
        photo: Annotated[UploadFile | None, File()] = None,
        greeting: Annotated[str, Form()] = "",
    ) -> dict[str, str]:
        text = " ".join(greeting.split())
        data, media_type = await _accept(photo, text, config.greeting_limit)
        card_id = uuid4()
        photo_key = f"photos/{card_id}"
        await parts.bucket.put_photo(photo_key, data, media_type)
        await parts.cards.insert(card_id, text, photo_key, request.state.request_id)
        await _enqueue(parts, card_id, request.state.request_id)
        return {"id": str(card_id), "state": "queued", "url": f"/api/cards/{card_id}"}

    @app.get("/api/cards")
    async def gallery(parts: OpenParts) -> dict[str, list[CardView]]:
        return {"cards": [view(card, parts) for card in await parts.cards.latest(GALLERY)]}

    @app.get("/api/cards/{card_id}")
    async def read(card: NamedCard, parts: OpenParts) -> CardView:
        return view(card, parts)

    @app.get("/api/cards/{card_id}/events")
    async def events(card: NamedCard, parts: OpenParts) -> StreamingResponse:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(follow(card, parts, closing), media_type="text/event-stream", headers=headers)

    @app.get("/api/cards/{card_id}/original")
    async def original(card: NamedCard, parts: OpenParts) -> RedirectResponse:
        address = await parts.bucket.signed_url(card.photo_key)
        return RedirectResponse(address, 303, headers={"Cache-Control": "no-store"})


async def _accept(photo: UploadFile | None, greeting: str, greeting_limit: int) -> tuple[bytes, str]:
    """Give bytes and media type of a good upload, or answer 400, 413, 415 or 422."""
    if photo is None or not photo.size:
        raise HTTPException(400, "Please choose a photo.")
    if photo.size > MAX_BYTES:
        raise HTTPException(413, f"The photo is larger than {MAX_BYTES // 1024**2} MB.")
    if not greeting:
        raise HTTPException(422, "Please write a greeting.")
    if len(greeting) > greeting_limit:
        raise HTTPException(422, f"The greeting has {len(greeting)} characters; at most {greeting_limit} fit.")
    try:
        with open_photo(photo.file) as image:
            media_type = FORMATS[str(image.format)]
    except NotAPhotoError as error:
        raise HTTPException(415, str(error)) from error
    except PhotoTooLargeError as error:
        raise HTTPException(413, str(error)) from error
    await photo.seek(0)
    return await photo.read(), media_type


async def _enqueue(parts: Parts, card_id: UUID, request_id: str) -> None:
    """Hand the card to the workers; the row is safe, so a queue that is away only delays it."""
    try:
        await parts.queue.put(card_id)
    except RedisError as error:
        kind = type(error).__name__
        say(
            "queue is away; a worker will find the card",
            level=logging.WARNING,
            card_id=card_id,
            request_id=request_id,
            reason=kind,
        )


def _add_errors(app: FastAPI) -> None:
    async def refused(_: Request, error: Exception) -> JSONResponse:
        known = cast("AnyHTTPException", error)
        return JSONResponse({"error": known.detail}, known.status_code, headers=known.headers)

    async def unreadable(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse({"error": "Send a form with a file named photo and a text named greeting."}, 422)

    async def away(request: Request, error: Exception) -> JSONResponse:
        say("a server is away", level=logging.ERROR, reason=type(error).__name__, request_id=request.state.request_id)
        return JSONResponse(
            {"error": "The postcards are out of reach for a moment. Please try again."},
            503,
            headers={"Retry-After": "5"},
        )

    app.add_exception_handler(AnyHTTPException, refused)
    app.add_exception_handler(RequestValidationError, unreadable)
    for kind in (psycopg.OperationalError, RedisError, BaseError):
        app.add_exception_handler(kind, away)


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    try:
        config = settings.read(os.environ)
    except settings.SettingsError as error:
        settings.refuse(error)
    logs.set_up("api")
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal once more after it has stopped; without this the exit status would be an error.
        signal.signal(number, lambda *_: None)
    app = create_app(config, closing=lambda: server.should_exit)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=config.host,
            port=config.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=15,
        )
    )
    server.run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
