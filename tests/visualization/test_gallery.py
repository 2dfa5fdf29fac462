import numpy as np

from cmsa.visualization.gallery import Case, draw_gallery


def flat(color: tuple[int, int, int], size: tuple[int, int] = (48, 36)) -> np.ndarray:
    return np.full((*size, 3), color, np.uint8)


def test_truth_is_at_left_and_rows_are_in_order() -> None:
    red, green, blue = (200, 0, 0), (0, 200, 0), (0, 0, 200)
    picture = draw_gallery(
        {"best": [Case((flat(red), flat(green)), "0"), Case((flat(blue), flat(blue)), "1")], "worst": []}, "title"
    )
    assert picture.shape[0] == 2 * 24 + 30 + 2 * 300
    # The first row of crops, 240 pixels high, starts below the margin, the title and the heading.
    row = picture[24 + 30 + 30 + 120]
    columns = {color: np.flatnonzero((row == color).all(axis=1)) for color in (red, green, blue)}
    assert (columns[red][0], len(columns[red])) == (24, 180)
    assert columns[red][-1] < columns[green][0] < columns[green][-1] < columns[blue][0]
    assert len(columns[blue]) == 360
    assert not (picture[24 + 30 + 300 + 30 :] == red).all(axis=2).any()


def test_wide_crops_go_on_in_the_next_line() -> None:
    cases = [Case((flat((200, 0, 0), (24, 60)), flat((0, 200, 0), (24, 60))), "case")] * 3
    picture = draw_gallery({"best": cases, "worst": cases[:1]}, "title")
    # A pair is 1206 pixels wide, so that two stand in a line.
    assert picture.shape == (2 * 24 + 3 * 30 + 3 * 270, 2 * (1206 + 24) + 48, 3)
    assert tuple(picture[24 + 60 + 270 + 5, 24 + 5]) == (200, 0, 0)
    assert tuple(picture[24 + 60 + 270 + 5, 24 + 1230 + 5]) != (200, 0, 0)
