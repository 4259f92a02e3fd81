"""Everything that is guessed from, read once; and the first look at every service: what it is to the app."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from towline.spec.addresses import addresses
from towline.spec.dockerfile import joined
from towline.spec.guess.commands import line_of
from towline.spec.guess.surroundings import Folder
from towline.spec.guess.written import in_order, other_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.core.errors import Where
    from towline.core.secret import Secret
    from towline.spec.compose import ComposeConfig
    from towline.spec.container import Container
    from towline.spec.guess.commands import Line
    from towline.spec.guess.model import Guess


@dataclass(frozen=True)
class Call:
    """A variable of `by` that holds an address of `of`; `reached` is False for `localhost` with a published port."""

    by: str
    variable: str
    of: str
    reached: bool
    built_in: bool
    """It is a build argument: the address becomes part of the image."""
    through: str = ""
    """The pool of connections between the two, if any."""


@dataclass(frozen=True)
class Scene:
    """The Compose file and what lies in its folders.

    `told` are lines that another file states, `otherwise` those that hold when nothing else is found.
    """

    compose: ComposeConfig
    folders: Mapping[str, Folder]
    told: tuple[Guess, ...] = ()
    otherwise: tuple[Guess, ...] = ()

    @cached_property
    def containers(self) -> tuple[Container, ...]:
        """The services in the order of the file."""
        return in_order(self.compose)

    def folder(self, name: str) -> Folder:
        """What lies where a service is built."""
        return self.folders.get(name, Folder())

    def argv(self, container: Container) -> tuple[str, ...]:
        """The argument list that its container runs, as far as the files tell."""
        recipe = self.folder(container.name).ground.recipe
        return joined(recipe, command=container.command, entrypoint=container.entrypoint)

    def below(self, container: Container) -> Container:
        """What a service is an image of: for one that is built, the image that its Dockerfile begins with."""
        if container.build is None:
            return container
        base = self.folder(container.name).ground.recipe.base
        return replace(container, build=None, image=base if base and "$" not in base else None)

    def line(self, container: Container) -> Line:
        """Its command as one text."""
        return line_of(self.argv(container), self.folder(container.name).scripts)

    def where(self, service: str, *keys: str) -> Where:
        """The place of a key of a service."""
        return self.compose.where("services", service, *keys)

    def environment(self, container: Container) -> dict[str, Secret]:
        """Its variables, the build arguments among them."""
        return {**(container.build.args if container.build else {}), **self.running(container)}

    def running(self, container: Container) -> dict[str, Secret]:
        """The variables of its process."""
        return {**self.folder(container.name).ground.recipe.environment, **container.environment}

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """Every variable that holds the address of another service."""
        return tuple(call for container in self.containers for call in self._calls_of(container))

    def _calls_of(self, container: Container) -> list[Call]:
        environment = self.environment(container)
        running = self.running(container)
        found = {
            one.variable: Call(container.name, one.variable, one.of, one.by == "name", one.variable not in running)
            for one in addresses(environment, self.compose)
        }
        for alias, of in other_names(self.compose, container.name).items():
            pattern = re.compile(rf"(?:^|[@/]){re.escape(alias)}(?=[:/?,]|$)")
            for variable, secret in environment.items():
                if variable not in found and self.compose.container(of) and pattern.search(secret.reveal()):
                    found[variable] = Call(container.name, variable, of, reached=True, built_in=variable not in running)
        # Its own name is for itself alone; its own published port is what browsers are told.
        return [call for _, call in sorted(found.items()) if call.of != container.name or not call.reached]

    def callers(self, name: str) -> tuple[Call, ...]:
        """The calls that reach a service by its name."""
        return tuple(call for call in self.calls if call.of == name and call.reached)
