"""What an analysis finds in the text of a file."""

import re
import tempfile
from pathlib import Path

_DEFINITIONS = re.compile(r"^\s*(?:def|class|function|export|func|fn)\s+\w+", re.MULTILINE)


def analyse(text: str, sandbox: Path) -> dict[str, str]:
    """Lines, words and definitions; the text lies in a folder of its own while it is looked at."""
    with tempfile.TemporaryDirectory(dir=sandbox) as folder:
        path = Path(folder, "file")
        path.write_text(text)
        lines = path.read_text().splitlines()
    words = sum(len(line.split()) for line in lines)
    return {"lines": str(len(lines)), "words": str(words), "definitions": str(len(_DEFINITIONS.findall(text)))}
