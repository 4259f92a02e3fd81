"""The shell of every item is POSIX, its settings arrive whole, and what asks on a machine without it says no."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from towline.drivers.host.harden.fragments import fragments, program_of, question
from towline.drivers.host.harden.questions import questions_program, read_answers
from towline.drivers.host.host_facts import look_program, parse
from towline.drivers.host.host_keys import fingerprint_of
from towline.release.daemon import addition, wanted
from towline.steps.ensure import Ensure, Item
from towline.steps.machine import Engine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the programs are for Debian's and Ubuntu's own tools")

AWKWARD = 'it\'s "odd" $HOME `id`\nand more\\'


def sh(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program by the shell of this machine."""
    return subprocess.run(["sh", *words, "-c", program], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("item", get_args(Item))
def test_the_programs_of_each_item_are_read_by_sh(item: Item) -> None:
    """No syntax error hides in a branch that no test takes."""
    made = program_of(Ensure(item))
    for program in (made.holds, made.apply):
        ran = sh(program, "-n")
        assert ran.returncode == 0, ran.stderr


def test_settings_arrive_whole() -> None:
    """Whatever a setting holds, the shell sees just that, and runs none of it."""
    opening = question(Ensure("journal", {"limit": AWKWARD})).split(fragments("journal").shared)[0]
    assert sh(f'{opening}printf "%s" "$LIMIT"').stdout == AWKWARD


def test_questions_are_answered_side_by_side() -> None:
    """Each answer stands beside its own question, with the reason for a no."""
    steps = [Ensure("swap"), Ensure("journal", {"limit": "1M"}), Ensure("kept")]
    answers = read_answers(sh(questions_program(steps)).stdout, len(steps))
    assert [one.holds for one in answers[1:]] == [False, False]
    assert answers[1].saw == "/etc/systemd/journald.conf.d/60-towline.conf is not as it should be"
    assert answers[0].saw


@pytest.mark.parametrize(
    "there", [None, "", "{}", '{"a": 1}', '\n{"proxies": {"b": "{"}}\n', '{\n\t"debug": true\n}\n']
)
def test_docker_settings_are_completed_on_the_machine(there: str | None, tmp_path: Path) -> None:
    """The act itself, on a file: what was there stays, what is ours is added, and then the question holds."""
    file = tmp_path / "daemon.json"
    if there is not None:
        file.write_text(there)
    engine = Engine("docker.io", settings=there)
    step = Ensure("engine-settings", {"keys": " ".join(wanted(engine)), "add": addition(engine)})
    ran = sh(program_of(step).apply.replace("/etc/docker/daemon.json", str(file)))
    assert ran.returncode == 0, ran
    assert json.loads(file.read_text()) == {**wanted(engine), **json.loads(there or "{}")}
    assert [path.name for path in tmp_path.iterdir()] == ["daemon.json"]
    assert sh(question(step).replace("/etc/docker/daemon.json", str(file))).returncode == 0


def test_this_machine_tells_what_it_is() -> None:
    """The look works wherever there is a POSIX shell, whatever is missing there."""
    machine = parse(sh(look_program()).stdout)
    assert machine.system
    assert machine.disk_free > 0


def test_a_fingerprint_is_the_one_that_ssh_shows(tmp_path: Path) -> None:
    """Against ssh-keygen."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    shown = subprocess.run(["ssh-keygen", "-l", "-f", f"{key}.pub"], capture_output=True, text=True, check=True)
    assert fingerprint_of(Path(f"{key}.pub").read_text()) == shown.stdout.split()[1]
    with pytest.raises(ValueError, match="no key"):
        fingerprint_of("ssh-ed25519")
