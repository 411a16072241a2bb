"""A description as its URL says it now, beside the one that is pinned."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from toolgate.egress.wire import Sender
from toolgate.openapi.load import Loaded, load_aside, sound
from toolgate.openapi.pin import fetch, is_url, keep_copy, write_pin


async def renewed(declared: Loaded, state: Path, sender: Sender, *, keep: bool, check: Callable[[Loaded], None] = lambda _: None) -> Loaded:
    """The integration with its description as it is now: fetched, where it is at a URL, else read anew.

    Args:
        keep: pin what was fetched in the integration's folder.
        check: raises where that must not be pinned.

    Raises:
        Misconfigured: it cannot be loaded so.
        Failed, EgressBlocked: it cannot be fetched.
    """
    declaration = declared.declaration
    if declaration is None or declaration.spec is None or not is_url(declaration.spec):
        found = sound(await load_aside(declared.folder, state), declared.name)
        check(found)
        return found
    data = await fetch(declaration.spec, sender, networks=declaration.allow_networks)
    pin = keep_copy(data, declaration.spec, state)
    with tempfile.TemporaryDirectory(prefix="toolgate-") as temporary:
        # Loaded from a copy of the folder first, so that a description that cannot be loaded is never pinned.
        copy = Path(shutil.copytree(declared.folder, Path(temporary) / declared.folder.name))
        write_pin(copy, pin)
        found = sound(await load_aside(copy, state), f"{declared.name} as it is at its URL now")
    check(found)
    if keep:
        write_pin(declared.folder, pin)
    return replace(found, folder=declared.folder)
