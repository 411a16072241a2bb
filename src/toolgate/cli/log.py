"""What is logged, where nobody has configured it: on stderr, a line a record, whatever others have put into it.

Messages may quote servers, files and callers. A newline in them would make two records of one, and an escape sequence would
speak to the terminal that shows them.
"""

from __future__ import annotations

import logging
import re

from toolgate.audit.line import UNSAFE

UNFIT = re.compile(rf"[\x00-\x1f]|{UNSAFE.pattern}")


class OneLine(logging.Formatter):
    """The message on one line; a bug's traceback below it, indented, so that none of it looks like a record."""

    def format(self, record: logging.LogRecord) -> str:
        said = [fit(record.getMessage())]
        if record.exc_info:
            said += [f"  {fit(line)}" for line in self.formatException(record.exc_info).split("\n")]
        return "\n".join(said)


def fit(text: str) -> str:
    """`text` with control, direction-changing and invisible characters as Python writes them."""
    return UNFIT.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def log_lines() -> None:
    """Write records so from now on; a handler that somebody adds takes their place."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(OneLine())
