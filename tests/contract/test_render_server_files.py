"""The files of a new server, read by who will read them: cloud-init's schema, a shell checker, the kernel's rules."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft4Validator
from ruamel.yaml import YAML
from tests.render_scenes import material

from towline.artifacts import cloud_init

if TYPE_CHECKING:
    from towline.artifacts.rendered import RenderedFile

CASES = Path(__file__).resolve().parent.parent / "cases" / "render"
SCHEMA = Path(__file__).resolve().parent.parent / "schemas" / "cloud-init-cloud-config-v1.schema.json"
SHELLCHECK = str(Path(sys.executable).with_name("shellcheck"))
RULES = re.compile(r"^\*filter\n.*?^COMMIT$", re.MULTILINE | re.DOTALL)


@pytest.fixture(params=[("cooly", "production"), ("postcards", "server"), ("reference", "named")], ids="-".join)
def files(request: pytest.FixtureRequest, checkout: Path, tmp_path: Path) -> dict[str, RenderedFile]:
    """The server's files of an example, by path."""
    example, target = request.param
    made = material(checkout, example, target, tmp_path)
    return {file.path: file for file in cloud_init.files(made)}


def test_cloud_init_knows_every_key(files: dict[str, RenderedFile]) -> None:
    """The user data is valid under cloud-init's own strict schema, in which an unknown key is an error."""
    document = YAML(typ="safe").load(files["cloud-init.yaml"].text)
    validator = Draft4Validator(json.loads(SCHEMA.read_text()))
    assert [error.message for error in validator.iter_errors(document)] == []
    assert [error.message for error in validator.iter_errors({**document, "usrs": []})] != []
    assert document["write_files"][0]["content"] == files["server-setup.sh"].text
    assert document["runcmd"] == [[document["write_files"][0]["path"]]]


def test_shellcheck_finds_nothing(files: dict[str, RenderedFile]) -> None:
    """The script, and the one that it leaves behind for the weekly cleaning, are clean."""
    script = files["server-setup.sh"]
    inner = re.findall(r"<<'END'\n(#!/bin/sh\n.*?)^END$", script.text, re.MULTILINE | re.DOTALL)
    assert script.executable
    assert len(inner) == 1
    for text in (script.text, *inner):
        ran = subprocess.run([SHELLCHECK, "-"], input=text, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stdout) == (0, "")


@pytest.mark.needs("iptables-restore", "ip6tables-restore")
def test_the_kernel_takes_the_rules(files: dict[str, RenderedFile]) -> None:
    """Both sets of rules are understood as they stand, IPv4 and IPv6; nothing is changed by asking."""
    four, six = RULES.findall(files["server-setup.sh"].text)
    for program, rules in (("iptables-restore", four), ("ip6tables-restore", six)):
        words = [f"/usr/sbin/{program}", "--test", "--noflush"]
        ran = subprocess.run(words, input=f"{rules}\n", capture_output=True, text=True, check=False)
        if "Permission denied" in ran.stderr or "you must be root" in ran.stderr:
            pytest.skip("only root may ask the kernel")
        assert (ran.returncode, ran.stderr) == (0, "")
        broken = rules.replace("--ctorigdstport 443", "--ctorigdstport web")
        assert subprocess.run(words, input=f"{broken}\n", capture_output=True, text=True, check=False).returncode != 0


def test_the_files_are_those_of_the_cases(checkout: Path, tmp_path: Path) -> None:
    """Both files are those that were reviewed, to the letter."""
    folder = CASES / "postcards" / "server"
    files = {file.path: file.text for file in cloud_init.files(material(checkout, "postcards", "server", tmp_path))}
    if os.environ.get("TOWLINE_REGENERATE"):
        for path, text in files.items():
            (folder / path).write_text(text)
    assert {path: (folder / path).read_text() for path in files} == files
