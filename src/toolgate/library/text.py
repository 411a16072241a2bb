"""A file's bytes as text: plain, Markdown, or what a browser would show of HTML. Pure, and bounded whatever the bytes are."""

from __future__ import annotations

import re
from html.parser import HTMLParser

KINDS = {".txt", ".text", ".md", ".markdown", ".rst", ".html", ".htm"}
LARGEST = 2 * 1024 * 1024
"""Bytes of a file that is read; larger ones are left out."""
BLOCKS = frozenset(
    """
    address article aside blockquote br dd div dl dt figure footer form header hr li main nav ol p pre section table tr ul
    """.split()
)
HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
BREAKS = re.compile(r"(?<!\s)[^\S\n]*+\n\s*+")  # a run of spaces is looked at once, from its start
UNSEEN = frozenset({"script", "style", "template", "noscript", "head", "svg", "iframe"})


def text_of(data: bytes, ending: str) -> str | None:
    """The text in a file; None: it is no text."""
    if len(data) > LARGEST or b"\x00" in data[:8192]:
        return None
    text = data.decode(errors="replace").removeprefix("\ufeff")
    if ending.lower() not in (".html", ".htm"):
        return text
    shown = _Shown()
    shown.feed(text)
    shown.close()
    return BREAKS.sub("\n\n", "".join(shown.pieces))


class _Shown(HTMLParser):
    """Keeps what is seen, headings as Markdown's, so that passages know where they stand."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._unseen: str | None = None

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if self._unseen is not None:
            return
        if tag in UNSEEN:
            self._unseen = tag
        elif tag in HEADINGS:
            self.pieces.append(f"\n\n{HEADINGS[tag]} ")
        elif tag in BLOCKS:
            self.pieces.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._unseen:
            self._unseen = None
        elif self._unseen is None and (tag in BLOCKS or tag in HEADINGS):
            self.pieces.append("\n\n")

    def handle_data(self, data: str) -> None:
        if self._unseen is None:
            words = " ".join(data.split())
            if words:
                before = " " if data[:1].isspace() else ""
                self.pieces.append(f"{before}{words}{' ' if data[-1:].isspace() else ''}")
