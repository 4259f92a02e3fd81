"""A Secret shows nothing by accident, and a generated one needs no escaping anywhere."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import shlex
from io import StringIO
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from towline.core.secret import MASK, Secret, generate, redact

CANARY = "canary-7f3a91-hush"
SALT = b"one salt"


@dataclasses.dataclass(frozen=True)
class Holder:
    """Something that carries a secret, as artifacts do."""

    name: str
    password: Secret


@pytest.mark.parametrize(
    "shown",
    [
        repr(Secret(CANARY)),
        str(Secret(CANARY)),
        f"{Secret(CANARY)}",
        f"{Secret(CANARY):>40}",
        f"{Secret(CANARY)!r}",
        "{}".format(Secret(CANARY)),  # noqa: UP032 - this form is what is tested
        "%s and %r" % (Secret(CANARY), Secret(CANARY)),  # noqa: UP031 - this form is what is tested
        repr([Secret(CANARY)]),
        repr(Holder("db", Secret(CANARY))),
        repr(dataclasses.asdict(Holder("db", Secret(CANARY)))),
        json.dumps({"password": Secret(CANARY)}, default=str, ensure_ascii=False),
        json.dumps(dataclasses.asdict(Holder("db", Secret(CANARY))), default=repr, ensure_ascii=False),
    ],
)
def test_every_printed_form_is_the_mask(shown: str) -> None:
    """Whoever prints it, or something that holds it, prints a mask."""
    assert CANARY not in shown
    assert MASK in shown


def test_format_keeps_its_width() -> None:
    """The mask is padded as a text is, so that tables stay straight."""
    assert f"{Secret(CANARY):>6}" == f"  {MASK}"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_is_refused(protocol: int) -> None:
    """No protocol carries it out of the process, not even inside something else."""
    for value in (Secret(CANARY), Holder("db", Secret(CANARY))):
        with pytest.raises(TypeError) as refused:
            pickle.dumps(value, protocol)
        assert CANARY not in str(refused.value)


def test_json_is_refused() -> None:
    """Without a `default`, JSON says no and does not quote the value."""
    with pytest.raises(TypeError) as refused:
        json.dumps({"password": Secret(CANARY)})
    assert CANARY not in str(refused.value)


def test_it_has_no_dictionary_to_look_into() -> None:
    """`vars` and debuggers that print it find nothing."""
    with pytest.raises(TypeError):
        vars(Secret(CANARY))


def test_copies_are_itself() -> None:
    """Copying what holds a secret makes no second one."""
    secret = Secret(CANARY)
    assert copy.deepcopy({"a": secret})["a"] is secret
    assert dataclasses.asdict(Holder("db", secret))["password"] is secret


def test_reveal_is_the_way_in() -> None:
    """The value is there for who asks for it."""
    assert Secret(CANARY).reveal() == CANARY


def test_equality_and_hash_follow_the_value() -> None:
    """Equal values are equal, and a text is never equal to a secret."""
    assert Secret(CANARY) == Secret(CANARY)
    assert len({Secret(CANARY), Secret(CANARY), Secret("other")}) == 2
    assert Secret(CANARY) != Secret("other")
    assert Secret(CANARY) != CANARY
    assert Secret("hülle") == Secret("hülle")


def test_digest_is_keyed_by_the_salt() -> None:
    """RFC 2104 with SHA-256: the same value under another salt cannot be told, nor guessed without the salt."""
    # printf %s canary-7f3a91-hush | openssl dgst -sha256 -hmac 'one salt' | cut -c1-32
    assert Secret(CANARY).digest(SALT) == "63a33b187fff70f725dec2d1e8759501"
    assert Secret(CANARY).digest(SALT) == Secret(CANARY).digest(SALT)
    assert Secret(CANARY).digest(SALT) != Secret(CANARY).digest(b"two salt")
    assert Secret(CANARY).digest(SALT) != Secret(CANARY + " ").digest(SALT)


def test_longest_is_redacted_first() -> None:
    """A value inside another one must not leave the rest of the longer one."""
    short, long = Secret("hunter22"), Secret("hunter22-and-more")
    for known in ((short, long), (long, short)):
        assert redact("a hunter22-and-more b hunter22 c", known) == f"a {MASK} b {MASK} c"


def test_short_values_are_left() -> None:
    """Masking `5` or `local` everywhere would make every line unreadable; six characters are enough to be one."""
    assert redact("port 54321 abcdef", (Secret("5"), Secret("54321"), Secret(""))) == "port 54321 abcdef"
    assert redact("port 54321 abcdef", (Secret("abcdef"),)) == f"port 54321 {MASK}"


def test_every_occurrence_is_redacted() -> None:
    """Twice on a line is masked twice; other text stays."""
    assert redact(f"{CANARY}:{CANARY}\nkeep", (Secret(CANARY),)) == f"{MASK}:{MASK}\nkeep"


@settings(deadline=None)
@given(st.lists(st.text(alphabet="abc1", min_size=6, max_size=12), max_size=5), st.text(alphabet="abc1 ", max_size=40))
def test_nothing_known_is_left_after_redaction(values: list[str], around: str) -> None:
    """Whatever overlaps with what, no whole value survives."""
    shown = redact(around.join(["", *values, ""]), tuple(Secret(one) for one in values))
    assert not [one for one in values if one in shown]


def test_generated_secrets_need_no_escaping() -> None:
    """URL quoting, a shell, an env file and JSON leave each of them as it is, and no two are equal."""
    made = [generate().reveal() for _ in range(2_000)]
    assert len(set(made)) == len(made)
    assert {len(value) for value in made} == {32}
    # Whether a character is escaped depends on no other one: all of them are asked for as one text.
    text = "".join(made)
    assert quote(text, safe="") == text == unquote(text)
    assert shlex.quote(text) == text
    assert json.dumps(text) == f'"{text}"'
    assert urlsplit(f"postgresql://app:{text}@127.0.0.1:5432/app").password == text
    assert shlex.split(" ".join(made)) == made
    env_file = "".join(f"V{number}={value}\n" for number, value in enumerate(made))
    assert [line.partition("=")[2] for line in env_file.splitlines()] == made
    # All 62 characters are in use: the chance that one is missing from 64,000 is nil.
    assert len(set(text)) == 62


def test_generated_secrets_are_texts_in_yaml() -> None:
    """Unquoted in YAML each is read back as the same text: none looks like a number, a date or a truth."""
    made = [generate().reveal() for _ in range(200)]
    read = YAML(typ="safe", pure=False).load(StringIO("".join(f"- {value}\n" for value in made)))
    assert read == made
