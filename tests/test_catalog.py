from __future__ import annotations

import pytest

from toolgate.catalog import Catalog
from toolgate.errors import Misconfigured
from toolgate.testing import a_tool


def test_tools_come_in_the_order_of_their_names_whatever_the_order_they_were_given_in() -> None:
    catalog = Catalog([a_tool(name="b"), a_tool(name="c"), a_tool(name="a")])

    assert [tool.name for tool in catalog] == ["a", "b", "c"]
    assert len(catalog) == 3


def test_a_tool_is_found_by_its_exact_name_only() -> None:
    tool = a_tool(name="search")
    catalog = Catalog([tool])

    assert (catalog.get("search"), catalog.get("Search"), catalog.get("")) == (tool, None, None)


def test_two_tools_of_one_name_are_refused_with_both_sources() -> None:
    with pytest.raises(Misconfigured) as refused:
        Catalog([a_tool(name="search", integration="github"), a_tool(name="Search", integration="files")])

    assert str(refused.value) == "two tools are called 'Search': one from github, one from files"
