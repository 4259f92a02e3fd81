"""A description of a vendor's API as far as it is used, and what a request has wrong by it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator

_ENDS = (".subset.openapi.json", "-api.model.json")
_FOLDER = Path(__file__).resolve().parent.parent / "schemas"


class Description:
    """The operations of one vendor that the tests need: a part of its own description, or a model of ours."""

    def __init__(self, name: str) -> None:
        (path,) = (one for one in (_FOLDER / f"{name}{end}" for end in _ENDS) if one.exists())
        self._raw = json.loads(path.read_text())

    def mistakes(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> list[str]:
        """What the description does not know: the operation, a parameter, a field, a value."""
        paths = self._raw["paths"]
        found = [one for one in paths if re.fullmatch(re.sub(r"\\?\{\w+\\?\}", "[^/]+", re.escape(one)), path)]
        if not found or method not in paths[found[0]]:
            return [f"{method} {path} is no operation"]
        operation = paths[found[0]][method]
        known = {self._resolved(one)["name"] for one in operation.get("parameters", [])}
        wrong = [f"{method} {path} has no parameter {name}" for name in query if name not in known]
        schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        if schema is None:
            return wrong + ([f"{method} {path} takes no body"] if body is not None else [])
        if body is None:
            return [*wrong, f"{method} {path} wants a body"]
        strict = {**self._whole(schema), "additionalProperties": False}
        return wrong + [f"{method} {path}: {error.message}" for error in Draft4Validator(strict).iter_errors(body)]

    def schema(self, name: str) -> Any:
        """One of its schemas, whole."""
        return self._whole(self._raw["components"]["schemas"][name])

    def _resolved(self, one: Any) -> Any:
        while isinstance(one, dict) and "$ref" in one:
            _, _, kind, name = one["$ref"].split("/")
            one = self._raw["components"][kind][name]
        return one

    def _whole(self, schema: Any) -> Any:
        """A schema with what it refers to in its place."""
        schema = self._resolved(schema)
        if isinstance(schema, dict):
            return {key: self._whole(value) for key, value in schema.items()}
        return [self._whole(value) for value in schema] if isinstance(schema, list) else schema
