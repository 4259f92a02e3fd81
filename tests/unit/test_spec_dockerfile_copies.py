"""What an image takes from its build context, as its Dockerfile says."""

from __future__ import annotations

import pytest

from towline.spec.dockerfile import read_dockerfile


def copies(text: str, stage: str | None = None) -> tuple[tuple[str, str], ...]:
    return read_dockerfile(text.encode(), stage=stage).copies


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("COPY app app", (("app", "/srv/app"),)),
        ("COPY . .", ((".", "/srv/."),)),
        ("COPY --chown=1:1 --link a b /there/", (("a", "/there/"), ("b", "/there/"))),
        ('COPY ["a b", "c"]', (("a b", "/srv/c"),)),
        ("ADD page /page", (("page", "/page"),)),
        ("COPY ${PART:-web} /x", (("web", "/x"),)),
        ("COPY --from=build /out /out", ()),
        ("ADD https://example.com/a.tgz /a", ()),
        ("COPY <<EOF /etc/conf\ntext\nEOF", ()),
        ("COPY alone", ()),
    ],
)
def test_what_one_line_takes(line: str, expected: tuple[tuple[str, str], ...]) -> None:
    """Paths as written, targets under the working folder; nothing of other stages, of addresses, of bodies."""
    assert copies(f"FROM a\nWORKDIR /srv\n{line}\n") == expected


def test_a_stage_has_what_the_stage_below_has() -> None:
    """Copies come down to a stage that stands on another, and not from one that is only copied from."""
    text = "FROM a AS base\nCOPY one /one\nFROM b AS other\nCOPY two /two\nFROM base\nCOPY three /three\n"
    assert copies(text) == (("one", "/one"), ("three", "/three"))
    assert copies(text, stage="other") == (("two", "/two"),)
