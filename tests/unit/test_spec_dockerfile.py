"""What a Dockerfile says of its process."""

from __future__ import annotations

import pytest

from towline.core.secret import Secret
from towline.spec.dockerfile import Recipe, joined, read_dockerfile


def plain(recipe: Recipe) -> dict[str, str]:
    return {name: secret.reveal() for name, secret in recipe.environment.items()}


def read(text: str, stage: str | None = None, **args: str) -> Recipe:
    return read_dockerfile(text.encode(), stage=stage, args={name: Secret(value) for name, value in args.items()})


def test_the_last_stage_counts() -> None:
    """CMD, ENV and EXPOSE of an earlier stage are not those of the image."""
    recipe = read('FROM node AS build\nENV A=1\nEXPOSE 1\nCMD ["a"]\nFROM nginx\nEXPOSE 80/tcp 53/udp 9000-9005\n')
    assert recipe == Recipe(base="nginx", ports=(80, 9000))


@pytest.mark.parametrize(
    ("stage", "said"), [("dev", "dev"), ("DEV", "dev"), ("1", "dev"), (None, "prod"), ("x", "prod")]
)
def test_a_stage_by_name_or_number(stage: str | None, said: str) -> None:
    """`build.target` names a stage; one that is not there falls back to the last."""
    text = 'FROM a AS base\nFROM base AS dev\nCMD ["dev"]\nFROM base AS prod\nCMD ["prod"]\n'
    assert read(text, stage).command == (said,)


def test_a_stage_on_a_stage_inherits() -> None:
    """Settings come down from the stage below, arguments do not, and an ENTRYPOINT drops an inherited CMD."""
    text = (
        'FROM python AS base\nARG V=1\nENV A=1\nWORKDIR /srv\nSTOPSIGNAL SIGINT\nCMD ["a"]\n'
        'FROM base\nENV B=$A C=x${V}\nWORKDIR app\nENTRYPOINT ["tini", "--"]\n'
    )
    recipe = read(text)
    assert plain(recipe) == {"A": "1", "B": "1", "C": "x"}
    assert (recipe.base, recipe.workdir, recipe.stop_signal) == ("python", "/srv/app", "SIGINT")
    assert (recipe.entrypoint, recipe.command) == (("tini", "--"), ())


def test_arguments_and_defaults() -> None:
    """Build arguments go before ARG defaults, an ARG above FROM must be asked for, `${X:-y}` is understood."""
    text = (
        "ARG TAG=3\nARG PORT=80\nFROM python:${TAG}\nARG PORT\nARG MODE=dev\nARG NONE\n"
        "ENV PORT_=$PORT MODE_=${MODE} TAG_=${TAG:-none} Q=\"two words\" S='$MODE' E=${NONE:+set}\nENV old form $MODE\n"
        "EXPOSE $PORT\n"
    )
    recipe = read(text, MODE="prod")
    expected = {
        "PORT_": "80",
        "MODE_": "prod",
        "TAG_": "none",
        "Q": "two words",
        "S": "$MODE",
        "E": "",
        "old": "form prod",
    }
    assert (plain(recipe), recipe.base, recipe.ports) == (expected, "python:${TAG}", (80,))


def test_what_describes_the_image_stays_there() -> None:
    """PATH and its like would lead a process outside of the image astray."""
    assert plain(read("FROM a\nENV PATH=/x:$PATH VIRTUAL_ENV=/v PYTHONHOME=/p HOME=/root KEPT=1\n")) == {"KEPT": "1"}


def test_here_documents_are_no_instructions() -> None:
    """Lines of a here-document that look like CMD or ENV are not."""
    text = 'FROM a\nCMD ["real"]\nRUN <<EOF\nCMD ["fake"]\nENV A=fake\nEOF\nENV B=1\nCOPY <<-"X" /x\nCMD fake\nX\n'
    recipe = read(text)
    assert (recipe.command, plain(recipe)) == (("real",), {"B": "1"})


@pytest.mark.parametrize(
    ("text", "command", "entrypoint", "argv"),
    [
        ('CMD ["a", "b"]', None, None, "a b"),
        ("CMD a $B", None, None, "/bin/sh -c|a $B"),
        ('SHELL ["bash", "-c"]\nCMD a', None, None, "bash -c|a"),
        ('ENTRYPOINT ["e"]\nCMD ["c"]', None, None, "e c"),
        ('ENTRYPOINT ["e"]\nCMD c d', None, None, "e /bin/sh -c|c d"),
        ('ENTRYPOINT e\nCMD ["c"]', None, None, "/bin/sh -c|e"),
        ('ENTRYPOINT ["e"]\nCMD ["c"]', ("x",), None, "e x"),
        ('ENTRYPOINT ["e"]\nCMD ["c"]', None, ("y",), "y"),
        ('ENTRYPOINT ["e"]\nCMD ["c"]', ("x",), ("y",), "y x"),
        ('ENTRYPOINT ["e"]\nCMD ["c"]', None, (), "c"),
        ("ENTRYPOINT e", ("x",), None, "/bin/sh -c|e"),
        ("", ("x",), None, "x"),
        ("", None, None, ""),
    ],
)
def test_command_and_entrypoint_join_as_in_docker(
    text: str, command: tuple[str, ...] | None, entrypoint: tuple[str, ...] | None, argv: str
) -> None:
    """Compose's `command` and `entrypoint` over those of the image; `|` keeps the shell line one word."""
    head, _, line = argv.partition("|")
    expected = (*head.split(), *([line] if line else []))
    assert joined(read(f"FROM a\n{text}\n"), command=command, entrypoint=entrypoint) == expected


def test_continued_lines_comments_and_nonsense() -> None:
    """Lines go on after a backslash, comments between them do not count, and nonsense gives an empty recipe."""
    assert read('FROM a\nCMD ["a", \\\n# why\n  "b"]\n').command == ("a", "b")
    assert read("") == Recipe()
    assert read("CMD x\nENV\nHELLO\n\x00\n") == Recipe()
    assert read("FROM a\nENV =\nENV A\nENV B=1 C\nCMD\n") == Recipe(base="a", environment={"A": Secret("")})


def test_a_stage_may_be_chosen_by_an_argument() -> None:
    """`FROM $MODE` finds the stage that the argument names."""
    text = 'ARG MODE=dev\nFROM a AS dev\nCMD ["dev"]\nFROM a AS prod\nCMD ["prod"]\nFROM ${MODE}\n'
    assert [read(text).command, read(text, MODE="prod").command] == [("dev",), ("prod",)]


def test_no_value_shows() -> None:
    """Wherever a variable may have been put, its value is in no repr."""
    text = "ARG K\nFROM ${K}\nARG K\nENV K=$K\nWORKDIR /$K\nSTOPSIGNAL $K\nEXPOSE $K\nCMD run $K\nENTRYPOINT $K\n"
    assert "canary" not in repr(read(text, K="canary"))
