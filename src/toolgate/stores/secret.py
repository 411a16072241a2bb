"""The audit's secret, in a file that only its owner reads."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from tempfile import NamedTemporaryFile

from toolgate.audit.keys import Keys
from toolgate.errors import AuditUnavailable

NAME = "audit.key"
SIZE = 32


def keys_in(folder: Path) -> Keys:
    """The keys of the secret in `folder`, made if absent. Of processes that start at once, all get the same.

    Raises:
        AuditUnavailable: the file cannot be read or made, or others may read it.
    """
    file = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not file.exists():
            place(file, secrets.token_hex(SIZE) + "\n")
        secret = bytes.fromhex(file.read_text().strip())
        if os.name == "posix" and file.stat().st_mode & 0o077:
            raise AuditUnavailable(f"others may read {file}, which signs the audit; `chmod 600` it")
    except (OSError, ValueError) as error:
        raise AuditUnavailable(f"{file}, which signs the audit, cannot be used: {error}") from error
    if len(secret) != SIZE:
        raise AuditUnavailable(f"{file} holds {len(secret)} bytes where {SIZE} are expected")
    return Keys(secret)


def place(file: Path, text: str) -> None:
    """Make `file` with `text` for its owner's eyes: whole or not at all, and not over one that another process was faster to make."""
    with NamedTemporaryFile("w", dir=file.parent, prefix=".secret-") as temporary:  # mode 0600
        temporary.write(text)
        temporary.flush()
        os.fsync(temporary.fileno())
        try:
            os.link(temporary.name, file)
        except FileExistsError:
            return
