"""How long the other side lets its answer be given again, by `Cache-Control` and `Age` (RFC 9111).

Only that: `Expires` and heuristics would say more often yes, and the operator has said already how long at most. An answer
is never asked for again with its ETag; when its time is over, it is asked for anew.
"""

from __future__ import annotations

import re

from toolgate.egress.wire import Response

DIRECTIVE = re.compile(r'([!#$%&\'*+.^_`|~0-9A-Za-z-]+)(?:\s*=\s*(?:"([^"]*)"|([^,"\s]*)))?')
NEVER = frozenset({"no-store", "no-cache"})
"""The second lets an answer be kept, but not be used without asking (5.2.2.4), which comes to the same here."""


def fresh(response: Response, *, shared: bool) -> float | None:
    """Seconds, 0 for not at all; None: it does not say.

    Args:
        shared: the answer will be given to others than who asked for it.
    """
    said = _directives(response)
    if not NEVER.isdisjoint(said) or (shared and "private" in said) or (response.header("vary") or "").strip() == "*":
        return 0.0
    life = said.get("s-maxage") if shared else None
    life = said.get("max-age") if life is None else life
    if life is None:
        return None
    # "SHOULD consider the response to be stale" when the value is none (4.2.1).
    return max(0.0, float(life[:9]) - _age(response)) if _is_number(life) else 0.0


def _directives(response: Response) -> dict[str, str]:
    """All of the answer's headers of that name together, names in lower case; the first of two counts (4.2.1)."""
    found: dict[str, str] = {}
    for name, value in response.headers:
        if name.lower() == "cache-control":
            for match in DIRECTIVE.finditer(value):
                found.setdefault(match[1].lower(), match[2] or match[3] or "")
    return found


def _age(response: Response) -> float:
    """Seconds that the answer has spent in caches on its way."""
    age = (response.header("age") or "").strip()
    return float(age[:9]) if _is_number(age) else 0.0


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
