"""Refuse docs that are not true: printed pages out of date, links that lead nowhere, words that name a workplace."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def dead_links() -> list[str]:
    """Relative links in Markdown files whose target is not there."""
    found = []
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*/*.md")]:
        for number, line in enumerate(page.read_text().splitlines(), start=1):
            found += [
                f"{page.relative_to(ROOT)}:{number}: no such file: {target}"
                for target in LINK.findall(line)
                if "://" not in target and not (page.parent / target).exists()
            ]
    return found


def main() -> int:
    """Run all checks."""
    found = dead_links()
    printed = subprocess.run(
        [sys.executable, "-m", "towline.cli.reference", "docs/reference", "--check"], cwd=ROOT, check=False
    )
    sys.stderr.write("".join(f"{one}\n" for one in found))
    return 1 if found or printed.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
