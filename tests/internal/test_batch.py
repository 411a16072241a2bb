from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.internal.batch import Batch, Item, Link, check, ordered, read_batch, related
from toolgate.internal.trouble import Trouble


def a_batch(*items: Item) -> Batch:
    return Batch("login", items)


def keys(*items: Item) -> list[str]:
    return [item.key for item in ordered(items)]


def test_what_is_said_for_the_whole_list_is_said_for_each_issue() -> None:
    asked = {
        "batch": "login",
        "labels": ["login", "web"],
        "milestone": 3,
        "issues": [{"key": "a", "title": "A"}, {"key": "b", "title": "B", "labels": ["web", "api"], "milestone": 4, "parent": "a"}],
    }

    assert read_batch(asked) == a_batch(
        Item("a", "A", labels=("login", "web"), milestone=3),
        Item("b", "B", labels=("login", "web", "api"), milestone=4, parent="a"),
    )


def test_links_stand_in_the_order_depends_on_related_parent() -> None:
    item = Item("a", "A", depends_on=("b", "#7"), related=("c",), parent="#1")

    assert item.links == (Link("depends_on", "b"), Link("depends_on", "#7"), Link("related", "c"), Link("parent", "#1"))
    assert a_batch(item, Item("b", "B", related=("#7",))).external == (1, 7)


@pytest.mark.parametrize(
    ("items", "code", "sentence"),
    [
        ([Item("a", "A"), Item("a", "B")], "duplicate_key", "the key 'a' stands twice; give every issue of the list a key of its own"),
        ([Item("a", "A", related=("a",))], "self_link", "'a' names itself in related; name another issue, or none"),
        (
            [Item("a", "A", depends_on=("z",))],
            "unknown_target",
            "'a' names 'z' in depends_on, which no issue of the list has as its key",
        ),
    ],
)
def test_a_list_that_contradicts_itself_is_refused_with_a_sentence(items: list[Item], code: str, sentence: str) -> None:
    with pytest.raises(Trouble) as refused:
        check(a_batch(*items))

    assert (refused.value.status, refused.value.code, refused.value.message) == (422, code, sentence)


@pytest.mark.parametrize(
    ("items", "how"),
    [
        ([Item("a", "A", depends_on=("b",)), Item("b", "B", depends_on=("a",))], "wait for each other (depends_on)"),
        ([Item("a", "A", parent="b"), Item("b", "B", parent="a")], "are part of each other (parent)"),
    ],
)
def test_links_in_a_circle_are_refused_and_the_circle_is_shown(items: list[Item], how: str) -> None:
    with pytest.raises(Trouble) as refused:
        check(a_batch(*items))

    assert refused.value.code == "circle"
    assert refused.value.message in {
        f"these {how} in a circle: {circle}; take one of the links away" for circle in ("a → b → a", "b → a → b")
    }


def test_a_larger_issue_may_wait_for_its_own_part_and_any_may_be_related_both_ways() -> None:
    check(a_batch(Item("epic", "E", depends_on=("part",)), Item("part", "P", parent="epic")))
    check(a_batch(Item("a", "A", related=("b",)), Item("b", "B", related=("a", "#7"))))


def test_issues_are_numbered_as_listed_but_after_what_they_depend_on() -> None:
    assert keys(Item("a", "A"), Item("b", "B"), Item("c", "C")) == ["a", "b", "c"]
    assert keys(Item("a", "A", depends_on=("c", "#7")), Item("b", "B"), Item("c", "C", depends_on=("d",)), Item("d", "D")) == [
        "d",
        "c",
        "a",
        "b",
    ]


@given(st.permutations(range(8)), st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7))))
def test_the_order_holds_every_issue_once_and_puts_dependencies_first(listed: list[int], pairs: set[tuple[int, int]]) -> None:
    edges = {(later, earlier) for later, earlier in pairs if earlier < later}  # such a list has no circle
    items = [Item(f"k{n}", "T", depends_on=tuple(f"k{to}" for at, to in sorted(edges) if at == n)) for n in listed]

    check(a_batch(*items))
    places = {key: place for place, key in enumerate(keys(*items))}

    assert sorted(places) == sorted(item.key for item in items)
    assert all(places[f"k{earlier}"] < places[f"k{later}"] for later, earlier in edges)


def test_related_is_said_by_one_side_and_so_of_both() -> None:
    assert related([Item("a", "A", related=("b", "#7")), Item("b", "B"), Item("c", "C", related=("a",))]) == {
        "a": ("b", "#7", "c"),
        "b": ("a",),
        "c": ("a",),
    }
