"""Cells are told apart in plots."""

from cmsa.experiments.looks import looks_of


def test_no_two_of_many_cells_look_alike() -> None:
    names = [f"cell {number}" for number in range(42)]
    looks = looks_of([*names, "cell 0"])
    assert list(looks) == names
    assert len({(look.colour, look.marker) for look in looks.values()}) == len(names)
    # Lines without markers are told apart, too, in a contest of twelve.
    assert len({(looks[name].colour, looks[name].line) for name in names[:28]}) == 28
