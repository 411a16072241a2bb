from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from toolgate.errors import Misconfigured
from toolgate.library.shelf import Looked, Shelf
from toolgate.library.text import LARGEST

GUIDE = "# Guide\n\nHow it begins.\n\n## Budgets\n\nBudgets are reset at midnight, UTC.\n\n## Limits\n\nCalls are limited by minute.\n"
PAGE = "<html><head><title>No</title></head><script>budgets()</script><h2>Tea &amp; cups</h2><p>Kettles <b>boil</b> water.</p></html>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "guide.md").write_text(GUIDE)
    (docs / "page.html").write_text(PAGE)
    return docs


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "state" / "index.db")


def test_a_passage_says_where_it_stands_and_under_what(shelf: Shelf, folder: Path) -> None:
    shelf.add(folder)

    (found,) = shelf.find("when is a budget resetting?", limit=1)

    assert (found.folder, found.path, found.heading) == ("docs", "guide.md", "Guide > Budgets")
    assert GUIDE[found.start : found.end] == found.text
    assert "midnight" in found.text


def test_of_html_what_it_shows_is_found_and_nothing_else(shelf: Shelf, folder: Path) -> None:
    shelf.add(folder)

    (found,) = shelf.find("kettle", limit=5)

    assert (found.heading, found.text) == ("Tea & cups", "## Tea & cups\n\nKettles boil water.")
    assert [one.path for one in shelf.find("budgets", limit=5)] == ["guide.md"]


def test_only_what_has_changed_is_read_again(shelf: Shelf, folder: Path) -> None:
    _, first = shelf.add(folder)
    unchanged = shelf.update()
    (folder / "guide.md").write_text("Budgets are gone.")
    (folder / "page.html").unlink()
    (folder / "new.txt").write_text("New.")

    changed = shelf.update()

    assert (first, unchanged, changed) == (Looked(2, 0, 0), Looked(0, 0, 0), Looked(2, 1, 0))
    assert [one.text for one in shelf.find("budgets kettles midnight", limit=5)] == ["Budgets are gone."]


def test_a_folder_looked_through_a_moment_ago_is_not_looked_through_again(shelf: Shelf, folder: Path) -> None:
    shelf.add(folder)
    (folder / "new.txt").write_text("New.")

    assert shelf.update(older=60) == Looked(0, 0, 0)


def test_what_could_harm_stays_out(shelf: Shelf, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("the secret password")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "out").symlink_to(tmp_path)
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "key.txt").write_text("the secret key")
    (folder / "large.txt").write_text("secret " * (LARGEST // 7 + 1))
    (folder / "binary.txt").write_bytes(b"secret\x00")
    os.mkfifo(folder / "pipe.txt")
    (folder / "deep.html").write_text("<div>" * 200_000 + "shown")
    (folder / "broken.md").write_bytes(b"\xff\xfe broken \xc3")

    _, looked = shelf.add(folder)

    assert shelf.find("secret password key", limit=5) == []
    assert [one.path for one in shelf.find("shown broken", limit=5)] == ["deep.html", "broken.md"] or looked.left_out == 2
    assert looked.left_out == 2


def test_a_file_whose_name_is_no_text_is_left_out_and_the_others_are_not(shelf: Shelf, folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.md")).write_text("Grinders are there.")

    _, looked = shelf.add(folder)

    assert looked.left_out == 1
    assert shelf.find("grinders", limit=5) == []
    assert looked.read == len(list(folder.iterdir())) - 1


@pytest.mark.parametrize("question", ['"', "NEAR(a b)", "a OR", "path: x", "*", "a" * 100_000, "-- ; DROP TABLE file", "\x00"])
def test_any_question_is_only_words(shelf: Shelf, folder: Path, question: str) -> None:
    shelf.add(folder)

    shelf.find(question, limit=5)

    assert len(shelf.find("budgets", limit=5)) == 1


def test_two_folders_have_two_names_and_one_can_be_asked_alone(shelf: Shelf, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "docs"
    other.mkdir(parents=True)
    (other / "a.md").write_text("Budgets elsewhere.")
    shelf.add(folder)

    with pytest.raises(Misconfigured, match="--name"):
        shelf.add(other)
    shelf.add(other, "other")

    assert [one.folder for one in shelf.find("budgets", limit=5, folders=["other"])] == ["other"]
    assert [(one.name, one.files) for one in shelf.folders()] == [("docs", 2), ("other", 1)]
    assert shelf.remove("other")
    assert not shelf.remove("other")
    assert [one.folder for one in shelf.find("budgets", limit=5)] == ["docs"]


def test_an_index_that_is_none_says_so(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "index.db").write_bytes(b"not a database, by any means" * 100)

    with pytest.raises(Misconfigured, match="remove it and add the folders again"):
        Shelf(tmp_path / "index.db").find("x", limit=1)


def test_many_may_look_at_the_same_time(shelf: Shelf, folder: Path) -> None:
    shelf.add(folder)
    for number in range(50):
        (folder / f"{number}.md").write_text(f"number {number}")

    with ThreadPoolExecutor(8) as threads:
        looked = list(threads.map(lambda _: shelf.update(), range(8)))

    assert sum(one.read for one in looked) == 50
    assert len(shelf.find("number", limit=100)) == 50
