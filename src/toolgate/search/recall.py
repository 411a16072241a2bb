"""How well the ranker finds what is right: recall over questions whose answers are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from toolgate.errors import BadDocument
from toolgate.search.documents import Document
from toolgate.search.index import Index

DEPTHS = (1, 5, 10)


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    right: frozenset[str]
    """The keys of the tools that answer it; at least one."""


@dataclass(frozen=True, slots=True)
class Examination:
    documents: Mapping[str, Document]
    questions: Sequence[Question]


@dataclass(frozen=True, slots=True)
class Recall:
    """Percent of the right tools among the first 1, 5 and 10, averaged over questions."""

    at_1: float
    at_5: float
    at_10: float


def recall(examination: Examination) -> Recall:
    index = Index(examination.documents)
    sums = dict.fromkeys(DEPTHS, 0.0)
    for question in examination.questions:
        found = index.search(question.text, limit=DEPTHS[-1])
        for depth in DEPTHS:
            sums[depth] += len(question.right.intersection(found[:depth])) / len(question.right)
    return Recall(*(100 * sums[depth] / len(examination.questions) for depth in DEPTHS))


def macro(recalls: Sequence[Recall]) -> Recall:
    """The mean over files, each counting the same however many questions it has."""
    return Recall(*(sum(column) / len(recalls) for column in zip(*((one.at_1, one.at_5, one.at_10) for one in recalls), strict=True)))


def examination(value: Any, *, name: str) -> Examination:
    """What a file holds: `{"tools": {key: {"name", "desc", "params", "extra"}}, "queries": [[text, [right key, …]], …]}`.

    Raises:
        BadDocument: it has another shape, or a question whose answer is no tool of it.
    """
    try:
        tools, queries = value["tools"], value["queries"]
        documents = {key: _document(tool) for key, tool in tools.items()}
        questions = [Question(text, frozenset(right)) for text, right in queries]
    except (TypeError, KeyError, ValueError, AttributeError):
        _refuse(name, 'is not {"tools": {key: {"name", "desc", "params", "extra"}}, "queries": [[text, [right key, …]], …]}')
    if not questions:
        _refuse(name, "has no queries")
    for number, question in enumerate(questions):
        if not isinstance(question.text, str) or not question.right or not question.right <= documents.keys():
            _refuse(name, f"queries[{number}] is not a text and the keys of tools in this file")
    return Examination(documents, questions)


def _document(tool: Mapping[str, Any]) -> Document:
    parameters: Mapping[str, Any] = tool.get("params") or {}
    return Document(
        name=_text(tool["name"]),
        description=_text(tool.get("desc")),
        parameters=" ".join(parameters),
        values=tuple(_text(each.get("description") if isinstance(each, Mapping) else each) for each in parameters.values()),
        place=_text(tool.get("extra")),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _refuse(name: str, why: str) -> NoReturn:
    raise BadDocument(f"{name} {why}")
