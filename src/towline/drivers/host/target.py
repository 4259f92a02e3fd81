"""One target on a host: the folder that it lies in, and the connection that leads there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from towline.core.errors import SiteUnreachable, StepFailed, Where
from towline.drivers.host.marks import refuse_marks
from towline.drivers.host.programs import program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.drivers.host.shell import Answer


class Link(Protocol):
    """What leads to a host; each call raises SiteUnreachable when it does not lead there any more."""

    def run(self, program: str, *, within: float, data: bytes = b"") -> Answer:
        """Run a shell program there, at most `within` seconds; any status is an answer."""

    def lines(self, program: str, *, within: float, data: bytes = b"") -> Iterator[str]:
        """The lines that a program prints, as they come. Raises StepFailed when it ends with another status than 0."""


@dataclass(frozen=True)
class Target:
    """`home` is an absolute path on the host; `site` is the name in towline.yaml."""

    link: Link
    home: str
    site: str

    def ask(self, body: str, *parts: str, within: float = 30.0, data: bytes = b"") -> str:
        """What a program on the target printed, as text. Raises as `ask_bytes`."""
        return self.ask_bytes(body, *parts, within=within, data=data).decode("utf-8", "replace").strip()

    def ask_bytes(self, body: str, *parts: str, within: float = 30.0, data: bytes = b"") -> bytes:
        """What a program on the target printed.

        Raises StepFailed when the host could not do it, and what the marks of `marks.py` mean.
        """
        answer = self.link.run(program(self.home, body, *parts), within=within, data=data)
        if answer.timed_out:
            raise SiteUnreachable(f"`{self.site}` did not answer within {within:g} s", hint="towline status")
        if answer.status != 0:
            reason = answer.last_lines[-1] if answer.last_lines else f"status {answer.status}"
            raise StepFailed(
                f"`{self.site}` could not do what was asked: {reason}",
                where=Where(self.site),
                hint="df -h, there",
                evidence=answer.last_lines,
            )
        refuse_marks(answer.out.partition(b"\n")[0].decode("utf-8", "replace"), self.site)
        return answer.out
