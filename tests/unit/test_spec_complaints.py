"""Compose's words as findings, and no value among them."""

from __future__ import annotations

import pytest

from towline.core.secret import Secret
from towline.spec.complaints import Known, complaints
from towline.spec.source import Source, read_source

TEXT = """\
services:
  api:
    image: x
    ports: ["80:80"]
    environment:
      TOKEN: canary-4711
      NAME: ${NAME}
      PLAIN: $PLAIN_ONE
      PASSWORD: pa$word-canary
      SECOND: $ecret-canary
    env_file: secret.env
  worker:
    build: {context: .}
"""
SOURCE = read_source(TEXT, "compose.yaml", strict=False)


def told(stderr: str, values: tuple[str, ...] = ("canary-4711",), source: Source = SOURCE) -> list[str]:
    keys = frozenset(str(part) for path in source.lines for part in path)
    known = Known(tuple(Secret(value) for value in values), keys, (), {"secret.env": "A=1\nB=pa$other\n"})
    return [f"{one.level} {one.where} {one.code}: {one.sentence}" for one in complaints(stderr, (source,), known)]


def unset(name: str) -> str:
    return (
        f'time="2026-01-01T00:00:00Z" level=warning msg="The \\"{name}\\" variable is not set. '
        f'Defaulting to a blank string."\n'
    )


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        (
            unset("NAME") * 2,
            "warning compose.yaml:7 missing-variable: `NAME` is not set: Compose puts nothing in its place",
        ),
        (
            'WARN[0000] The "PLAIN_ONE" variable is not set. Defaulting to a blank string.',
            "warning compose.yaml:8 missing-variable: `PLAIN_ONE` is not set: Compose puts nothing in its place",
        ),
        (
            (
                "error while interpolating services.api.environment.NAME: required variable NAME is "
                "missing a value: for mails"
            ),
            "error compose.yaml:7 missing-variable: `NAME` must be set: for mails",
        ),
        (
            "env file /srv/app/secret.env not found: stat /srv/app/secret.env: no such file or directory",
            "error compose.yaml:11 missing-env-file: The environment file `secret.env` does not exist",
        ),
        (
            "failed to read /srv/app/secret.env: line 2: unterminated quoted value 'canary-4711",
            "error secret.env:2 broken-env-file: `secret.env` cannot be read: a quotation mark is never closed",
        ),
        (
            "validating /srv/app/compose.yaml: services.api additional properties 'prots' not allowed",
            "error compose.yaml:2 compose-key: Compose does not know the key `prots` in `services.api`",
        ),
        (
            "validating /srv/app/compose.yaml: services.api.ports must be a array",
            "error compose.yaml:4 compose-refused: `services.api.ports` must be a array",
        ),
        (
            "services.worker must be a mapping",
            "error compose.yaml:12 compose-refused: `services.worker` must be a mapping",
        ),
        (
            (
                "invalid interpolation format for services.api.environment.TOKEN.\nYou may need to "
                "escape any $.\n${X!}canary-4711"
            ),
            "error compose.yaml:6 compose-refused: `services.api.environment.TOKEN` has a `$` that is no variable",
        ),
        (
            'service "api" depends on undefined service "db": invalid compose project',
            "error compose.yaml:2 compose-refused: `api` names the service `db`, which the Compose file does not have",
        ),
        (
            'service "api" refers to undefined network inner: invalid compose project',
            (
                "error compose.yaml:2 compose-refused: `api` names the network `inner`, which the "
                "Compose file does not have"
            ),
        ),
        (
            'service "worker" has neither an image nor a build context specified: invalid compose project',
            "error compose.yaml:12 compose-refused: `worker` has neither an image nor a build context specified",
        ),
        (
            (
                "decoding failed due to the following error(s):\n\n'services[api].ports' "
                'strconv.ParseFloat: parsing "canary-4711"'
            ),
            "error compose.yaml:4 compose-refused: `services.api.ports` cannot be read",
        ),
        (
            'failed to parse /x/compose.yaml: line 4: mapping key "image" already defined at line 3',
            (
                "error compose.yaml:4 yaml-syntax: This is no YAML that Compose can read: mapping key "
                '"image" already defined at line 3'
            ),
        ),
        (
            "dependency cycle detected: api -> worker -> api",
            (
                "error compose.yaml compose-refused: Compose refuses the file: dependency cycle "
                "detected: api -> worker -> api"
            ),
        ),
    ],
)
def test_every_complaint_is_one_clean_finding(stderr: str, expected: str) -> None:
    """Compose's own reason, with the line where one can be found."""
    assert told(stderr) == [expected]


def test_a_bare_dollar_in_a_value_is_not_named() -> None:
    """The name that Compose misses may be a piece of a password, so only its place is told."""
    cut = "A value holds a dollar sign that Compose reads as a variable, which is not set: the value is cut"
    assert told(unset("word")) == [f"warning compose.yaml missing-variable: {cut}"]
    assert told(unset("ecret")) == told(unset("word"))
    assert told(unset("other")) == [f"warning secret.env missing-variable: {cut}"]


def test_unknown_words_are_masked() -> None:
    """Whatever Compose will say one day: known values and quotations of anything but keys are masked."""
    said = told("strange: \"api\" has 'canary-9999' and `canary-8888` and canary-4711")
    assert said == [
        'error compose.yaml compose-refused: Compose refuses the file: strange: "api" has ●●●● and ●●●● and ●●●●'
    ]


def test_meaningless_warnings_are_dropped_and_others_kept() -> None:
    """An obsolete `version` is nobody's problem; another warning is passed on without values."""
    assert told('level=warning msg="/x/compose.yaml: the attribute `version` is obsolete, it will be ignored"') == []
    assert told('time="x" level=warning msg="mind canary-4711"') == [
        "warning compose.yaml compose-warning: Compose warns: mind ●●●●"
    ]
    assert told("") == []
