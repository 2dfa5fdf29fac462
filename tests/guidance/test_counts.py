import pytest

from cmsa.guidance.counts import count_of


@pytest.mark.parametrize(
    ("number", "told"), [(0, "0 people"), (1, "1 person"), (2, "2 people"), (12345, "12,345 people")]
)
def test_one_is_not_many(number, told):
    assert count_of(number, "person", "people") == told


def test_many_end_in_an_s_where_nothing_else_is_said():
    assert [count_of(number, "crop") for number in (0, 1, 2)] == ["0 crops", "1 crop", "2 crops"]
