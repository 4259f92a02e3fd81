"""Projects in folders that are read with the real Compose."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from towline.core.errors import Finding, Findings
from towline.spec.compose import ComposeConfig, find_files, read_compose
from towline.spec.read import Resolved, read

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "canary-S3cret-value"
ENV = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "TOWLINE_COMPOSE"}}

DOCKERFILE = 'FROM python:3.11-slim\nENV LOG=info\nEXPOSE 8000\nCMD ["python", "-m", "shop"]\n'


class Project:
    """A folder with files in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("Dockerfile", DOCKERFILE)
        self.write("towline.yaml", "app: shop\n")

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def compose(self, text: str, **env: str) -> ComposeConfig:
        self.write("compose.yaml", text)
        return read_compose(find_files(self.root), env={**ENV, **env})

    def read(self, target: str = "laptop", **env: str) -> Resolved:
        return read(self.root, target, env={**ENV, **env})

    def mistakes(self, target: str = "laptop", **env: str) -> list[Finding]:
        """The findings of a project that cannot be read; none of them holds the canary."""
        with pytest.raises(Findings) as caught:
            self.read(target, **env)
        assert CANARY not in f"{caught.value!r}{caught.value}{caught.value.as_json()}{caught.value.findings}"
        return list(caught.value.findings)

    def told(self, target: str = "laptop", **env: str) -> list[str]:
        """The same, as place, code and sentence."""
        return [f"{one.where} {one.code}: {one.sentence}" for one in self.mistakes(target, **env)]
