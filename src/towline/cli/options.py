"""The options that several commands share, defined once."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from towline.core.errors import UsageError

Project = Annotated[
    Path,
    typer.Option("--project", "-C", help="The folder with compose.yaml and towline.yaml.", file_okay=False),
]
Target = Annotated[str, typer.Option("--target", "-t", help="Which target of towline.yaml.")]
Which = Annotated[str | None, typer.Argument(help="Which target of towline.yaml; `laptop` when none is named.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Services = Annotated[list[str] | None, typer.Argument(help="Services or stores; all when none is named.")]

UsageFile = Annotated[Path | None, typer.Option("--usage", help="How much it is used; else usage.yaml.")]
OwnOffers = Annotated[Path | None, typer.Option("--offers", help="Your own offers; else towline-offers.toml.")]
Day = Annotated[
    datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], help="Judge ages as of this day, not today.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting for this run: VERSION=1.4.2. No secret."),
]

HERE = Path()
LAPTOP = "laptop"


def chosen(which: str | None, target: str, command: str) -> str:
    """The target that a command was told, by place or by `-t`. Raises UsageError for two of them."""
    if which is not None and target not in (LAPTOP, which):
        raise UsageError(f"`{which}` and `{target}` are two targets", hint=f"towline {command} {which}")
    return which or target


def told_in(words: list[str]) -> dict[str, str]:
    """The settings in `--set NAME=VALUE`. Raises UsageError for a word that is none."""
    told = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise UsageError(f"`{word}` is no NAME=VALUE", hint="write for example --set VERSION=1.4.2")
        told[name] = value
    return told
