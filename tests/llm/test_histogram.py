from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from toolgate.llm.histogram import Histogram

milliseconds = st.floats(min_value=0.001, max_value=1e8)


@given(st.lists(milliseconds, min_size=1, max_size=200), st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]))
def test_a_quantile_is_within_one_percent_of_the_value_of_that_rank(values: list[float], share: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)

    exact = sorted(values)[int(share * (len(values) - 1))]

    found = histogram.quantile(share)
    assert found is not None
    assert abs(found - exact) <= exact * 0.01 * (1 + 1e-9)


@given(st.lists(milliseconds, max_size=50), st.lists(milliseconds, max_size=50))
def test_two_histograms_add_up_to_the_one_of_all_values(some: list[float], others: list[float]) -> None:
    apart, beside, whole = Histogram(), Histogram(), Histogram()
    for value in some:
        apart.add(value)
    for value in others:
        beside.add(value)
    for value in [*some, *others]:
        whole.add(value)

    apart.merge(beside)

    assert apart.counts == whole.counts
    assert len(apart) == len(some) + len(others)


def test_what_was_written_as_json_is_read_as_it_was() -> None:
    histogram = Histogram()
    for value in (0.0, 3.5, 1e12):
        histogram.add(value)

    again = Histogram.from_json(histogram.to_json())

    assert (again.counts, again.sum) == (histogram.counts, histogram.sum)


def test_of_nothing_there_is_no_quantile_and_no_mean() -> None:
    assert Histogram().quantile(0.5) is None
    assert Histogram().mean is None
