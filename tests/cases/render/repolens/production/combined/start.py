"""Starts every process of this container: the supervisor takes the place of this program."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

port = os.environ.setdefault("PORT", "3001")
if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
    sys.exit(f"PORT must be a number from 1 to 65535, and is {port!r}")

# In a folder that also a container with a read-only disk can write to.
file = Path(os.environ.get("TMPDIR", "/tmp"), "processes.toml")
file.write_text((HERE / "processes.toml").read_text(encoding="utf-8").replace("{PORT}", port), encoding="utf-8")
os.chdir(HERE)
os.execv(sys.executable, [sys.executable, "-m", "towline_supervisor", "run", str(file)])
