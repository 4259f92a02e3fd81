"""What Compose says on its error stream, as findings that never hold a value."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from towline.core.errors import Finding, Where
from towline.core.secret import MASK, Secret, redact
from towline.spec.source import where_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from towline.spec.source import Source

_WARNING = re.compile(r"level=warning|^WARN\[\d+\]")
_UNSET = re.compile(r'The \\?"(?P<name>[^"\\]+)\\?" variable is not set')
_ASSIGNED = re.compile(r"^\s*(?:export\s+)?[\w.-]+\s*[=:]\s*(.+?)\s*$")
_OPENED = re.compile(r"""^\s*(?:export\s+)?[\w.-]+\s*[=:]\s*(['"])(?:(?!\1).)*$""")
_QUOTED = re.compile(r"(`[^`]*`|'[^']*'|\"[^\"]*\")")
_WARNINGS_WITHOUT_MEANING = ("attribute `version` is obsolete", "attribute \\`version\\` is obsolete")


@dataclass(frozen=True)
class Known:
    """What must not be repeated (`values`), what may be (`keys`), and the environment files that were read."""

    values: tuple[Secret, ...] = ()
    keys: frozenset[str] = frozenset()
    files: tuple[Path, ...] = ()
    texts: dict[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_files(cls, root: Path, sources: tuple[Source, ...]) -> Known:
        """All values that Compose could read: those of the files themselves, of `.env` and of every `env_file`."""
        keys: set[str] = set()
        values: set[str] = set()
        for source in sources:
            keys |= {str(part) for path in source.lines for part in path}
            values |= set(_private(source.value, inside=False))
        files = [root / ".env", *(root / name for source in sources for name in _environment_files(source.value))]
        there = {path: text for path in dict.fromkeys(files) for text in [_text_of(path)] if text is not None}
        texts = {_place(path, root): text for path, text in there.items()}
        for text in texts.values():
            values |= set(_assigned(text))
        return cls(tuple(Secret(value) for value in values), frozenset(keys), tuple(there), texts)

    def clean(self, text: str) -> str:
        """`text` without known values, and without quotations of anything that is not a key of the files."""

        def kept(match: re.Match[str]) -> str:
            return match[0] if match[0][1:-1] in self.keys else MASK

        return redact(_QUOTED.sub(kept, text), self.values)


def _text_of(path: Path) -> str | None:
    """The content of a file, None when it cannot be read: Compose says why, this is only for what it may repeat."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _place(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _private(value: Any, *, inside: bool) -> Iterator[str]:
    """Every text below `environment`, `args`, `content` and `x-` keys: where values are."""
    if isinstance(value, dict):
        for key, inner in value.items():
            hides = key in {"environment", "args", "content", "labels"} or str(key).startswith("x-")
            yield from _private(inner, inside=inside or hides)
    elif isinstance(value, list):
        for inner in value:
            yield from _private(inner, inside=inside)
    elif inside and value is not None:
        yield str(value)
        yield str(value).partition("=")[2]


def _environment_files(value: Any) -> Iterator[str]:
    """Every path below an `env_file`, in whichever of its forms."""
    if isinstance(value, dict):
        for key, inner in value.items():
            written = inner if isinstance(inner, list) else [inner]
            if key == "env_file":
                paths = [entry.get("path") if isinstance(entry, dict) else entry for entry in written]
                yield from (path for path in paths if isinstance(path, str) and "\0" not in path)
            else:
                yield from _environment_files(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _environment_files(inner)


def _assigned(text: str) -> Iterator[str]:
    for line in text.splitlines():
        match = _ASSIGNED.match(line)
        if match and not line.lstrip().startswith("#"):
            yield match[1].strip("'\"")
            yield match[1]


def complaints(stderr: str, sources: tuple[Source, ...], known: Known) -> tuple[Finding, ...]:
    """The findings in what Compose printed: its warnings, and at most one error, at which it stops."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    warnings = [line for line in lines if _WARNING.search(line)]
    found = dict.fromkeys(_warning(line, sources, known) for line in warnings)
    findings = [finding for finding in found if finding is not None]
    reason = [line for line in lines if not _WARNING.search(line)]
    if reason:
        findings.append(_error(reason, sources, known))
    return tuple(findings)


def _warning(line: str, sources: tuple[Source, ...], known: Known) -> Finding | None:
    unset = _UNSET.search(line)
    if unset:
        return _missing_variable(unset["name"], sources, known)
    if any(words in line for words in _WARNINGS_WITHOUT_MEANING):
        return None
    message = re.sub(r'^.*msg="|"$|^WARN\[\d+\]\s*', "", line).replace('\\"', '"')
    return Finding("compose-warning", f"Compose warns: {known.clean(message)}", sources[0].where(), None, "warning")


def _missing_variable(name: str, sources: tuple[Source, ...], known: Known) -> Finding:
    """`${NAME}` is somebody's variable; a bare `$name` inside a value may be a piece of a password, so not named."""
    for source in sources:
        line = source.line_with(_reference_to(name))
        if line is not None:
            sentence = f"`{name}` is not set: Compose puts nothing in its place"
            hint = f"write `{name}=...` in .env, or export it; a dollar sign that is meant as such is written `$$`"
            return Finding("missing-variable", sentence, Where(source.place, line), hint, "warning")
    where = next((place for place, text in known.texts.items() if f"${name}" in text or f"${{{name}" in text), None)
    sentence = "A value holds a dollar sign that Compose reads as a variable, which is not set: the value is cut"
    hint = "put the value in single quotes in an environment file, or write `$$` in a Compose file"
    return Finding("missing-variable", sentence, Where(where or sources[0].place), hint, "warning")


def _reference_to(name: str) -> str:
    """A pattern for `${NAME` and, where it looks like a variable and not like a piece of a value, for `$NAME`."""
    braced = rf"(?<!\$)\$\{{{re.escape(name)}\b"
    return rf"{braced}|(?<![\w$])\${re.escape(name)}\b" if name.isupper() else braced


def _error(reason: list[str], sources: tuple[Source, ...], known: Known) -> Finding:
    text = " ".join(reason)
    for pattern, explain in _ERRORS:
        match = pattern.search(text)
        if match:
            return explain(match, sources, known)
    sentence = f"Compose refuses the file: {known.clean(text.removesuffix(': invalid compose project'))}"
    return Finding("compose-refused", sentence, sources[0].where(), "docker compose config --quiet")


def _at(sources: tuple[Source, ...], dotted: str) -> Where:
    """The place of `services.api.ports`; names with dots in them are found as far as they go."""
    return where_in(sources, tuple(dotted.replace("[", ".").replace("]", "").split(".")))


def _required(match: re.Match[str], sources: tuple[Source, ...], known: Known) -> Finding:
    name = match["name"]
    said = (match["said"] or "").strip(" :")
    reason = f": {known.clean(said)}" if said else ""
    where = _at(sources, match["path"])
    return Finding("missing-variable", f"`{name}` must be set{reason}", where, f"write `{name}=...` in .env")


def _env_file(match: re.Match[str], sources: tuple[Source, ...], known: Known) -> Finding:
    del known
    path = match["path"]
    name = path.rsplit("/", 1)[-1]
    line = next((line for source in sources for line in [source.line_with(re.escape(name))] if line), None)
    where = Where(sources[0].place, line)
    hint = f"make {name}, or write `env_file: [{{path: {name}, required: false}}]`"
    return Finding("missing-env-file", f"The environment file `{name}` does not exist", where, hint)


def _bad_env_file(match: re.Match[str], sources: tuple[Source, ...], known: Known) -> Finding:
    del sources
    name, line = match["path"].rsplit("/", 1)[-1], int(match["line"])
    place = next((place for place in known.texts if place.endswith(name)), name)
    if "unterminated" in match["said"]:
        line = _opening_line(known.texts.get(place, "")) or line
    kinds = (("space", "a name cannot hold a space"), ("unterminated", "a quotation mark is never closed"))
    reason = next((said for word, said in kinds if word in match["said"]), "this line is no `NAME=value`")
    return Finding("broken-env-file", f"`{name}` cannot be read: {reason}", Where(place, line), "write `NAME=value`")


def _opening_line(text: str) -> int | None:
    """The line of the quotation mark that is never closed; Compose tells that of the end of the file."""
    lines = text.splitlines()
    opened = [number for number, line in enumerate(lines, 1) if _OPENED.match(line)]
    return opened[-1] if opened else None


def _unknown_key(match: re.Match[str], sources: tuple[Source, ...], known: Known) -> Finding:
    del known
    key, around = match["key"], match["path"] or ""
    where = _at(sources, f"{around}.{key}" if around else key)
    of = f" in `{around}`" if around else ""
    hint = "correct its name, or begin it with `x-` when it is a note of your own"
    return Finding("compose-key", f"Compose does not know the key `{key}`{of}", where, hint)


def _wrong_shape(match: re.Match[str], sources: tuple[Source, ...], known: Known) -> Finding:
    path = match["path"]
    sentence = f"`{path}` must be {known.clean(match['said'])}"
    return Finding("compose-refused", sentence, _at(sources, path), "see the Compose file reference")


def _interpolation(match: re.Match[str], sources: tuple[Source, ...], known: Known) -> Finding:
    del known
    path = match["path"].rstrip(".")
    sentence = f"`{path}` has a `$` that is no variable"
    return Finding(
        "compose-refused", sentence, _at(sources, path), "a dollar sign that is meant as such is written `$$`"
    )


def _undefined(match: re.Match[str], sources: tuple[Source, ...], known: Known) -> Finding:
    service, what, name = match["service"], match["what"] or "service", match["name"]
    key = {"service": "depends_on"}.get(what, f"{what}s")
    sentence = f"`{service}` names the {what} `{name}`, which the Compose file does not have"
    del known
    return Finding(
        "compose-refused", sentence, _at(sources, f"services.{service}.{key}"), f"write {what} `{name}`, or drop it"
    )


def _about_service(match: re.Match[str], sources: tuple[Source, ...], known: Known) -> Finding:
    service = match["service"]
    sentence = f"`{service}` {known.clean(match['said'])}"
    return Finding("compose-refused", sentence, _at(sources, f"services.{service}"), "docker compose config --quiet")


def _decoding(match: re.Match[str], sources: tuple[Source, ...], known: Known) -> Finding:
    del known
    path = match["path"].replace("[", ".").replace("]", "")
    return Finding("compose-refused", f"`{path}` cannot be read", _at(sources, path), "see the Compose file reference")


def _yaml_line(match: re.Match[str], sources: tuple[Source, ...], known: Known) -> Finding:
    sentence = f"This is no YAML that Compose can read: {known.clean(match['said'])}"
    where = Where(sources[0].place, int(match["line"]))
    return Finding("yaml-syntax", sentence, where, "check the indentation and the brackets around this line")


REQUIRED = re.compile(
    r"while interpolating (?P<path>\S+): required variable (?P<name>\w+) is missing a value(?P<said>.*)"
)
ABSENT_FILE = re.compile(r"env file (?P<path>.+) not found")
BROKEN_FILE = re.compile(r"failed to read (?P<path>.+?): line (?P<line>\d+): (?P<said>.*)")

_ERRORS: tuple[tuple[re.Pattern[str], Callable[..., Finding]], ...] = (
    (REQUIRED, _required),
    (ABSENT_FILE, _env_file),
    (BROKEN_FILE, _bad_env_file),
    (
        re.compile(r"validating \S+: (?:(?P<path>\S+) )?additional properties '(?P<key>[^']+)'.* not allowed"),
        _unknown_key,
    ),
    (re.compile(r"(?:validating \S+: )?(?P<path>services\.\S+) must be (?P<said>.+)"), _wrong_shape),
    (re.compile(r"invalid interpolation format for (?P<path>\S+)"), _interpolation),
    (
        re.compile(
            r'service "(?P<service>[^"]+)" (?:depends on undefined|refers to undefined) '
            r'(?P<what>\w+) "?(?P<name>[\w.-]+)'
        ),
        _undefined,
    ),
    (re.compile(r'service "(?P<service>[^"]+)" (?P<said>.+?)(?:: invalid compose project)?$'), _about_service),
    (re.compile(r"decoding failed due to the following error\(s\): '(?P<path>[^']+)'"), _decoding),
    (re.compile(r"line (?P<line>\d+): (?P<said>.+)"), _yaml_line),
)
"""Compose's sentences and what they say here; the first that fits explains."""
