from __future__ import annotations

from pathlib import Path

import pytest

from toolgate.library.shelf import Shelf
from toolgate.library.vectors import Meaning, vector

TEA, RAIN = (1.0, 0.1, 0.0), (0.0, 0.1, 1.0)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("# Kitchen\n\nKettles boil.")
    (folder / "b.md").write_text("Umbrellas open.")
    return folder


@pytest.fixture
def shelf(tmp_path: Path, docs: Path) -> Shelf:
    shelf = Shelf(tmp_path / "index.db")
    shelf.add(docs)
    return shelf


def read_all(shelf: Shelf, model: str = "m", more: tuple[float, ...] = ()) -> int:
    unread = shelf.unread(model, None, after=0, limit=100)
    return shelf.keep(model, [(one, vector((TEA if "Kettles" in one.text else RAIN) + more)) for one in unread])


def test_what_is_embedded_is_found_without_a_word_in_common(shelf: Shelf) -> None:
    read_all(shelf)

    found = shelf.find("tea", limit=5, meaning=Meaning("m", vector(TEA)))

    assert [one.path for one in found] == ["a.md", "b.md"]
    assert shelf.find("tea", limit=5) == []


def test_words_and_meaning_are_one_ranking(shelf: Shelf) -> None:
    read_all(shelf)

    (first, second) = shelf.find("umbrellas", limit=5, meaning=Meaning("m", vector(RAIN)))

    assert (first.path, first.score) == ("b.md", 2 / 61)
    assert (second.path, second.score) == ("a.md", 1 / 62)


def test_passages_are_told_with_what_they_stand_under_once_and_in_order(shelf: Shelf) -> None:
    every = shelf.unread("m", None, after=0, limit=100)

    assert sorted(one.text for one in every) == ["Kitchen\n# Kitchen\n\nKettles boil.", "Umbrellas open."]
    assert shelf.unread("m", None, after=every[0].id, limit=100) == every[1:]
    assert (read_all(shelf), shelf.count_unread("m", None)) == (2, 0)


def test_vectors_of_another_model_or_length_count_for_nothing_and_give_way(shelf: Shelf) -> None:
    read_all(shelf, "old")

    assert shelf.find("tea", limit=5, meaning=Meaning("new", vector(TEA))) == []
    assert shelf.find("tea", limit=5, meaning=Meaning("old", vector((*TEA, 1.0)))) == []
    assert (shelf.count_unread("old", 3), shelf.count_unread("old", 4), shelf.count_unread("new", None)) == (0, 2, 2)

    read_all(shelf, "new", more=(0.5,))

    assert (shelf.count_unread("new", 4), shelf.count_unread("old", None)) == (0, 2)


def test_a_vector_of_what_a_passage_no_longer_says_is_not_kept(shelf: Shelf, docs: Path) -> None:
    unread = shelf.unread("m", None, after=0, limit=100)
    (docs / "a.md").write_text("Coffee instead.")
    shelf.update()

    assert shelf.keep("m", [(one, vector(TEA)) for one in unread]) == 1
    assert [one.text for one in shelf.unread("m", None, after=0, limit=100)] == ["Coffee instead."]


def test_a_forgotten_file_leaves_no_vector_to_those_that_come_after_it(shelf: Shelf, docs: Path) -> None:
    read_all(shelf)
    (docs / "a.md").unlink()
    (docs / "b.md").unlink()
    shelf.update()
    (docs / "new.md").write_text("Something else.")
    shelf.update()

    assert shelf.find("tea", limit=5, meaning=Meaning("m", vector(TEA))) == []
    assert shelf.count_unread("m", None) == 1


def test_only_folders_that_are_named_are_looked_through(shelf: Shelf, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "c.md").write_text("Kettles of the board.")
    shelf.add(secret)
    read_all(shelf)

    found = shelf.find("tea", limit=5, folders=["docs"], meaning=Meaning("m", vector(TEA)))

    assert {one.folder for one in found} == {"docs"}
    assert shelf.find("tea", limit=5, folders=[], meaning=Meaning("m", vector(TEA))) == []
