from __future__ import annotations

import difflib

from hypothesis import given
from hypothesis import strategies as st

from toolgate.internal.diff import ranges, shown

# The shape is `diff -u`'s: https://www.gnu.org/software/diffutils/manual/html_node/Detailed-Unified.html
PATCH = """\
@@ -3,4 +3,4 @@ def head():
 three
-four
+four, changed
 five
 six
@@ -20 +20,2 @@
 twenty
+twenty-one
\\ No newline at end of file"""


def test_a_patch_shows_added_and_unchanged_lines_of_the_new_side_and_deleted_ones_of_the_old() -> None:
    sides = shown(PATCH)

    assert dict(sides["new"].hunks) == {3: 1, 4: 1, 5: 1, 6: 1, 20: 2, 21: 2}
    assert dict(sides["old"].hunks) == {4: 1}


def test_a_line_outside_the_diff_is_refused_with_what_the_diff_shows() -> None:
    new, old = shown(PATCH)["new"], shown(PATCH)["old"]

    assert new.refusal(None, 21, "new") is None
    assert new.refusal(3, 6, "new") is None
    assert old.refusal(None, 4, "old") is None
    assert new.refusal(None, 7, "new") == "line 7 is not in the diff, which shows lines 3-6, 20-21"
    assert new.refusal(2, 4, "new") == "line 2 is not in the diff, which shows lines 3-6, 20-21"
    assert new.refusal(6, 20, "new") == "lines 6-20 are not in one piece of the diff, which shows lines 3-6, 20-21"
    assert old.refusal(None, 5, "old") == "old line 5 is not in the diff, which shows old lines 4"


def test_a_file_without_a_patch_shows_nothing() -> None:
    assert shown(None)["new"].refusal(None, 1, "new") == "line 1 is not in the diff, which shows no lines"


def test_ranges_are_written_short() -> None:
    assert ranges([24, 10, 11, 12, 31]) == "10-12, 24, 31"


TEXT = st.lists(st.sampled_from(["a", "b", "c", "@@ -1 +1 @@", "-", "+", ""]), max_size=12)


@given(TEXT, TEXT, st.integers(0, 3))
def test_what_difflib_marks_is_what_is_shown(before: list[str], after: list[str], context: int) -> None:
    patch = list(difflib.unified_diff(before, after, n=context, lineterm=""))[2:]

    sides = shown("\n".join(patch))

    assert [after[line - 1] for line in sides["new"].hunks] == [line[1:] for line in patch if line[0] in " +"]
    assert [before[line - 1] for line in sides["old"].hunks] == [line[1:] for line in patch if line[0] == "-"]
