"""Text as terms: identifiers split, accents taken off, words stemmed; what has no spaces becomes pairs of signs."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import chain

from toolgate.search.stems import stem

UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
WORD = re.compile(
    r"[A-Z]{1,40}(?=[A-Z][a-z])|[A-Z]?[a-z]{1,40}|[A-Z]{1,40}|[0-9]{1,40}"  # identifiers: split at case, digits and punctuation
    rf"|[{UNSPACED}]{{1,40}}"  # Japanese, Chinese, Korean
    rf"|[^\W\d_a-zA-Z{UNSPACED}]{{1,40}}"  # any other script
)
SIGNS = re.compile(f"[{UNSPACED}]")
STOP = frozenset(
    stem(word)
    for word in """
    a about also am an and any are as at be been being but by can could did do does doing for from had has have having he help her here
    him his how i if in interested into is it its just know let like looking may me might must my need needs no not of off on once or
    our out over own please she should so some such tell than that the their them then there these they this those through to too
    under until up us very want wants was we were what when where which while who whom whose why will with would you your
    """.split()
)
"""Stems that say nothing of what a tool does; they count only in a question of nothing else."""


def terms(text: str) -> list[str]:
    """The terms of `text` in their order, stop words too.

    >>> terms("listIssues of the HTTPServer_v2")
    ['list', 'issu', 'of', 'the', 'http', 'server', 'v', '2']
    """
    return list(chain.from_iterable(map(_terms, WORD.findall(_plain(text)))))


@lru_cache(maxsize=65536)
def _terms(word: str) -> tuple[str, ...]:
    if word.isascii():
        return (stem(word.lower()),)
    if SIGNS.match(word) and len(word) > 1:
        return tuple(word[start : start + 2] for start in range(len(word) - 1))
    return (word.lower(),)


def _plain(text: str) -> str:
    if text.isascii():
        return text
    marked = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize("NFC", "".join(sign for sign in marked if not unicodedata.combining(sign)))


def grams(term: str) -> frozenset[str]:
    """The threes of neighbouring signs in `term`, its beginning and end marked.

    >>> sorted(grams("tool"))
    ['^to', 'ol$', 'ool', 'too']
    """
    marked = f"^{term}$"
    return frozenset(marked[start : start + 3] for start in range(len(marked) - 2))
