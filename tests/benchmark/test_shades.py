from cmsa.benchmark.shades import shades


def test_ours_are_red_and_others_blue_and_no_two_alike():
    colours = shades(["other", "cmsa_n", "third", "cmsa_s"])
    assert list(colours) == ["cmsa_n", "cmsa_s", "other", "third"]
    assert len(set(colours.values())) == 4
    for name, (red, _, blue, _) in colours.items():
        assert (red > blue) == name.startswith("cmsa")
