"""The shape of every JSON answer: {"success": true, "data": ...} or {"success": false, "error": {...}}."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from redis.exceptions import RedisError
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from cooly.ledger import NotEnoughCredits
from towline_runtime.database import AWAY
from towline_runtime.errors import RuntimeFault

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

log = logging.getLogger(__name__)
T = TypeVar("T")


class Good(BaseModel, Generic[T]):
    """What went well."""

    success: bool = True
    data: T


class Refusal(HTTPException):
    """An answer other than 2xx: a code for programs, a sentence for people."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, message, headers)
        self.code = code


def bad(status: int, code: str, message: str, headers: Any = None, **more: Any) -> JSONResponse:
    """What did not go well."""
    error = {"code": code, "message": message, **more}
    return JSONResponse({"success": False, "error": error}, status, headers=headers)


def add_errors(app: FastAPI) -> None:
    """Answer every error in the one shape; what is not expected says nothing about itself."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(NotEnoughCredits, _too_poor)
    for kind in (*AWAY, DBAPIError, PoolTimeout, RedisError, RuntimeFault):
        app.add_exception_handler(kind, _away)
    app.add_exception_handler(Exception, _broken)


async def _refused(_: Request, error: Exception) -> JSONResponse:
    known = cast("HTTPException", error)
    code = known.code if isinstance(known, Refusal) else HTTPStatus(known.status_code).phrase.lower().replace(" ", "_")
    return bad(known.status_code, code, known.detail, known.headers)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    found = cast("RequestValidationError", error).errors()
    fields = [{"field": ".".join(map(str, one["loc"][1:])), "message": _sentence(one)} for one in found]
    return bad(422, "invalid", fields[0]["message"] if fields else "That cannot be read.", fields=fields)


async def _too_poor(_: Request, error: Exception) -> JSONResponse:
    known = cast("NotEnoughCredits", error)
    return bad(402, "not_enough_credits", "You have no credits left.", balance=known.balance, cost=known.cost)


async def _away(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, IntegrityError | ProgrammingError | DataError):
        return await _broken(request, error)
    log.error("a server is away", extra={"error": type(error).__name__}, exc_info=error)
    return bad(503, "away", "Out of reach for a moment. Please try again.", {"Retry-After": "5"})


async def _broken(_: Request, error: Exception) -> JSONResponse:
    log.error("unexpected", exc_info=error)
    return bad(500, "broken", "Something went wrong on our side.")


def _sentence(one: Any) -> str:
    message = str(one["msg"]).removeprefix("Value error, ")
    return message if message.endswith((".", "?")) else f"{message}."
