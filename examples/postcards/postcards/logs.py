"""One JSON object a line on standard error."""

import json
import logging
from datetime import UTC, datetime

log = logging.getLogger("postcards")


class JsonLines(logging.Formatter):
    """Formats a record as JSON; what was given as `extra={"fields": {...}}` becomes keys of its own."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self.service = service

    def format(self, record: logging.LogRecord) -> str:
        """Render one line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self.service,
            "message": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def set_up(service: str) -> None:
    """Send every log record of this process to standard error as JSON."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(service))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def say(message: str, *, level: int = logging.INFO, **fields: object) -> None:
    """Log one event with its fields."""
    log.log(level, message, extra={"fields": fields})
