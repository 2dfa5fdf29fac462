from cmsa.guidance.suggestion import there_are


def test_few_names_are_told_and_many_are_counted() -> None:
    assert there_are("x", []) == "there are none"
    assert there_are("x", ["b", "a"], "cmsa models") == "there are b, a"
    many = [f"pose_{number}" for number in range(100, 190)]
    assert there_are("nothing", many) == "there are 90"
    told = there_are("pose_1299", many, "cmsa recipes")
    assert told.startswith("there are 90 (cmsa recipes lists them); did you mean pose_129, ")
    assert told.count("pose_") == 3
