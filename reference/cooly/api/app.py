"""The page and its API as one ASGI app."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.middleware.cors import CORSMiddleware

from cooly.api import generations, login, streams
from cooly.api.answers import add_errors
from cooly.api.edge import Edge
from towline_runtime.request_log import RequestLog

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from cooly.parts import Parts

STATIC = files("cooly") / "static"


def create_app(parts: Parts) -> ASGIApp:
    """The app over opened servers."""
    app = FastAPI(title="Cooly", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    app.state.parts = parts
    add_errors(app)
    for router in (login.router, generations.router, streams.router):
        app.include_router(router)
    _add_health(app, parts)
    _add_page(app)
    inner: ASGIApp = app
    if parts.settings.frontend_origins:
        inner = CORSMiddleware(
            inner,
            allow_origins=parts.settings.frontend_origins,
            allow_credentials=True,
            allow_methods=["GET", "POST"],
            allow_headers=["Content-Type", "X-CSRF-Token", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After"],
        )
    return RequestLog(Edge(inner, parts.settings.picture_origin))


def _add_health(app: FastAPI, parts: Parts) -> None:
    @app.get("/api/health", include_in_schema=False)
    async def ready() -> JSONResponse:
        found = await parts.health.ready()
        return JSONResponse(found.as_json(), found.status_code, headers={"Cache-Control": "no-store"})

    @app.get("/livez", include_in_schema=False)
    async def live() -> dict[str, str]:
        return parts.health.live()


def _add_page(app: FastAPI) -> None:
    app.mount("/static", StaticFiles(directory=str(STATIC)))

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        del request
        return FileResponse(str(STATIC / "index.html"), headers={"Cache-Control": "no-cache"})
