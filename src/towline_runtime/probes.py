"""Health and figures of a worker process, on the ports that the settings name."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from towline_runtime import health_checks
from towline_runtime.errors import RuntimeFault
from towline_runtime.health import Health
from towline_runtime.health_server import by_path, serve_health

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from towline_runtime.asgi import App
    from towline_runtime.database import Database
    from towline_runtime.health import Check
    from towline_runtime.metrics import Figures
    from towline_runtime.settings import Settings


@asynccontextmanager
async def probed(settings: Settings, database: Database) -> AsyncIterator[Figures | None]:
    """Answer `/livez`, `/readyz` and `/metrics` on HEALTH_PORT, and `/metrics` on METRICS_PORT, while the block runs.

    Gives the figures to hand to the worker; None, and nothing is served, when neither port is set.
    """
    if settings.health_port is None and settings.metrics_port is None:
        yield None
        return
    async with AsyncExitStack() as stack:
        figures, scrape = _figures(database, stack)
        if settings.health_port is not None:
            health = Health(settings.app_version, _checks(settings))
            stack.push_async_callback(health.close)
            apps = {"/metrics": scrape, "*": health.asgi()}
            await _listen(stack, by_path(apps), settings.health_port)
        if settings.metrics_port not in {None, settings.health_port}:
            assert settings.metrics_port is not None  # noqa: S101  # the set says so
            await _listen(stack, by_path({"/metrics": scrape}), settings.metrics_port)
        yield figures


async def _listen(stack: AsyncExitStack, app: App, port: int) -> None:
    try:
        await stack.enter_async_context(serve_health(app, port))
    except OSError as error:
        hint = "name another HEALTH_PORT or METRICS_PORT, or end what listens there"
        raise RuntimeFault(f"Port {port} cannot be used: {error.strerror}", hint) from error


def _figures(database: Database, stack: AsyncExitStack) -> tuple[Figures, App]:
    from towline_runtime.metrics import DatabaseFigures, Figures, metrics_asgi

    figures = Figures()
    asked = DatabaseFigures(database, figures.registry)
    stack.push_async_callback(asked.close)
    return figures, metrics_asgi(figures.registry, asked)


def _checks(settings: Settings) -> list[Check]:
    # A worker whose doorbell is away is as ready as one can be: it comes back by itself.
    checks = [health_checks.database(settings)]
    if settings.doorbell_url.startswith(("redis", "valkey")):
        checks.append(health_checks.redis(settings.doorbell_url, name="doorbell").soft())
    return checks
