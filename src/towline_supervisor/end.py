"""How a process ended, in words and as it travels."""

from __future__ import annotations

import signal
from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from towline_supervisor.oom import OomCounter


@dataclass(frozen=True, slots=True)
class End:
    """How a process ended: its code or signal, and why if that says more."""

    code: int | None
    signal: str | None
    reason: str | None
    oom: bool = False

    def as_dict(self) -> dict[str, object]:
        """The fields as they travel."""
        return {"code": self.code, "signal": self.signal, "reason": self.reason, "oom": self.oom}

    def sentence(self) -> str:
        """The end in a few words."""
        if self.reason == "memory":
            return "over its memory limit"
        how = f"exit {self.code}" if self.signal is None else f"signal {self.signal}"
        return f"{how}, out of memory" if self.oom else how

    def exit_code(self) -> int:
        """The code a shell would show."""
        if self.signal is None:
            return self.code or 0
        return 128 + (int(self.signal) if self.signal.isdigit() else signal.Signals[f"SIG{self.signal}"])


def judge(code: int, *, by_us: bool, order: str | None, oom: OomCounter) -> End:
    """The end behind an exit code (negative: a signal); `order` says why it was told to end, if it was.

    A SIGKILL that nobody here sent is a want of memory only when the kernel counted one meanwhile.
    """
    if code >= 0:
        return End(code, None, order)
    name = signal.Signals(-code).name.removeprefix("SIG") if -code in set(signal.Signals) else str(-code)
    if by_us or -code != signal.SIGKILL:
        return End(None, name, order)
    out_of_memory = oom.rose()
    return End(None, name, order or ("oom" if out_of_memory else "killed"), out_of_memory)
