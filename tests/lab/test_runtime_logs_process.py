"""Log lines of a whole process, from its first warning to its last words."""

from __future__ import annotations

import json
import subprocess
import sys


def test_a_process_writes_nothing_but_json_lines() -> None:
    """After install even warnings, libraries and the last words of a crash are JSON lines on stdout."""
    program = (
        "import logging, warnings; from towline_runtime.logs import install\n"
        "install('svc', 'warn', secrets=['known-secret'])\n"
        "logging.getLogger('lib').info('not shown'); logging.getLogger('lib').warning('known-secret')\n"
        "warnings.warn('old'); raise SystemError('redis://:hush@cache')"
    )
    run = subprocess.run([sys.executable, "-W", "default", "-c", program], capture_output=True, text=True, check=False)
    found = [json.loads(line) for line in run.stdout.splitlines()]
    assert [line["level"] for line in found] == ["warn", "warn", "error"]
    assert found[2]["error"] == "SystemError"
    assert run.stderr == ""
    assert run.returncode == 1
    assert not {"known-secret", "hush"} & set(run.stdout.split())
    assert "hush" not in run.stdout
