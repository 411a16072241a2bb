from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from toolgate.errors import BadDocument
from toolgate.search.recall import Recall, examination, macro, recall

TOOLS = {
    "GET /a": {"name": "list_apples", "desc": "All apples.", "params": {"size": "How big"}, "extra": "fruit"},
    "pear": {"name": "get_pear"},
}
SETS = Path(__file__).resolve().parents[3] / "shared" / "data" / "toolret"


def test_recall_is_the_share_of_right_tools_among_the_first_averaged_over_questions() -> None:
    queries = [["apples and a pear", ["GET /a", "pear"]], ["big fruit", ["GET /a"]], ["zebra", ["pear"]]]

    found = recall(examination({"tools": TOOLS, "queries": queries}, name="x"))

    assert (found.at_1, found.at_5, found.at_10) == pytest.approx((50.0, 200 / 3, 200 / 3))
    assert macro([found, Recall(0, 0, 0)]).at_1 == pytest.approx(25.0)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([], "is not {"),
        ({"tools": {"a": {}}, "queries": [["q", ["a"]]]}, "is not {"),
        ({"tools": TOOLS, "queries": []}, "has no queries"),
        ({"tools": TOOLS, "queries": [["q", ["pear"]], ["q", ["plum"]]]}, r"queries\[1\] is not"),
        ({"tools": TOOLS, "queries": [["q", []]]}, r"queries\[0\] is not"),
    ],
)
def test_what_is_no_examination_is_refused_and_says_where(value: Any, why: str) -> None:
    with pytest.raises(BadDocument, match=f"x.json {why}"):
        examination(value, name="x.json")


@pytest.mark.skipif(not SETS.is_dir(), reason="the sets of questions are not beside the checkout, in ../shared/data/toolret")
def test_four_out_of_five_right_tools_are_among_the_first_ten() -> None:
    files = sorted(SETS.glob("*.json.gz"))
    each = [recall(examination(json.loads(gzip.decompress(path.read_bytes())), name=path.name)) for path in files]

    assert macro(each).at_10 >= 79
