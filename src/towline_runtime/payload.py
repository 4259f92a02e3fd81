"""Arguments of a kind's function as JSON text and back, validated on both ways."""

from __future__ import annotations

import inspect
import json
import re
import typing
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic_core import PydanticSerializationError

from towline_runtime.errors import KindInvalid, PayloadInvalid

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

    from pydantic import BaseModel

_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any, config=ConfigDict(ser_json_bytes="base64"))
# Names of parameters are free (`schema`, `copy`, `_x`): in the model they are only the aliases of fields.
_CONFIG = ConfigDict(
    extra="forbid", ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="strings", validate_by_name=False
)
# Postgres keeps every character in JSON but this one. An even number of backslashes before it is only text.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class Payload:
    """What a kind's function takes after the running job; raises KindInvalid when that cannot be written as JSON."""

    def __init__(self, kind: str, function: Callable[..., Any]) -> None:
        self._kind = kind
        self._signature = _signature(kind, function)
        self._fields = {name: f"field_{number}" for number, name in enumerate(self._signature.parameters)}
        self._model = self._make_model()

    def pack(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """JSON text; raises PayloadInvalid."""
        try:
            bound = self._signature.bind(*args, **kwargs)
            text = self._model.model_validate(bound.arguments).model_dump_json(by_alias=True)
        except ValidationError as error:
            raise self._misfit(_findings(error)) from None
        except (TypeError, PydanticSerializationError) as error:
            raise self._misfit(str(error)) from None
        if _NUL.search(text):
            raise self._misfit("they have a NUL character, which Postgres does not keep")
        return text

    def unpack(self, text: str) -> dict[str, Any]:
        """Arguments by name; raises PayloadInvalid."""
        try:
            packed = self._model.model_validate_json(text)
        except ValidationError as error:
            raise PayloadInvalid(f"The payload does not fit `{self._kind}`: {_findings(error)}") from None
        return {name: getattr(packed, field) for name, field in self._fields.items()}

    def _make_model(self) -> type[BaseModel]:
        fields: dict[str, Any] = {
            self._fields[one.name]: (
                Any if one.annotation is inspect.Parameter.empty else one.annotation,
                Field(... if one.default is inspect.Parameter.empty else one.default, alias=one.name),
            )
            for one in self._signature.parameters.values()
        }
        try:
            return create_model(self._kind, __config__=_CONFIG, **fields)
        except (PydanticUserError, PydanticUndefinedAnnotation) as error:
            raise KindInvalid(
                f"A parameter of `{self._kind}` has a type that cannot be a payload: {str(error).splitlines()[0]}",
                "use plain types, dataclasses, enums, datetimes or pydantic models",
            ) from error

    def _misfit(self, why: str) -> PayloadInvalid:
        return PayloadInvalid(f"These arguments do not fit `{self._kind}`: {why}", f"it takes {self._signature}")


def result_text(kind: str, value: Any) -> str | None:
    """What a function returned, as JSON text; raises PayloadInvalid."""
    try:
        text = None if value is None else _ANYTHING.dump_json(value).decode()
    except PydanticSerializationError as error:
        raise PayloadInvalid(f"The result of `{kind}` cannot be written as JSON: {error}") from error
    if text is not None and _NUL.search(text):
        raise PayloadInvalid(f"The result of `{kind}` has a NUL character, which Postgres does not keep")
    return text


def foreign_text(value: Any) -> str:
    """JSON text of what another program said, without what Postgres cannot keep."""
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode()
    return _NUL.sub(lambda found: found[0].removesuffix("\\u0000"), text)


def _signature(kind: str, function: Callable[..., Any]) -> inspect.Signature:
    """Parameters after the first, with their types: the first one's may be known to a type checker only."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    given = {one.name: one.annotation for one in parameters if one.annotation is not inspect.Parameter.empty}
    try:
        types = typing.get_type_hints(_bearer(given), globalns=_globals(function), include_extras=True)
    except NameError as error:
        raise KindInvalid(
            f"A parameter of `{kind}` has a type that is not there: {error}",
            "import or define it above the function, and not under `if TYPE_CHECKING:`",
        ) from error
    return inspect.Signature([one.replace(annotation=types.get(one.name, one.annotation)) for one in parameters])


def _bearer(annotations: dict[str, Any]) -> SimpleNamespace:
    from types import SimpleNamespace

    return SimpleNamespace(__annotations__=annotations)


def _globals(function: Callable[..., Any]) -> dict[str, Any]:
    inner: Any = inspect.unwrap(function)
    while hasattr(inner, "func"):
        inner = inspect.unwrap(inner.func)
    return getattr(inner if hasattr(inner, "__globals__") else type(inner).__call__, "__globals__", {})


def _findings(error: ValidationError) -> str:
    # Without what was given: it may be private, and this sentence goes into logs and into the job's row.
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(": ".join(filter(None, (".".join(map(str, one["loc"])), one["msg"]))) for one in found)
