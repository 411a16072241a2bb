"""Text that a model will read: without hidden characters, without markup, cut where a sentence ends."""

from __future__ import annotations

import re

# What no reader sees but a model does: controls, soft hyphen, bidirectional marks, zero-width characters, variation
# selectors of the supplement and tag characters (the usual carriers of smuggled instructions).
INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
SENTENCE_END = re.compile(r"[.!?。](?=\s|$)")
MARKUP = (
    (re.compile(r"!\[[^\]\n]{0,300}\]\([^)\n]{0,1000}\)"), ""),  # images
    (re.compile(r"\[([^\]\n]{1,300})\]\([^)\n]{0,1000}\)"), r"\1"),  # links keep their words
    (re.compile(r"</?[A-Za-z][A-Za-z0-9]{0,10}(?:\s[^<>]{0,500})?/?>"), " "),  # tags
    (re.compile(r"^\s{0,3}#{1,6}\s+", re.MULTILINE), ""),  # headings
    (re.compile(r"^[ \t]*+(?:```|~~~).*$", re.MULTILINE), ""),  # fences
    (re.compile(r"\*\*([^*\n]{1,300})\*\*|__([^_\n]{1,300})__"), r"\1\2"),  # bold
)
ABBREVIATIONS = ("e.g.", "i.e.", "etc.", "vs.", "cf.", "approx.", "no.")


def clean(text: str) -> str:
    """`text` without hidden characters and HTML comments, else as it is."""
    if not text.isascii() or not text.isprintable():
        text = INVISIBLE.sub("", text)
    if "<!--" in text:
        text = COMMENT.sub("", text)
    return text.strip()


def plain(text: str) -> str:
    """`text` on one line, without Markdown and HTML noise."""
    if any(mark in text for mark in "[<#`~*_"):
        for pattern, replacement in MARKUP:
            text = pattern.sub(replacement, text)
    return " ".join(text.split())


def shorten(text: str, limit: int) -> str:
    """`text` in at most `limit` characters: whole sentences where one fits, else whole words and an ellipsis."""
    if len(text) <= limit:
        return text
    ends = [match.end() for match in SENTENCE_END.finditer(text, 0, limit + 1) if match.end() <= limit]
    for end in reversed(ends):
        if not text[:end].lower().endswith(ABBREVIATIONS):
            return text[:end]
    if limit < 2:
        return ""
    space = text.rfind(" ", 1, limit)
    return (text[:space].rstrip(" ,;:") if space > 0 else text[: limit - 1]) + "…"


def sentence(text: str) -> str:
    """`text` with a full stop, so that another sentence may follow."""
    return text if not text or text.endswith((".", "!", "?", "…", ":")) else f"{text}."
