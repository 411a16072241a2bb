"""The files beside a description, and nothing else: what `$ref`s to files may reach; and how such files are written."""

from __future__ import annotations

import os
from pathlib import Path

from toolgate import documents
from toolgate.errors import BadDocument
from toolgate.openapi.bundle import Files


def files_of(folder: Path) -> Files:
    """Reads files below `folder`; links that lead out of it are refused like `..` is.

    Raises (when called):
        BadDocument: the path leads outside, cannot be read, or the file is over the bound of every document.
    """
    top = folder.resolve()

    def content(path: str) -> bytes | None:
        try:
            file = (top / path).resolve()
        except (RuntimeError, ValueError) as error:  # links in a circle, and what is no path
            raise BadDocument(f"{path} cannot be read: it leads to no file") from error
        if not file.is_relative_to(top):
            raise BadDocument(f"{path} leads out of the integration's folder and is not read")
        try:
            if not file.is_file():
                return None
            if file.stat().st_size > documents.MAX_BYTES:
                raise BadDocument(f"{path} has more than {documents.MAX_BYTES} bytes")
            return file.read_bytes()
        except OSError as error:
            raise BadDocument(f"{path} cannot be read: {error.strerror}") from error

    return content


def write(file: Path, data: bytes) -> None:
    """Whole or not at all: who reads meanwhile, or after a crash, finds what was there before."""
    fresh = file.with_suffix(f".{os.getpid()}")
    fresh.write_bytes(data)
    fresh.replace(file)
