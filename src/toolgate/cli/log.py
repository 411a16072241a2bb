"""What is logged, where nobody has configured it: on stderr, a line a record, whatever others have put into it.

Messages may quote servers, files and callers. A newline in them would make two records of one, and an escape sequence would
speak to the terminal that shows them.
"""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime

from toolgate.audit.line import UNSAFE

UNFIT = re.compile(rf"[\x00-\x1f]|{UNSAFE.pattern}")


class OneLine(logging.Formatter):
    """The message on one line; a bug's traceback below it, indented, so that none of it looks like a record."""

    def format(self, record: logging.LogRecord) -> str:
        said = [fit(record.getMessage())]
        if record.exc_info:
            said += [f"  {fit(line)}" for line in self.formatException(record.exc_info).split("\n")]
        return "\n".join(said)


class Json(logging.Formatter):
    """An object a record, for what collects logs by machine."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        said = {"time": time, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return json.dumps(said)


def fit(text: str) -> str:
    """`text` with control, direction-changing and invisible characters as Python writes them."""
    return UNFIT.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def log_lines(*, as_json: bool = False, level: str = "warning") -> None:
    """Write records so from now on; a handler that somebody adds takes their place.

    Args:
        level: from which on our own are written.
    """
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(Json() if as_json else OneLine())
        logging.lastResort.setLevel(level.upper())
        logging.getLogger("toolgate").setLevel(level.upper())
