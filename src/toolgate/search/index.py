"""Rank documents for a few words: BM25F, with synonyms and near spellings.

A tool's name says more than its description, and that more than its parameters, so a term counts by the field it stands in
before it saturates (Robertson, Zaragoza, Taylor: Simple BM25 Extension to Multiple Weighted Fields, CIKM 2004).

People do not use a tool's words. What else they say comes from a table of groups, each a term of its own in the index, so that
five synonyms in one description count once; what they spell otherwise, from the terms of the index that share most threes of
signs with theirs. Both count less than the word itself. Who speaks of a proper name (`the movie The Dark Knight`) has to look
it up first, so tools that search count a little.

All that does not depend on the question is computed once, when an index is made; a question then only adds up. Postings are
arrays of numbers, since a thousand tools have a hundred thousand of them.
"""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from functools import cache
from heapq import nlargest

from toolgate.calls import Tool
from toolgate.search.documents import Document, document
from toolgate.search.stems import stem
from toolgate.search.synonyms import GROUP, groups
from toolgate.search.words import STOP, grams, terms

# Chosen on questions to MetaTool, RestGPT and the bundled tools; half and double of each moves recall by a point or less (docs/search.md).
WEIGHTS = {"name": 3.0, "title": 2.0, "description": 1.0, "parameters": 0.5, "values": 0.3, "place": 0.7}
SHORTNESS = 0.5
"""How much a field's length tells against it, 0 to 1; BM25's b."""
SATURATION = 1.2
"""BM25's k1, its usual value."""
NAMED = 1.5
"""What a term adds for standing in a name, shared out among the words of that name: `list_issues` says just what was asked."""
SYNONYM, NEAR, LOOKUP = 0.9, 0.3, 0.3
"""What a group of synonyms counts, a near spelling of likeness 1, and the words for looking up where something is named."""
LIKE, MOST_LIKE = 0.55, 4
"""Near spellings: the least likeness (cosine over threes of signs) and how many of them for each term."""
EFFORT = 2000
"""Postings that a question may add up, 60 to 100 ns each: over thousands of tools a long question leaves its commonest words out."""
READ = 1000
"""Characters of a question that are read."""
KEPT = 4096
"""Terms whose near spellings are remembered."""

PROPER = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+|\"[^\"]+\"|'[A-Z][^']+'")
LOOKING_UP = ("search", "find", "lookup")


