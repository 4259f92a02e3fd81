"""What the driver of a host makes of text without touching one: addresses, ssh's words, programs, facts."""

from __future__ import annotations

import json

import pytest

from towline.core.errors import Defect, Fenced, Findings, LockHeld, SiteUnreachable, StepFailed, UsageError
from towline.core.secret import Secret
from towline.drivers.host.address import Address
from towline.drivers.host.batch import StepProgram, batch_program
from towline.drivers.host.driver import HostSite
from towline.drivers.host.facts import facts_of, seen_in
from towline.drivers.host.marks import refuse_marks
from towline.drivers.host.programs import part, quote
from towline.drivers.host.refusals import unreachable
from towline.drivers.host.stash import exports, words
from towline.drivers.host.tasks import file_name, run_task
from towline.steps.kinds import RunTask
from towline.steps.model import Batch, Lease

TASK = RunTask("migrate it", "api", ("alembic", "upgrade", "head"), "/srv", 30.0, marker="m1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("box", Address("box")),
        ("deploy@203.0.113.7", Address("203.0.113.7", "deploy")),
        ("deploy@203.0.113.7:2222", Address("203.0.113.7", "deploy", 2222)),
        ("ssh://root@box.example:22/", Address("box.example", "root", 22)),
        ("root@[2001:db8::1]:2222", Address("2001:db8::1", "root", 2222)),
        ("2001:db8::1", Address("2001:db8::1")),
        ("deploy@2001:db8::1", Address("2001:db8::1", "deploy")),
    ],
)
def test_address_is_read(text: str, expected: Address) -> None:
    """Everything that people write after `ssh` is understood, and printed so that it can be read again."""
    assert Address.parse(text) == expected
    assert Address.parse(str(expected)) == expected


