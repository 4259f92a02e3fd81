"""Commands for the secrets of a target: list, set, fill, reveal, rotate, remove, import, export, key, share."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from towline.cli.options import HERE, AsJson, Project
from towline.cli.show import Screen
from towline.core.errors import UsageError
from towline.core.secret import Secret

if TYPE_CHECKING:
    from towline.ops.secrets import Vault

Of = Annotated[str, typer.Option("--target", "-t", help="Whose secrets: a target of towline.yaml.", show_default=False)]
Name = Annotated[str, typer.Argument(help="The name of a variable.", show_default=False)]
Names = Annotated[list[str], typer.Argument(help="Names of variables.", show_default=False)]
To = Annotated[Path | None, typer.Option("--out", help="Write it there, readable by nobody else; else to stdout.")]
EnvFile = Annotated[Path, typer.Argument(help="An environment file: NAME=value a line.", show_default=False)]
PublicKey = Annotated[str, typer.Argument(help="A public key: age1..., ssh-ed25519 ...", show_default=False)]
Remove = Annotated[bool, typer.Option("--remove", help="It shall not open the vault any more.")]

commands = typer.Typer(
    no_args_is_help=True, help="What nobody may read: one encrypted file in the repository a target."
)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this family."""
    app.add_typer(commands, name="secrets")


@commands.command(name="list")
def list_names(target: Of, project: Project = HERE, as_json: AsJson = False) -> None:
    """Every name that the target asks for or the vault holds, and never a value. Exit status 10: some are missing."""
    screen, store = Screen(as_json), _open(project, target)
    found = store.listed()
    if as_json:
        screen.json({"target": target, "secrets": [vars(one) for one in found], "readers": list(store.readers())})
    else:
        rows = [(one.name, one.state, one.since or "-", one.how or "-", ", ".join(one.services)) for one in found]
        screen.table(("name", "", "since", "how", "read by"), rows)
        for one in found:
            if one.state == "missing":
                screen.talk.print(escape(f"{one.name}: {one.why}"))
    if any(one.state == "missing" for one in found):
        raise typer.Exit(10)


@commands.command(name="set")
def set_value(name: Name, target: Of, project: Project = HERE, as_json: AsJson = False) -> None:
    """Set one value: asked for without an echo, or read from stdin. Never from the command line, which others see."""
    store = _open(project, target)
    if sys.stdin.isatty():
        value = typer.prompt(f"{name} on {target}", hide_input=True, err=True)
    else:
        value = sys.stdin.read().removesuffix("\n")
    store.put({name: Secret(value)})
    _said(Screen(as_json), f"{name} is set on {target}.", {"set": [name]})
    if store.of_no_use([name]):
        Screen(as_json).talk.print(escape(f"note: nothing of {target} asks for {name}"))


@commands.command()
def fill(target: Of, project: Project = HERE, as_json: AsJson = False) -> None:
    """Make a value for every name that any random text serves and that has none yet."""
    names = _open(project, target).fill()
    sentence = f"Made {', '.join(names)}." if names else "Nothing to make: every such name has a value."
    _said(Screen(as_json), sentence, {"set": list(names)})


@commands.command()
def reveal(name: Name, target: Of, project: Project = HERE, as_json: AsJson = False) -> None:
    """Print one value, alone, to stdout."""
    value = _open(project, target).reveal(name)
    if as_json:
        Screen(as_json).json({"name": name, "value": value.reveal()})
    else:
        sys.stdout.write(f"{value.reveal()}\n")


@commands.command()
def rotate(names: Names, target: Of, project: Project = HERE, as_json: AsJson = False) -> None:
    """Give generated values anew. What runs has the old ones until it is deployed again."""
    services = _open(project, target).rotate(names)
    sentence = f"{', '.join(names)} made anew; deploy again to hand it to {', '.join(services) or 'nobody'}."
    _said(Screen(as_json), sentence, {"set": names, "services": list(services)})


@commands.command()
def remove(names: Names, target: Of, project: Project = HERE, as_json: AsJson = False) -> None:
    """Forget values."""
    _open(project, target).remove(names)
    _said(Screen(as_json), f"{', '.join(names)} removed from {target}.", {"removed": names})


@commands.command(name="import")
def import_file(file: EnvFile, target: Of, project: Project = HERE, as_json: AsJson = False) -> None:
    """Take every value of an environment file into the vault. The file stays as it is: delete it yourself."""
    from towline.secrets.dotenv import read_dotenv

    store = _open(project, target)
    values = read_dotenv(file)
    if not values:
        raise UsageError(f"{file} has no `NAME=value`", hint=f"towline secrets list -t {target}")
    store.put(values)
    unused = list(store.of_no_use(values))
    screen = Screen(as_json)
    _said(screen, f"{len(values)} values taken from {file}.", {"set": sorted(values), "unused": unused})
    if unused:
        screen.talk.print(escape(f"note: nothing of {target} asks for {', '.join(unused)}"))


@commands.command()
def export(target: Of, out: To = None, project: Project = HERE) -> None:
    """Print the environment file that the rendered files of the target read. Refuses while a value is missing."""
    from towline.ops.secrets import write_environment

    text = _open(project, target).environment()
    if out is None:
        sys.stdout.write(text)
        return
    write_environment(out, text)
    Screen(as_json=False).talk.print(escape(f"{out} is written, for your eyes only; it never goes into the repository"))


@commands.command()
def key(target: Of, project: Project = HERE, as_json: AsJson = False) -> None:
    """Your public key, where the private one is, and whose keys open the vault."""
    screen, store = Screen(as_json), _open(project, target)
    own, readers = store.own_key(), store.readers()
    if as_json:
        screen.json({"public_key": own, "kept_in": store.place.key.told, "readers": list(readers)})
        return
    screen.answer.print(escape(own or "none yet: the first `towline secrets set` makes it"))
    screen.talk.print(
        escape(f"The private key is in {store.place.key.told}. Without it the vault stays closed: keep a copy.")
    )
    for one in readers:
        screen.talk.print(escape(f"opens the vault: {one}{' (you)' if one == own else ''}"))


@commands.command()
def share(
    public_key: PublicKey, target: Of, *, remove: Remove = False, project: Project = HERE, as_json: AsJson = False
) -> None:
    """Let one more key open the vault, or one fewer. Who has seen a value still knows it: rotate afterwards."""
    readers = _open(project, target).share(public_key, remove=remove)
    count = f"{len(readers)} key{'' if len(readers) == 1 else 's'}"
    _said(Screen(as_json), f"The vault of {target} is open to {count} now.", {"readers": list(readers)})


def _open(project: Path, target: str) -> Vault:
    from towline.ops.secrets import open_vault

    return open_vault(project, target, datetime.now(UTC).date().isoformat())


def _said(screen: Screen, sentence: str, document: dict[str, object]) -> None:
    if screen.as_json:
        screen.json(document)
    else:
        screen.answer.print(escape(sentence))
