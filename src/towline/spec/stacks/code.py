"""What a look at the code of a service tells: whether it ends when it is asked to, and which weights it loads."""

from __future__ import annotations

import ast
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from towline.spec.stacks.model import ModelLoad

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEFT_OUT = frozenset(
    {"node_modules", "dist", "build", "venv", "site-packages", "__pycache__", "tests", "test", "deploy", "coverage"}
)
_MOST_FILES, _MOST_BYTES = 2000, 400_000
_TERM = {
    ".py": re.compile(r"\bsignal\.signal\(|\badd_signal_handler\(|\bSIGTERM\b"),
    ".js": re.compile(r"\bprocess\.(?:on|once)\(\s*[\"'`]SIGTERM|\benableShutdownHooks\("),
}
_JAVASCRIPT = frozenset({".js", ".mjs", ".cjs", ".ts", ".mts", ".cts"})
_MODULES = {
    "SentenceTransformer": "sentence_transformers.SentenceTransformer",
    "CrossEncoder": "sentence_transformers.CrossEncoder",
    "spacy.load": "spacy.load",
    "whisper.load_model": "whisper.load_model",
}
"""The calls that load weights by name, as they are written, and what they are in full."""

_NAMES = ("model_name_or_path", "pretrained_model_name_or_path", "name", "model_name")
_WORDS = ("from_pretrained", "SentenceTransformer", "CrossEncoder", "pipeline", "spacy.load", "whisper.load_model")
_TASK = re.compile(r"^[a-z0-9-]+$")
MODEL_NAME = re.compile(r"^[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?$")


def sources(folder: Path) -> Iterator[tuple[Path, str]]:
    """The files of code below a folder with their text, in a fixed order, without what is too large or unreadable."""
    for count, path in enumerate(_files(folder)):
        if count == _MOST_FILES:
            return
        try:
            if path.stat().st_size <= _MOST_BYTES:
                yield path, path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue


def is_entry(path: Path, words: frozenset[str]) -> bool:
    """Whether a file is the one that a command names: `dist/worker.js` is built from `src/worker.ts`, `-m worker` is
    `worker.py` or `worker/__main__.py`."""
    stem = path.parent.name if path.stem in ("__main__", "__init__") else path.stem
    return stem in {re.split(r"[/.]", re.sub(r"\.[cm]?[jt]s$|\.py$|:\w+$", "", word))[-1] for word in words}


def handles_term(path: Path, text: str) -> bool:
    """Whether a file does something on SIGTERM."""
    pattern = _TERM.get(".js" if path.suffix in _JAVASCRIPT else path.suffix)
    return pattern is not None and pattern.search(text) is not None


def model_loads(path: Path, text: str) -> tuple[ModelLoad, ...]:
    """The weights that Python code loads by a name that stands in it."""
    if path.suffix != ".py" or not any(word in text for word in _WORDS):
        return ()
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return ()
    constants = _constants(tree)
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return tuple(load for call in calls if (load := _load(call, constants)) is not None)


def _files(folder: Path) -> Iterator[Path]:
    for place, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if name not in _LEFT_OUT and not name.startswith("."))
        yield from (Path(place, name) for name in sorted(files) if Path(name).suffix in {".py", *_JAVASCRIPT})


def _constants(tree: ast.Module) -> dict[str, ast.expr]:
    """What names are given at the top of the file."""
    found: dict[str, ast.expr] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, node.value)
    return found


@dataclass(frozen=True)
class _Told:
    """A text that stands in the code, and the variable whose default it is."""

    text: str
    variable: str | None = None


def _text(node: ast.expr | None, constants: dict[str, ast.expr]) -> _Told | None:
    if isinstance(node, ast.Name):
        node = constants.get(node.id)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _Told(node.value)
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("os.getenv", "os.environ.get", "getenv"):
        variable, default = (_text(one, {}) for one in (*node.args, None, None)[:2])
        return _Told(default.text, variable.text) if default and variable else None
    return None


def _load(call: ast.Call, constants: dict[str, ast.expr]) -> ModelLoad | None:
    written = ast.unparse(call.func)
    last = written.rsplit(".", 1)[-1]
    if last == "pipeline":
        return _pipeline(call, constants)
    if last == "from_pretrained":
        owner = written.rsplit(".", 2)[-2] if "." in written else ""
        loader = f"transformers.{owner}.from_pretrained" if owner[:1].isupper() else None
    else:
        loader = _MODULES.get(written) or _MODULES.get(last if last[:1].isupper() else "")
    return None if loader is None else _named(loader, _first(call, constants))


def _pipeline(call: ast.Call, constants: dict[str, ast.expr]) -> ModelLoad | None:
    """`pipeline(task, model)`: without a model it is whichever the library holds for the usual one."""
    given = {one.arg: one.value for one in call.keywords if one.arg}
    task = _text(call.args[0] if call.args else given.get("task"), constants)
    model = _text(call.args[1] if len(call.args) > 1 else given.get("model"), constants)
    found = _named("transformers.pipeline", model)
    return replace(found, task=task.text) if found and task and _TASK.match(task.text) else None


def _first(call: ast.Call, constants: dict[str, ast.expr]) -> _Told | None:
    keyword = next((one.value for one in call.keywords if one.arg in _NAMES), None)
    return _text(call.args[0] if call.args else keyword, constants)


def _named(call: str, told: _Told | None) -> ModelLoad | None:
    """A path is no name: those weights are in the folder already."""
    if told is None or not MODEL_NAME.match(told.text):
        return None
    return ModelLoad(call, told.text, variable=told.variable)
