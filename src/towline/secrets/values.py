"""The passwords and keys of one target, in one file that only the owner may read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from towline.core.errors import SiteUnreachable, Where
from towline.core.files import write_atomic
from towline.core.secret import Secret, generate

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def read_values(path: Path) -> dict[str, Secret]:
    """The values in the file; none when there is no file. Raises SiteUnreachable when it is damaged."""
    if not path.exists():
        return {}
    try:
        plain = json.loads(path.read_text())
        return {name: Secret(_text(value)) for name, value in plain.items()}
    except (ValueError, AttributeError) as error:
        raise SiteUnreachable(
            "the file with the passwords of the stores is damaged, and without them the data cannot be opened",
            where=Where(str(path)),
            hint="put the file back from a copy, or start anew with `towline down --purge APP`",
        ) from error


def with_missing(values: dict[str, Secret], wanted: Iterable[str]) -> dict[str, Secret]:
    """`values` and, for every wanted name that has none, a new one."""
    return values | {name: generate() for name in wanted if name not in values}


def write_values(path: Path, values: dict[str, Secret]) -> None:
    """Write the file, readable by nobody else, whole or not at all."""
    plain = {name: values[name].reveal() for name in sorted(values)}
    write_atomic(path, json.dumps(plain, indent=2) + "\n", mode=0o600)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a value that is no text")
    return value
