"""What a service's folder says of its language, packages and build: read from its manifests, lock files and code."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from towline.spec.stacks.code import handles_term, is_entry, model_loads, sources
from towline.spec.stacks.known import ENDS_ON_TERM
from towline.spec.stacks.model import Language, Member, ModelLoad, Stack
from towline.spec.stacks.node import read_node
from towline.spec.stacks.python import read_python
from towline.spec.stacks.reading import Reader

if TYPE_CHECKING:
    from pathlib import Path

    from towline.spec.model import Service

__all__ = ["Language", "Member", "ModelLoad", "Stack", "read_stack"]

_OF_NODE = ("package.json",)
_OF_PYTHON = ("pyproject.toml", "requirements.txt", "Pipfile", "uv.lock", "poetry.lock", "setup.py", "requirements")
_NODE_WORDS = re.compile(r"(?:^|\s|/)(?:node|npm|npx|pnpm|yarn|next|tsx|nest)(?:\s|$)")
_PYTHON_WORDS = re.compile(
    r"(?:^|\s|/)(?:python[\d.]*|uvicorn|gunicorn|hypercorn|celery|flask|django-admin|uv|fastapi|streamlit)(?:\s|$)"
)

_DEEPEST = 2
"""Scripts of package.json that call each other."""


def read_stack(project: Path, service: Service) -> Stack:
    """What a service that is built here is written in; reads its folder and changes nothing.

    A file that cannot be understood is as good as absent, and one of `doubts`.
    """
    reader = Reader(project)
    context = service.context or service.folder
    folder = service.folder if _language(service, service.folder) else context
    language = _language(service, folder)
    if language == "node":
        stack = read_node(reader, folder, context)
    elif language == "python":
        stack = read_python(reader, folder, context)
    else:
        own = reader.name(folder)
        plain: Language = "static" if service.kind == "static" else "other"
        stack = Stack(plain, own, own, context=reader.name(context))
    return replace(_with_code(stack, service, folder), doubts=tuple(dict.fromkeys(reader.doubts)))


def _language(service: Service, folder: Path) -> Language | None:
    """Which language's manifest lies there; where both do, the command decides."""
    try:
        names = frozenset(path.name for path in folder.iterdir())
    except OSError:
        return None
    node, python = (any(name in names for name in group) for group in (_OF_NODE, _OF_PYTHON))
    if node and python and service.kind != "static":
        line = " ".join(service.command.argv) if service.command else ""
        return "python" if _PYTHON_WORDS.search(line) and not _NODE_WORDS.search(line) else "node"
    return "node" if node else "python" if python else None


def _with_code(stack: Stack, service: Service, folder: Path) -> Stack:
    """The Stack with what its code tells. The name of a model is told before that of the library that loads it."""
    if stack.language not in ("python", "node") or service.kind == "static":
        return stack
    found = list(sources(folder))
    loads = tuple(dict.fromkeys(load for path, text in found for load in model_loads(path, text)))
    words = _words(stack, service)
    ends = bool({word.rsplit("/", 1)[-1] for word in words} & ENDS_ON_TERM)
    ends = ends or any(handles_term(path, text) for path, text in found if is_entry(path.relative_to(folder), words))
    weights = tuple(dict.fromkeys(load.name for load in loads)) or stack.model_weights
    return replace(stack, model_loads=loads, model_weights=weights, handles_term=ends)


def _words(stack: Stack, service: Service) -> frozenset[str]:
    """The words of the command that starts it, and of the scripts that it calls."""
    words = " ".join(service.command.argv if service.command else ()).split()
    for _ in range(_DEEPEST):
        words += [one for word in words for one in (stack.script(word) or "").split() if one not in words]
    return frozenset(words)
