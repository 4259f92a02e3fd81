"""The shell functions that work on a host, run here by the shell that runs them there."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from towline.core.errors import StepFailed
from towline.core.secret import MASK
from towline.drivers.host.batch import LAUNCH, packed
from towline.drivers.host.lock import Lock
from towline.drivers.host.programs import part, program, quote
from towline.drivers.host.programs import settings as variables
from towline.drivers.host.shell import Answer, serving, whole
from towline.drivers.host.stash import exports
from towline.drivers.host.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.needs("sh", "flock", "setsid")

PARTS = sorted(one.name for one in resources.files("towline.drivers.host").iterdir() if one.name.endswith(".sh"))
few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def sh(text: str, data: bytes = b"") -> bytes:
    ran = subprocess.run(["sh", "-c", text], input=data, capture_output=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr.decode()
    return ran.stdout


class Local:
    """A way to this very machine."""

    def run(self, program: str, *, within: float, data: bytes = b"") -> Answer:
        ran = subprocess.run(["sh", "-c", program], input=data, capture_output=True, check=False, timeout=within)
        return Answer(ran.returncode, ran.stdout, ran.stderr)

    def lines(self, program: str, *, within: float, data: bytes = b"") -> Iterator[str]:
        yield from self.run(program, within=within, data=data).text.splitlines()


def strings(data: bytes) -> list[str]:
    found: list[str] = json.loads(f"[{sh(part('words.sh') + 'json_strings', data).decode('utf-8', 'replace')}]")
    return found


@pytest.mark.parametrize("name", PARTS)
def test_programs_are_shell(name: str) -> None:
    """Each file is read by the shell of a host as it travels."""
    subprocess.run(["sh", "-n", "-c", part(name)], check=True)


@few
@given(st.text().map(lambda text: text.replace("\0", "")))
def test_any_word_is_one_word(text: str) -> None:
    """Quoting leaves nothing for the shell to do."""
    assert sh(f"printf %s {quote(text)}").decode("utf-8", "surrogatepass") == text


def test_no_shell_can_hold_a_nul() -> None:
    """It is refused here, where it can be seen."""
    with pytest.raises(ValueError, match="NUL"):
        quote("a\0b")


@few
@given(st.binary(max_size=300))
def test_any_bytes_become_json(data: bytes) -> None:
    """Whatever a program prints, its lines come back from the journal; only NUL is lost."""
    lines = data.replace(b"\0", b"").split(b"\n")
    lines = lines[:-1] if lines[-1] == b"" else lines
    assert strings(data) == [line.decode("utf-8", "replace") for line in lines]


def test_long_lines_become_json() -> None:
    """No limit of awk cuts what is written down."""
    lines = ["x" * 300_000, '"\\\t' * 20_000, ""]
    assert strings("\n".join(lines).encode() + b"\n") == lines


@few
@given(
    st.lists(st.text("abcé'\"\\$*.[", min_size=6, max_size=12), min_size=1, max_size=5),
    st.lists(st.text("abcé'\"\\$*.[ \t", max_size=30), max_size=5),
)
def test_masked_text_holds_no_secret(tmp_path: Path, secrets: list[str], around: list[str]) -> None:
    """Every stashed word is masked wherever it stands, also where one is part of another; the rest stays."""
    words = tmp_path / "stash/.words"
    words.mkdir(parents=True, exist_ok=True)
    (words / "a").write_text("".join(f"{one}\n" for one in secrets))
    text = "".join(f"{one}{secret}{one}\n" for one in around for secret in secrets) + "nothing here\n"
    masked = sh(
        variables(home=str(tmp_path), work=str(tmp_path)) + part("words.sh") + "learn_words; masked", text.encode()
    ).decode()
    assert not [secret for secret in secrets if secret in masked]
    assert masked.endswith("nothing here\n")
    assert masked.count(MASK) >= len(around) * len(secrets)


@few
@given(st.lists(st.text('ab"\\ \té\x1b', max_size=12), max_size=4))
def test_last_words_are_the_last_line_that_says_something(lines: list[str]) -> None:
    """Blank lines after it do not count; nothing said is nothing."""
    said = sh(part("words.sh") + "told last", "\n".join(lines).encode()).decode()
    expected = [line for line in lines if line.strip(" \t")]
    assert (json.loads(said) if said else None) == (expected[-1] if expected else None)


def test_nothing_is_masked_where_nothing_is_known(tmp_path: Path) -> None:
    """Text goes through unchanged, byte for byte."""
    said = variables(home=str(tmp_path), work=str(tmp_path)) + part("words.sh") + "learn_words; masked"
    assert sh(said, b"a\x00\xff\nb") == b"a\x00\xff\nb"


@few
@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True), st.text().map(lambda t: t.replace("\0", ""))
    )
)
def test_environment_arrives_as_it_was(environment: dict[str, str]) -> None:
    """A shell that reads the exported lines hands exactly these values on."""
    given_on = {
        name: value for name, value in environment.items() if name not in ("_", "PATH", "PWD", "OLDPWD", "PPID", "IFS")
    }
    out = sh(f"{exports(given_on)}exec /usr/bin/env -0")
    found = dict(one.split("=", 1) for one in out.decode("utf-8", "surrogatepass").split("\0") if one)
    assert {name: found[name] for name in given_on} == given_on


def test_program_whose_end_is_missing_does_nothing(tmp_path: Path) -> None:
    """A connection that breaks while a program is sent leaves nothing half done."""
    text = whole(f"touch {tmp_path}/begun\ntouch {tmp_path}/ended\n").encode()
    for size, done in ((len(text) - 2, set()), (len(text), {"begun", "ended"})):
        asked = f"1 call 20 {len(text)} 0\n".encode() + text[:size]
        subprocess.run(["sh", "-c", serving("x")], input=asked, capture_output=True, check=True, timeout=60)
        assert {path.name for path in tmp_path.iterdir()} == done


def test_batch_whose_end_is_missing_does_nothing(tmp_path: Path) -> None:
    """Nor does a batch, wherever it was cut off."""
    data = packed(f"touch {tmp_path}/begun\n" * 50)
    for size, done in ((len(data) // 2, []), (len(data) - 1, []), (len(data), ["begun"])):
        subprocess.run(["sh", "-c", LAUNCH], input=data[:size], capture_output=True, check=False, timeout=60)
        assert [path.name for path in tmp_path.iterdir()] == done


def append(home: Path, line: str) -> bytes:
    return sh(program(str(home), f"guarded && append {quote(line)}\n"))


def test_line_after_a_torn_one_is_whole(tmp_path: Path) -> None:
    """What a crash left in the middle of a write is ended first: the next line is not glued to it."""
    home = tmp_path / "home"
    append(home, '{"a":1}')
    with (home / "journal").open("a") as journal:
        journal.write('{"torn":"in the mid')
    append(home, '{"b":2}')
    append(home, '{"c":"%s \\\\n $x"}')
    assert (home / "journal").read_text() == '{"a":1}\n{"torn":"in the mid\n{"b":2}\n{"c":"%s \\\\n $x"}\n'
    assert (home / "journal").stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o777 == 0o700


def test_many_write_at_the_same_time(tmp_path: Path) -> None:
    """No line of one gets into a line of another."""
    home = tmp_path / "home"
    lines = [f"{number}:" + chr(97 + number % 26) * 20_000 for number in range(24)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda line: append(home, line), lines))
    assert sorted((home / "journal").read_text().splitlines()) == sorted(lines)


def test_lease_of_an_earlier_boot_has_run_out(tmp_path: Path) -> None:
    """The clock starts anew with the machine, so that a lease from before says nothing; its fence still counts."""
    (tmp_path / "lock").write_text('{"fence":7,"until":99999999999,"boot":"another","owner":"bob, \\"b\\":1"}\n')
    assert sh(program(str(tmp_path), "acquire '\"ann\"' 6000 1\n")) == b"lease 8\n"
    held = sh(program(str(tmp_path), 'acquire \'"eve, \\"owner\\":null}"\' 6000 1\n')).decode()
    assert held.startswith("!held ")
    assert held.endswith('"ann"\n')
    assert sh(program(str(tmp_path), "give_back 8\nread_lock\necho $fence $owner\n")) == b"8 null\n"


def test_lock_is_free_again_when_what_was_asked_under_it_fails(tmp_path: Path) -> None:
    """Nobody has to wait for a lease that its owner never learned of."""
    lock = Lock(Target(Local(), str(tmp_path), "shore"))
    with pytest.raises(StepFailed, match="no engine"):
        lock.acquire_and("ann", 60.0, "echo seen\necho 'no engine' >&2\nexit 75\n")
    lease, seen = lock.acquire_and("bob", 60.0, "echo seen\nfalse\n")
    assert (lease.fence, seen) == (2, b"seen\n")


def test_lock_waits_for_the_last_step_of_an_earlier_batch(tmp_path: Path) -> None:
    """Nobody gets the lock while a step of somebody else is at work; the fence has grown, so it is their last one."""
    working = subprocess.Popen(["flock", tmp_path / ".batch", "cat"], stdin=subprocess.PIPE)
    try:
        sh(f"until ! flock -n {quote(str(tmp_path / '.batch'))} true; do :; done")
        assert sh(program(str(tmp_path), "acquire '\"ann\"' 6000 0.2\n")) == b"!busy\n"
        assert json.loads((tmp_path / "lock").read_text()) | {"boot": "", "until": 0} == {
            "fence": 1, "until": 0, "boot": "", "owner": None,
        }  # fmt: skip
    finally:
        working.communicate()
    assert sh(program(str(tmp_path), "acquire '\"ann\"' 6000 5\n")) == b"lease 2\n"