class Index:
    """Documents by key, ready to be searched."""

    def __init__(self, documents: Mapping[str, Document]) -> None:
        self._keys = tuple(documents)
        counts = cache(lambda text: Counter(terms(text)))  # operations of one API say the same of their parameters
        fields = [_fields(each, counts) for each in documents.values()]
        self._postings = _postings(fields)
        self._grams: dict[str, list[str]] = defaultdict(list)
        for term in self._postings:
            for gram in () if term.startswith(GROUP) else grams(term):
                self._grams[gram].append(term)
        self._near: dict[str, Sequence[tuple[str, float]]] = {}
        self._groups = groups()
        self._lookup = tuple(map(stem, LOOKING_UP))

    @classmethod
    def of(cls, tools: Iterable[Tool]) -> Index:
        """Tools by name."""
        return cls({tool.name: document(tool) for tool in tools})

    def search(self, query: str, *, limit: int, among: Container[str] | None = None) -> Sequence[str]:
        """The keys of at most `limit` documents, best first, ties by key; only such that have something of `query`.

        Args:
            among: the keys that may be found; None: all.
        """
        query = query[:READ]
        asked = dict.fromkeys(terms(query))
        asked = {term: None for term in asked if term not in STOP} or asked
        others = self._others(asked, query)
        found = self._best(self._scores(asked, others, EFFORT), limit, among)
        if len(found) < limit and among is not None:  # whoever sees little is not to miss what common words would find
            found = self._best(self._scores(asked, others, math.inf), limit, among)
        return found

    def _scores(self, asked: Iterable[str], others: Mapping[str, float], effort: float) -> Mapping[int, float]:
        scores: dict[int, float] = {}
        so_far = scores.get  # the line below is where a search spends its time
        for term, weight in self._affordable(asked, others, effort):
            for number, score in zip(*self._postings[term], strict=False):
                scores[number] = so_far(number, 0.0) + weight * score
        return scores

    def _others(self, asked: Collection[str], query: str) -> Mapping[str, float]:
        """What counts besides the terms that are asked for: each as much as the best that speaks for it."""
        others: dict[str, float] = {}
        for term in asked:
            for group in self._groups.get(term, ()):
                others[group] = SYNONYM
            for other, likeness in self._near_to(term):
                others[other] = max(others.get(other, 0.0), NEAR * likeness)
        if PROPER.search(query):
            for other in self._lookup:
                others[other] = max(others.get(other, 0.0), LOOKUP)
        return {term: weight for term, weight in others.items() if term not in asked}

    def _affordable(self, asked: Iterable[str], others: Mapping[str, float], effort: float) -> Iterator[tuple[str, float]]:
        """Terms and their weights, as many as `effort` allows: those asked for before others, rare ones before common ones."""
        spent = 0
        for weights in (dict.fromkeys(asked, 1.0), others):
            for count, term in sorted((len(self._postings[term][0]), term) for term in weights if term in self._postings):
                if spent and spent + count > effort:
                    break
                spent += count
                yield term, weights[term]

    def _best(self, scores: Mapping[int, float], limit: int, among: Container[str] | None) -> Sequence[str]:
        """The keys of the best `limit` scores."""
        keys, wanted = self._keys, limit
        while True:
            least = nlargest(wanted, scores.values())[-1] if wanted < len(scores) else 0.0
            seen = [(-score, keys[number]) for number, score in scores.items() if score >= least]
            seen = [each for each in seen if among is None or each[1] in among]
            if len(seen) >= limit or wanted >= len(scores):
                return [key for _, key in sorted(seen)[:limit]]
            wanted *= 4  # the best are not for this caller: look further

    def _near_to(self, term: str) -> Sequence[tuple[str, float]]:
        """The terms of the index that are spelled most like `term`, and how like."""
        near = self._near.get(term)
        if near is None:
            own = grams(term)
            shared = Counter(other for gram in own for other in self._grams.get(gram, ()))
            del shared[term]
            like = ((count / math.sqrt(len(own) * len(grams(other))), other) for other, count in shared.items() if 2 * count > len(own))
            near = [(other, likeness) for likeness, other in sorted(like, reverse=True)[:MOST_LIKE] if likeness >= LIKE]
            if len(self._near) >= KEPT:
                self._near.clear()
            self._near[term] = near
        return near


Posting = tuple["array[int]", "array[float]"]
"""Numbers of documents, and for each a number of its own."""


def _fields(document: Document, term_counts: Callable[[str], Mapping[str, int]]) -> Mapping[str, Mapping[str, int]]:
    """How often each term stands in each field."""
    name = term_counts(document.name)
    values: Counter[str] = Counter()
    for text in document.values:
        values.update(term_counts(text))
    return {
        "name": name,
        "title": {term: count for term, count in term_counts(document.title).items() if term not in name},  # most say the name again
        "description": term_counts(document.description),
        "parameters": term_counts(document.parameters),
        "values": values,
        "place": term_counts(document.place),
    }


def _postings(documents: Sequence[Mapping[str, Mapping[str, int]]]) -> Mapping[str, Posting]:
    """For each term the documents that hold it, and what it adds to their scores."""
    lengths = {field: [sum(fields[field].values()) for fields in documents] for field in WEIGHTS}
    average = {field: sum(counted) / len(counted) if any(counted) else 1.0 for field, counted in lengths.items()}
    postings: dict[str, Posting] = {}
    group_of = groups()
    for number, fields in enumerate(documents):
        weights: dict[str, float] = {}
        for field, weight in WEIGHTS.items():
            share = weight / (1 - SHORTNESS + SHORTNESS * lengths[field][number] / average[field])
            for term, count in fields[field].items():
                weights[term] = weights.get(term, 0.0) + share * count
        named = NAMED / (1 + len(fields["name"]))
        for term in tuple(weights):  # a group is a term that all its words stand for
            for group in group_of.get(term, ()):
                weights[group] = weights.get(group, 0.0) + weights[term]
        for term, weight in weights.items():
            if (posting := postings.get(term)) is None:
                posting = postings[term] = (array("I"), array("f"))
            posting[0].append(number)
            posting[1].append(weight / (weight + SATURATION) + (named if term in fields["name"] else 0.0))
    for numbers, scores in postings.values():
        rarity = math.log(1 + (len(documents) - len(numbers) + 0.5) / (len(numbers) + 0.5))
        for place, score in enumerate(scores):
            scores[place] = score * rarity
    return postings
