"""Where the queues of the sqs doorbell are: its URL, or the addresses of one main and one dead-letter queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from towline_runtime.errors import SettingsInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping

HINT = "DOORBELL_URL=sqs://eu-central-1/myapp- (one queue for each of the app's), or set SQS_MAIN_QUEUE_URL"
OPTIONS = {"endpoint", "main", "dlq", "fifo"}


@dataclass(frozen=True)
class SqsAddress:
    """Region, endpoint (None: AWS), and either a prefix of queue names or the address of one queue for all."""

    region: str
    endpoint: str | None
    prefix: str
    main: str | None
    dead: str | None
    fifo: bool

    @classmethod
    def read(cls, url: str, environ: Mapping[str, str]) -> SqsAddress:
        """Read `sqs://REGION/PREFIX?endpoint=...&dlq=...&fifo=true`, or `sqs://REGION` with SQS_MAIN_QUEUE_URL.

        With a prefix the queue `images` of the app is the SQS queue PREFIX + `images`, with `.fifo` behind it when
        asked for. `main` and `dlq` (as options, else as SQS_MAIN_QUEUE_URL and SQS_DLQ_QUEUE_URL) are addresses or
        names. Raises SettingsInvalid.
        """
        parts = urlsplit(url)
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        prefix = parts.path.strip("/")
        main = options.get("main") or (None if prefix else environ.get("SQS_MAIN_QUEUE_URL") or None)
        findings = [f"DOORBELL_URL has the option `{name}`, which is none" for name in sorted(set(options) - OPTIONS)]
        region = parts.hostname or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or ""
        if not region:
            findings.append("DOORBELL_URL names no region")
        if not prefix and main is None:
            findings.append("DOORBELL_URL names neither a prefix nor a main queue")
        if prefix and main is not None:
            findings.append("DOORBELL_URL names both a prefix and a main queue")
        if findings:
            raise SettingsInvalid(findings, HINT)
        fifo = options.get("fifo", "false").lower() == "true" or (main or "").endswith(".fifo")
        dead = options.get("dlq") or environ.get("SQS_DLQ_QUEUE_URL") or None
        return cls(region, options.get("endpoint"), prefix, main, dead, fifo)

    def place(self, queue: str) -> str:
        """The address or name of the SQS queue that carries a queue of the app."""
        return self.main or f"{self.prefix}{queue}{'.fifo' if self.fifo else ''}"
