"""The options that several commands share, defined once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Project = Annotated[
    Path,
    typer.Option("--project", "-C", help="The folder with compose.yaml and towline.yaml.", file_okay=False),
]
Target = Annotated[str, typer.Option("--target", "-t", help="Which target of towline.yaml.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Services = Annotated[list[str] | None, typer.Argument(help="Services or stores; all when none is named.")]

HERE = Path()
LAPTOP = "laptop"
