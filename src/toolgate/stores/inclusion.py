"""That one record is in the journal, proven to somebody who is shown nothing else of it.

A proof holds the record, the hash before it, the way from it to the root of the tree, and the checkpoint that signed the root.
Whoever knows the key computes the root anew; the other records stay untold, and the file is not needed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from toolgate.audit.chain import START, chained, leaf, led, path
from toolgate.audit.checkpoint import Unsigned, Verifier
from toolgate.stores.journal import RAW
from toolgate.stores.verify import opened

FORM = "toolgate-inclusion-1"
SIGNED = "select size, note from checkpoint where size >= ? order by size limit 1"
FOUND = "select seq from journal where json_extract(body, '$.id') = ?"


class Unproven(ValueError):
    """There is no proof, or it proves nothing; the words say why."""


def prove(journal: Path, event: str) -> Mapping[str, Any]:
    """The proof that the event of that id, or of that number, is in the journal in the file `journal`.

    Raises:
        Unproven: no such event is there, no checkpoint has signed it yet, or records before it are not here any more.
    """
    with closing(opened(journal)) as connection:
        files = [journal.parent / str(row[0]) for row in connection.execute("select file from sealed order by size")]
        if missing := next((file for file in files if not file.is_file()), None):
            raise Unproven(f"{missing.name} is not here, and the way to the root leads over its records; put it back to prove something")
        seq = _seq(event, [*files, journal])
        signed = connection.execute(SIGNED, (seq,)).fetchone()
        if signed is None:
            raise Unproven(f"no checkpoint has signed record {seq} yet; the next one will, within `audit.checkpoint_seconds`")
    size, note = signed
    before, leaves, record = START, [], None
    for found, at, stream, body, digest in _records([*files, journal], size):
        if found == seq:
            record = {"seq": seq, "at": at, "stream": stream.decode(), "body": body.decode(), "before": _base64(before)}
        before = bytes(digest)
        leaves.append(leaf(before))
    if record is None or len(leaves) != size:
        raise Unproven("records are missing; `toolgate audit verify` says which")
    return {"form": FORM, "record": record, "path": [_base64(node) for node in path(seq - 1, leaves)], "checkpoint": note}


def proven(proof: Mapping[str, Any], verifier: Verifier) -> Mapping[str, Any]:
    """The record that `proof` proves to be in the journal whose key `verifier` has.

    Raises:
        Unproven: it does not.
    """
    try:
        record, way = proof["record"], [_bytes(node) for node in proof["path"]]
        before, body, stream = _bytes(record["before"]), record["body"].encode(), record["stream"].encode()
        digest = chained(before, record["seq"], record["at"], stream, body)
        checkpoint = verifier.open(proof["checkpoint"])
    except Unsigned as error:
        raise Unproven(str(error)) from None
    except Exception as error:  # whoever sends it may have written anything
        raise Unproven("this is no proof, as `toolgate audit prove` makes them") from error
    root = led(leaf(digest), record["seq"] - 1, checkpoint.size, way)
    if root != checkpoint.root:
        raise Unproven("the record, or the way that leads from it, is not what the checkpoint signed")
    return dict(record)


def _seq(event: str, files: list[Path]) -> int:
    for file in files:
        with closing(opened(file)) as connection:
            if event.isdecimal() and len(event) < 19:
                row = connection.execute("select seq from journal where seq = ?", (int(event),)).fetchone()
            else:
                row = connection.execute(FOUND, (event,)).fetchone()
        if row is not None:
            return int(row[0])
    raise Unproven("no event has that id or number; `toolgate audit list --json` shows both")


def _records(files: list[Path], size: int) -> Iterator[tuple[Any, ...]]:
    seq = 0
    for file in files:
        with closing(opened(file)) as connection:
            for row in connection.execute(RAW, (seq,)):
                if row[0] > size:
                    return
                seq = row[0]
                yield row


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    """Raises binascii.Error, TypeError."""
    data = base64.b64decode(text, validate=True)
    if len(data) != len(START):
        raise binascii.Error
    return data
