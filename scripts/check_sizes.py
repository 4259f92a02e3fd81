"""Refuse files and functions that have grown too long to read: 400 lines a module, 40 a function."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

MODULE_LINES = 400
FUNCTION_LINES = 40
EXCEPTIONS: dict[str, str] = {}
"""`path` or `path:function` to the reason why it may be longer."""


def function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body, without the docstring."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return 0 if not body else (body[-1].end_lineno or 0) - body[0].lineno + 1


def too_long(path: Path) -> list[str]:
    """What is too long in one file."""
    text = path.read_text()
    lines = text.count("\n")
    found = [f"{path}: {lines} lines, more than {MODULE_LINES}"] if lines > MODULE_LINES else []
    functions = [one for one in ast.walk(ast.parse(text)) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    found += [
        f"{path}:{one.name}: {function_lines(one)} lines, more than {FUNCTION_LINES}"
        for one in functions
        if function_lines(one) > FUNCTION_LINES
    ]
    return [one for one in found if one.rsplit(": ", 1)[0] not in EXCEPTIONS]


def main() -> int:
    """Look at every Python file that git knows or could know."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    found = [one for name in sorted(names) if Path(name).exists() for one in too_long(Path(name))]
    sys.stderr.write("".join(f"{one}\n" for one in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
