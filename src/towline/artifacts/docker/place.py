"""Where the files of one service are: in the folder that its image is built from, and in the image."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from towline.artifacts.rendered import Variable
    from towline.spec.model import Service
    from towline.spec.stack import Stack


@dataclass(frozen=True)
class Place:
    """One service in a Dockerfile that may hold others.

    `context` is the folder that the image is built from, relative to the project; `home` is where the service's own
    context lies in the image; `prefix` stands before the names of its stages. `base` names what its stages start from.
    """

    service: Service
    stack: Stack
    variables: tuple[Variable, ...]
    context: str
    home: str
    prefix: str = ""
    base: str = "base"

    def stage(self, name: str) -> str:
        """The name of one of its stages."""
        return f"{self.prefix}{name}"

    def source(self, path: str) -> str:
        """A path of the project as COPY reads it: relative to the context."""
        return posixpath.relpath(path or ".", self.context or ".")

    def inner(self, path: str) -> str:
        """A path of the project relative to the service's home in the image; "." for the home itself."""
        return posixpath.relpath(path or ".", self.stack.context or ".")

    def absolute(self, path: str) -> str:
        """The same as an absolute path in the image."""
        return posixpath.normpath(posixpath.join(self.home, self.inner(path)))

    @property
    def folder(self) -> str:
        """Where its process starts."""
        return self.absolute(self.stack.folder)

    @property
    def root(self) -> str:
        """Where its packages are installed."""
        return self.absolute(self.stack.root)

    def copies(self, paths: tuple[str, ...]) -> list[str]:
        """COPY lines that bring files and folders of the project to where they belong, one line a folder."""
        files: dict[str, list[str]] = {}
        lines: list[str] = []
        for path in dict.fromkeys(paths):
            inside = self.inner(path)
            if "." not in posixpath.basename(path) and not path.endswith(("Pipfile",)):
                lines.append(f"COPY {self.source(path)} {inside}")
            else:
                files.setdefault(posixpath.dirname(inside), []).append(self.source(path))
        return [
            *(f"COPY {' '.join(group)} {f'{folder}/' if folder else './'}" for folder, group in files.items()),
            *lines,
        ]

    def all_of_it(self) -> str:
        """The COPY line that brings everything."""
        return f"COPY {self.source(self.stack.context)} {'.' if self.root == self.home else f'{self.home}/'}"

    def at_root(self) -> list[str]:
        """What makes the folder where packages are installed the current one, where it is not."""
        return [] if self.root == self.home else [f"WORKDIR {self.root}"]


def joined(*parts: str) -> str:
    """Commands of one RUN, a line each."""
    return " \\\n    && ".join(parts)


def variables(*settings: str) -> str:
    """An ENV of settings such as `PORT=3000`, a line each."""
    return "ENV " + " \\\n    ".join(settings)
