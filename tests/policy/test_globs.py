from __future__ import annotations

from fnmatch import fnmatchcase

from hypothesis import given
from hypothesis import strategies as st

from toolgate.policy.globs import Globs, is_wild, matches

globs = st.text("ab_*?[]!-", max_size=8)
names = st.text("ab_-", max_size=8)


@given(st.lists(globs, max_size=12), names)
def test_the_index_finds_what_trying_each_glob_finds(some: list[str], name: str) -> None:
    index = Globs((glob, n) for n, glob in enumerate(some))

    assert sorted(index.of(name)) == [n for n, glob in enumerate(some) if fnmatchcase(name, glob)]


@given(globs, names)
def test_a_glob_means_what_it_means_in_file_names(glob: str, name: str) -> None:
    assert matches(glob, name) == fnmatchcase(name, glob)


@given(names)
def test_without_wildcards_it_means_itself(name: str) -> None:
    assert not is_wild(name)
    assert matches(name, name)
