"""Rank tools for a few words of anybody's: text in, names out, no I/O.

`documents` says what of a tool is searched, `words` and `stems` make terms of it, `synonyms` knows what else people say,
`index` ranks, `recall` measures.
"""

from toolgate.search.index import Index

__all__ = ["Index"]