@pytest.mark.parametrize(
    "text", ["", "-oProxyCommand=x", "root@-oProxyCommand=x", "a b", "box:0", "box:99999", "box:ssh", "a@b@c", "box;id"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Nothing reaches ssh that it could take for an option, and no shell sees a word of its own."""
    with pytest.raises(UsageError, match="is no address"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("said", "sentence", "hint"),
    [
        (
            "ssh: Could not resolve hostname box: Name or service not known",
            "the name box is unknown",
            "getent hosts box",
        ),
        ("ssh: connect to host box port 22: Connection refused", "nothing listens for ssh", "ssh -p 22 root@box"),
        ("ssh: connect to host box port 22: Connection timed out", "does not answer", "ping box"),
        ("Timeout, server box not responding.", "does not answer", "ping box"),
        ("root@box: Permission denied (publickey).", "lets none of the keys in", "ssh-add -l"),
        (
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
            "another",
            "ssh-keygen -R",
        ),
        ("No ED25519 host key is known for box\nHost key verification failed.", "is not known here", "fingerprint"),
        ("kex_exchange_identification: Connection closed by remote host", "ended the connection", "ssh -p"),
        ("sudo: a password is required", "cannot become root", "sudo -n true"),
        ("something new", "broke: something new", "ssh -p"),
        ("", "broke: it was cut", "ssh -p"),
    ],
)
def test_what_ssh_said_becomes_a_sentence(said: str, sentence: str, hint: str) -> None:
    """Each cause has its own sentence and its own next step."""
    error = unreachable(Address("box", "root", 22), said, "it was cut")
    assert isinstance(error, SiteUnreachable)
    assert sentence in error.sentence
    assert error.hint is not None
    assert hint in error.hint


def test_marks_are_errors() -> None:
    """What a program says in place of an answer is the error it means; a line of a journal is none."""
    refuse_marks('{"at":"!fenced"}', "box")
    with pytest.raises(Fenced, match=r"taken over by bob@desk \(fence 7\)"):
        refuse_marks('!fenced 7 "bob@desk"', "box")
    with pytest.raises(Fenced, match=r"taken over \(fence 7\)"):
        refuse_marks("!fenced 7 null", "box")
    with pytest.raises(LockHeld, match="ann"):
        refuse_marks('!held 4200 "ann \\"a\\" \\u00e9"', "box")
    with pytest.raises(LockHeld, match="still at work"):
        refuse_marks("!busy", "box")
    with pytest.raises(StepFailed, match="No space left"):
        refuse_marks("!journal printf: I/O error: No space left on device", "box")


def test_batch_program_is_a_function_of_its_arguments() -> None:
    """The same batch gives the same text; another fence, run or home another one; a mismatch is refused."""
    batch, made = Batch("box", 1, (TASK,)), [StepProgram(apply="echo it's done")]

    def text(fence: int = 3, run: str = "7", home: str = "/var/lib/towline/tiny/live") -> str:
        return batch_program(batch, made, Lease("ann", fence), run, home=home)

    assert text() == text()
    assert len({text(), text(fence=4), text(run="8"), text(home="/srv/x")}) == 4
    assert quote("echo it's done") in text()
    with pytest.raises(ValueError, match="zip"):
        batch_program(batch, [], Lease("ann", 3), "7", home="/srv")


def test_program_that_is_too_long_is_refused() -> None:
    """Linux would refuse it in the middle of the batch."""
    with pytest.raises(Defect, match="bytes long"):
        batch_program(Batch("box", 0, (TASK,)), [StepProgram(apply="#" * 130_000)], Lease("a", 1), "1", home="/srv")


def test_unknown_step_is_refused_before_anything_is_sent() -> None:
    """A batch with a step that nobody can carry out changes nothing."""

    class Nobody:
        def run(self, *_: object, **__: object) -> None:
            raise AssertionError

        lines = run

    site = HostSite(Nobody(), "/srv", site="box", programs={})  # type: ignore[arg-type]
    with pytest.raises(Defect, match="migrate it"):
        list(site.carry_out(Batch("box", 0, (TASK,)), Lease("a", 1), "1"))


def test_comments_do_not_travel() -> None:
    """What a host is sent is the program only."""
    assert not [line for name in ("shell.sh", "batch.sh", "words.sh") for line in part(name).splitlines() if not line]
    assert "# " not in part("files.sh")


def test_words_of_an_environment_are_its_values() -> None:
    """Values are masked, line by line; not short ones, not those of the machine, not those everybody knows."""
    plain = {"A": "a secret value", "KEY": "-----BEGIN\r\nline two of it\n", "PATH": "/usr/local/bin", "X": "short"}
    plain |= {"MODE": "production"}
    assert words(json.dumps(plain)) == ("-----BEGIN", "a secret value", "line two of it")
    assert words('{"app": "tiny", "services": []}') == ()
    assert words("the whole password") == ("the whole password",)


def test_environment_is_exported_whatever_it_holds() -> None:
    """Quotes, newlines and dollars survive; a name that no shell can export is a finding."""
    assert exports({"B": "it's\n$HOME `x`", "A": ""}) == "export A=''\nexport B='it'\"'\"'s\n$HOME `x`'\n"
    with pytest.raises(Findings) as found:
        exports({"a.b": "1", "ok": "2", "1c": "3"})
    assert len(found.value.findings) == 2


def test_names_of_tasks_become_files_of_their_own() -> None:
    """Two names never share a file, and none leaves the folder."""
    names = ["migrate", "Migrate", "../../etc", "a/b", "a b", "a-b", "", "é" * 300]
    files = [file_name(name) for name in names]
    assert len(set(files)) == len(names)
    assert not [one for one in files if "/" in one or len(one) > 60 or one.startswith(".")]


def test_command_of_a_task_is_quoted() -> None:
    """Its words reach the program as they are."""
    step = RunTask("t", "api", ("sh", "-c", "echo 'a' \"$B\""), "/a folder", 5.0)
    made = run_task(step)
    assert made.apply.endswith("run sh -c 'echo '\"'\"'a'\"'\"' \"$B\"'\n")
    assert "folder='/a folder'" in made.apply


def test_facts_are_read_from_what_was_seen() -> None:
    """Each line is a fact; ports on which somebody listens are not free, in neither family."""
    seen = (
        "salt 00ff\ndisk 1234\nmemory 2\nlistens 0100007F:4E20\nlistens 00000000000000000000000000000000:4E22\n"
        'task {"name": "migrate it", "marker": "m1"}\nlater word\n'
    )
    facts = facts_of("box", seen_in(seen), ())
    assert (facts.site, facts.tasks, facts.salt) == ("box", {"migrate it": "m1"}, Secret("00ff"))
    assert (facts.room.disk_free, facts.room.memory_free) == (1234, 2048)
    assert facts.room.ports[:2] == (20001, 20003)
    assert len(facts.room.ports) == 64
